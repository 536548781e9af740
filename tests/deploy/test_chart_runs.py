"""Runs what the chart renders: the configuration with EventHub, the test of `helm test`, the
commands of the notes.
"""

import operator
import os
import re
import shutil
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from eventhub.cli import app
from tests.deploy.chart import CHART, CI, Object, Values, ci, merged, one, pods, render, render_all
from tests.deploy.pod import KEY, Container, Secrets, cluster_secrets, first, rendered_secrets
from tests.deploy.switches import ALL
from tests.harness import yaml_text
from tests.harness.clients import SECONDS, http
from tests.harness.eventhub import EventHubServer
from tests.harness.eventually import eventually
from tests.harness.ports import free_port
from tests.harness.redis_servers import RedisServer

INSECURE: Object = ALL["a trusted network"]
SERVED: dict[str, Object] = {
    "memory": ci("memory"),
    "tls": ci("sqlite"),
    "insecure": INSECURE,
    "no values": {"config": {}},
}
CONFIGURING = ("config", "keysSecret", "schemas", "tls", "brokerSecret", "secretFiles")
CHECK = [sys.executable, "-m", "eventhub", "check"]
Serve = Callable[[str], tuple[EventHubServer, list[Object]]]


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Secrets:
    return cluster_secrets(tmp_path_factory.mktemp("secrets"))


def server_container(objects: list[Object], known: Secrets, directory: Path) -> Container:
    return Container.of(one(objects, "Deployment")["spec"]["template"], objects, known, directory)


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory, known: Secrets) -> Iterator[Serve]:
    """Starts what the chart's Deployment would start, on loopback, once for each configuration."""
    servers: dict[str, EventHubServer] = {}

    def serve(name: str) -> tuple[EventHubServer, list[Object]]:
        objects = render(first(SERVED[name]))
        if name not in servers:
            container = server_container(objects, known, tmp_path_factory.mktemp(name))
            text = container.config.read_text().replace("host: 0.0.0.0", "host: 127.0.0.1")
            if made := container.variables.get("EVENTHUB_AUTH__KEYS"):
                text += f"\nauth: {{keys: {made}}}"
            servers[name] = EventHubServer(container.config.parent, text)
            servers[name].start()
        return servers[name], objects

    yield serve
    for server in servers.values():
        server.kill()


def run(command: list[str], variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    environment = {
        name: value for name, value in os.environ.items() if name in ("PATH", "PYTHONPATH")
    } | variables
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


@pytest.fixture(scope="module")
def configured(tmp_path_factory: pytest.TempPathFactory, known: Secrets) -> dict[str, Container]:
    """Containers of all values, one for each different configuration."""
    different = {
        str([values.get(key) for key in CONFIGURING]): name
        for name, values in reversed(ALL.items())
    }
    rendered = render_all({name: first(ALL[name]) for name in different.values()})
    return {
        name: server_container(objects, known, tmp_path_factory.mktemp("of"))
        for name, objects in rendered.items()
    }


def test_eventhub_check_takes_a_configuration_of_ci(configured: dict[str, Container]) -> None:
    done = run(CHECK, configured[CI[0]].variables)
    assert (done.returncode, done.stderr) == (0, "")
    assert ": good; channel types " in done.stdout


def test_eventhub_check_takes_every_configuration(configured: dict[str, Container]) -> None:
    assert configured.keys() > set(CI)
    assert len(configured) > 3 * len(CI)
    for container in configured.values():
        done = CliRunner().invoke(app, ["check"], env=container.variables)
        assert (done.exit_code, done.stderr) == (0, "")
        assert ": good; channel types " in done.stdout


def test_eventhub_check_sees_what_a_schema_cannot(tmp_path: Path, known: Secrets) -> None:
    objects = render(merged(first(ci("memory")), {"schemas": {"order.json": "not JSON"}}))
    done = CliRunner().invoke(
        app, ["check"], env=server_container(objects, known, tmp_path).variables
    )
    assert done.exit_code == 2
    assert "channels.orders: " in done.stderr


class HelmTest:
    """The pod of `helm test`, its container run against a server here."""

    def __init__(self, objects: list[Object], known: Secrets, directory: Path) -> None:
        [pod] = [each for each in pods(objects) if each.get("kind") == "Pod"]
        self.container = Container.of(pod, objects, known, directory)

    def run(self, url: str, **variables: str) -> subprocess.CompletedProcess[str]:
        python, *flags = self.container.spec["command"]
        assert python == "python3"
        return run(
            [sys.executable, *flags, *self.container.spec["args"]],
            self.container.variables | {"URL": url} | variables,
        )


@pytest.mark.parametrize("name", SERVED)
def test_helm_test_publishes_and_receives(
    serve: Serve, name: str, known: Secrets, tmp_path: Path
) -> None:
    server, objects = serve(name)
    test = HelmTest(objects, known, tmp_path / "test")
    assert test.container.variables["URL"].startswith("https://" if name == "tls" else "http://")
    done = test.run(server.url)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"published and received \S+\n", done.stdout)


def test_helm_test_fails_and_says_why(serve: Serve, known: Secrets, tmp_path: Path) -> None:
    server, objects = serve("memory")
    test = HelmTest(objects, known, tmp_path / "test")
    for url, variables, told in (
        (server.url, {"KEY": "ehk_other"}, "answered 401: "),
        (server.url, {"EVENT": '{"sender":1}'}, "answered 422: "),
        (f"http://127.0.0.1:{free_port()}", {}, "Connection refused"),
    ):
        done = test.run(url, **variables)
        assert done.returncode == 1
        assert told in done.stderr
        assert KEY not in done.stderr


def test_helm_test_trusts_the_certificate_of_the_release_and_no_other(
    serve: Serve, known: Secrets, tmp_path: Path
) -> None:
    server, objects = serve("tls")
    test = HelmTest(objects, known, tmp_path / "test")
    certificate = Path(test.container.variables["CERTIFICATE"])
    assert [path.name for path in certificate.parent.iterdir()] == ["tls.crt"]  # and not the key
    certificate.write_text(cluster_secrets(tmp_path)["hub-tls"]["tls.crt"])
    assert "certificate verify failed" in test.run(server.url).stderr


def test_pods_hold_new_clients_while_the_broker_is_away_and_serve_them_when_it_is_back(
    tmp_path: Path, known: Secrets
) -> None:
    objects = render(first(ci("redis")))
    container = one(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    paths = {
        kind: container[f"{kind}Probe"]["httpGet"]["path"]
        for kind in ("startup", "liveness", "readiness")
    }

    def probes(base: str) -> dict[str, int]:
        return {kind: http.get(f"{base}{path}").status_code for kind, path in paths.items()}

    def until(base: str, startup: int) -> None:
        expected = {"startup": startup, "liveness": 200, "readiness": 200}
        eventually("its probes", partial(probes, base), partial(operator.eq, expected))

    (tmp_path / "hub").mkdir()
    with RedisServer(tmp_path / "redis") as redis:
        server = EventHubServer(
            tmp_path / "hub",
            (
                f"host: 127.0.0.1\nport: 0\nbroker: {redis.url}\n"
                "channels: {chat: {payload: chat}}\n"
            ),
        )
        server.start()
        try:
            until(server.url, 200)
            redis.kill()
            until(server.url, 503)
            with http.stream("GET", f"{server.url}/v1/channels/chat.a/sse") as stream:
                assert stream.status_code == 200
                redis.start()
                until(server.url, 200)
                assert (
                    http.post(
                        f"{server.url}/v1/channels/chat.a", content='{"sender":"a","text":"b"}'
                    ).status_code
                    == 201
                )
                assert any('"text":"b"' in line for line in stream.iter_lines())
        finally:
            server.kill()


def test_prometheus_reads_metrics_with_the_monitor_s_key_and_sends_it_to_no_other_server(
    serve: Serve, known: Secrets
) -> None:
    server, objects = serve("tls")
    [endpoint] = one(objects, "ServiceMonitor")["spec"]["endpoints"]
    reference, authority = (
        endpoint["authorization"]["credentials"],
        endpoint["tlsConfig"]["ca"]["secret"],
    )
    bearer = {
        "Authorization": (
            f"{endpoint['authorization']['type']} {known[reference['name']][reference['key']]}"
        )
    }
    trust = ssl.create_default_context(cadata=known[authority["name"]][authority["key"]])
    named = {"sni_hostname": endpoint["tlsConfig"]["serverName"]}
    with httpx.Client(verify=trust, timeout=SECONDS, trust_env=False) as prometheus:
        assert (
            prometheus.get(
                server.url + endpoint["path"], headers=bearer, extensions=named
            ).status_code
            == 200
        )
        assert prometheus.get(server.url + endpoint["path"], extensions=named).status_code == 401
    with (
        httpx.Client(
            verify=trust, timeout=SECONDS, trust_env=False
        ) as prometheus,  # another, as connections are kept
        pytest.raises(
            httpx.ConnectError, match=r"certificate is not valid for 'stranger\.example'"
        ),
    ):
        prometheus.get(
            server.url + endpoint["path"],
            headers=bearer,
            extensions={"sni_hostname": "stranger.example"},
        )


def notes(values: Values, directory: Path) -> str:
    """The notes that Helm shows after an installation.

    `helm template` does not show them, so a copy of the chart has them as an object.
    """
    chart = directory / "chart"
    shutil.copytree(CHART, chart)
    (chart / "templates/NOTES.txt").rename(chart / "templates/_notes.tpl")
    text = (chart / "templates/_notes.tpl").read_text()
    (chart / "templates/_notes.tpl").write_text('{{- define "notes" }}' + text + "{{ end -}}")
    (chart / "templates/notes.yaml").write_text(
        'kind: Notes\nmetadata: {name: notes}\ntext: {{ include "notes" . | quote }}\n'
    )
    return str(one(render(values, chart=chart), "Notes")["text"])


@pytest.mark.parametrize("name", SERVED)
def test_the_lines_of_the_notes_work(serve: Serve, name: str, tmp_path: Path) -> None:
    server, objects = serve(name)
    told = notes(first(SERVED[name]), tmp_path)
    lines = [line.strip() for line in told.splitlines() if line.startswith("  ")]
    variables = {"KEY": KEY}
    for variable, secret, key in re.findall(
        r"(\w+)=\$\(kubectl .* get secret (\S+) .*data\.(\w+)", told
    ):
        variables[variable] = rendered_secrets(objects)[secret][key]
    assert ("OPERATOR" in variables) == (name == "no values")
    for line in (line for line in lines if "localhost:8000" in line):
        here = line.replace("localhost:8000", server.url.partition("://")[2]).replace(
            "curl", "curl -sS --fail-with-body"
        )
        done = run(["bash", "-c", here], variables)
        assert done.returncode == 0, (here, done.stdout, done.stderr)
    names = {f"{each['kind'].lower()}/{each['metadata']['name']}" for each in objects}
    named = [
        word for line in lines for word in line.split() if re.match(r"(deployment|service)/", word)
    ]
    assert named
    assert set(named) <= names
    assert any(line.startswith("helm test hub --namespace events") for line in lines)


def test_the_notes_say_what_is_open_and_what_a_restart_erases(tmp_path: Path) -> None:
    told = notes(INSECURE, tmp_path)
    assert "ANYBODY" in told
    assert "each restart erases them" in told
    assert "https://hub.example/livez" in notes(ci("redis"), tmp_path / "shared")


def test_the_sections_of_the_rendered_configuration_are_those_of_the_values() -> None:
    values = merged(
        ci("memory"),
        {
            "config": {
                "limits": {"history_bytes": 2**40, "publish_rate": 0.5},
                "heartbeat": 100 / 3,
            },
            "resources": {"limits": {"memory": "2Ti"}},
        },
    )
    told = yaml_text.read(one(render(values), "ConfigMap")["data"]["eventhub.yaml"])
    assert told == values["config"] | {"host": "0.0.0.0", "port": 8000}
