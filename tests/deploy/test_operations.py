"""docs/operations.md: its commands run word for word, and its settings, metrics and files exist."""

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from eventhub.config.settings import Settings
from tests.conftest import Start
from tests.deploy.chart import ci, one, render
from tests.harness import yaml_text
from tests.harness.background import repeated
from tests.harness.clients import WsClient, http
from tests.harness.eventhub import EventHubServer
from tests.harness.programs import program
from tests.harness.redis_servers import RedisServer

GUIDE = Path("docs/operations.md")
TEXT = GUIDE.read_text()
LOOK, BACK_UP, RESTORE, BACK_UP_POD, RESTORE_POD, CHECK = re.findall(
    r"^ *```sh\n(.*?)^ *```", TEXT, re.MULTILINE | re.DOTALL
)
MESSAGE = {"sender": "ana", "text": "oi"}


def run(commands: str, server: EventHubServer) -> str:
    """Run the commands in a shell beside the configuration file.

    Any that fails ends it. Returns the output.
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    text = re.sub("localhost:8000", f"localhost:{server.port}", commands)
    return subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", text],
        cwd=server.config.parent, env={**os.environ, "PATH": path}, capture_output=True, text=True,
        timeout=60, check=True,
    ).stdout  # fmt: skip


def publish(server: EventHubServer) -> str:
    answer = http.post(f"{server.url}/v1/channels/chat.a", json=MESSAGE)
    assert answer.status_code == 201
    position: str = answer.json()["id"]
    return position


def assert_limits_are_shown(shown: str, workers: int = 1) -> None:
    lines = shown.splitlines()
    assert len(lines) == 4 * workers
    assert all(float(line.split()[1]) > 0 for line in lines)


def test_the_command_of_the_operations_page_shows_the_limits_and_their_use(
    hub: EventHubServer,
) -> None:
    assert_limits_are_shown(run(LOOK, hub))


def test_the_limits_of_each_worker_are_shown_to_an_operator(start: Start) -> None:
    digest = hashlib.sha256(b"ehk_operator").hexdigest()
    auth = f"auth: {{keys: [{{name: ops, hash: 'sha256:{digest}', operator: true}}]}}"
    server = start(f"workers: 2\n{auth}", lane="workers")
    operator = {"Authorization": "Bearer ehk_operator"}
    server.eventually(
        "the second worker to be seen",
        lambda: http.get(f"{server.url}/metrics", headers=operator).text,
        lambda seen: 'eventhub_connections_limit{worker="1"}' in seen,
    )
    assert_limits_are_shown(run(f"OPERATOR=ehk_operator\n{LOOK}", server), workers=2)
    with pytest.raises(subprocess.CalledProcessError):
        run(LOOK, server)


def in_pod(commands: str, directory: Path) -> str:
    """Run commands as if this were the pod: `kubectl` runs them here, and the volume is this
    directory.
    """
    kubectl = 'kubectl() { while [ "$1" != -- ]; do shift; done; shift; "$@"; }'
    return f"{kubectl}\n{commands}".replace("/var/lib/eventhub", str(directory))


@pytest.mark.parametrize(
    "pod", [False, pytest.param(True, marks=pytest.mark.proof)], ids=["host", "pod"]
)
def test_a_backup_of_a_running_server_is_restored_and_readers_beyond_it_get_a_gap(
    tmp_path: Path,
    pod: bool,  # noqa: FBT001
) -> None:
    program("sqlite3")
    back_up, restore = (
        (in_pod(BACK_UP_POD, tmp_path), in_pod(RESTORE_POD, tmp_path))
        if pod
        else (BACK_UP, RESTORE)
    )
    with EventHubServer(tmp_path, "broker: sqlite:///events.db") as server:
        known = publish(server)
        (tmp_path / "backup-20260101T000000.db").write_text("an earlier one")
        saved = publish(server)
        with repeated(lambda: publish(server)):
            assert run(back_up, server) == "ok\n"
        assert not (tmp_path / "copy.db").exists()
        lost = publish(server)
        server.stop()
        run(restore, server)
        server.start()
        with WsClient(server.ws_url) as client:
            start = client.subscribe("chat.a", since=known)
            assert start["recovered"] is True
            assert client.until("event")["id"] == saved
        with WsClient(server.ws_url) as client:
            start = client.subscribe("chat.a", since=lost)
            assert start["recovered"] is False
            assert client.until("gap")["reason"] == "reset"
        assert publish(server) != lost


@pytest.mark.parametrize("pod", [False, True], ids=["host", "pod"])
def test_a_backup_that_fails_does_not_say_ok(tmp_path: Path, pod: bool) -> None:  # noqa: FBT001
    with EventHubServer(tmp_path) as server:
        (tmp_path / "events.db").write_text(
            "this is not a database, but it is long enough to be read as one" * 100
        )
        with pytest.raises(subprocess.CalledProcessError) as failed:
            run(in_pod(BACK_UP_POD, tmp_path) if pod else BACK_UP, server)
        assert "ok" not in failed.value.stdout
        assert not list(tmp_path.glob("backup-*.db")), "it would be the newest, and be restored"


def test_a_restored_file_belongs_to_the_owner_of_its_directory(tmp_path: Path) -> None:
    if os.getuid() == 0:
        os.chown(tmp_path, 65532, 65532)
    (tmp_path / "backup-20260101T000000.db").touch()
    subprocess.run(["bash", "-e", "-c", RESTORE], cwd=tmp_path, check=True)
    assert (tmp_path / "events.db").stat().st_uid == tmp_path.stat().st_uid


def test_the_pod_that_restores_holds_the_volume_of_the_chart_and_is_the_user_of_the_image() -> None:
    (text,) = re.findall(r"^```yaml\n# restore.yaml\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    spec = yaml_text.read(text)["spec"]
    deployment, claim = (
        one(render(ci("sqlite")), kind) for kind in ("Deployment", "PersistentVolumeClaim")
    )
    template = deployment["spec"]["template"]["spec"]
    assert deployment["metadata"]["name"] == "hub-eventhub"
    assert spec["volumes"][0]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert spec["securityContext"]["runAsUser"] == template["securityContext"]["runAsUser"] == 65532
    assert spec["containers"][0]["image"] == template["containers"][0]["image"]


def test_a_configuration_is_checked_before_it_is_used(tmp_path: Path) -> None:
    server = EventHubServer(tmp_path, "broker: sqlite:///events.db")
    run(CHECK, server)
    server.config.write_text("a_setting_of_tomorrow: 1")
    with pytest.raises(subprocess.CalledProcessError) as refused:
        run(CHECK, server)
    assert "a_setting_of_tomorrow" in refused.value.stderr


def test_redis_takes_its_settings_and_a_node_runs_on_it(tmp_path: Path) -> None:
    (config,) = re.findall(r"^```conf\n# redis.conf\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    with RedisServer(tmp_path / "redis", config=config) as redis:
        assert redis.call("CONFIG", "GET", "maxmemory-policy")[1] == b"noeviction"
        assert redis.call("CONFIG", "GET", "appendonly")[1] == b"yes"
        assert (
            b"pubsub 268435456 67108864 60"
            in redis.call("CONFIG", "GET", "client-output-buffer-limit")[1]
        )
        with EventHubServer(tmp_path, f"broker: {redis.url}") as server:
            publish(server)


def test_the_kernel_settings_of_the_operations_page_exist() -> None:
    (settings,) = re.findall(r"^```ini\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    names = re.findall(r"^(net\S+) = ", settings, re.MULTILINE)
    assert len(names) == 3
    assert all(Path("/proc/sys", name.replace(".", "/")).exists() for name in names)


def test_settings_that_are_named_exist() -> None:
    sections = {
        name: field.annotation
        for name, field in Settings.model_fields.items()
        if hasattr(field.annotation, "model_fields")
    }
    named = re.findall(rf"`({'|'.join(sections)})\.(\w+)`", TEXT)
    assert len(named) > 5
    for section, name in named:
        assert name in getattr(sections[section], "model_fields"), f"{section}.{name}"  # noqa: B009


def test_metrics_that_are_named_exist(hub: EventHubServer) -> None:
    shown = http.get(f"{hub.url}/metrics").text
    named = re.findall(r"\b(?:eventhub|process)_(?!test)\w+_\w+", TEXT)
    assert len(named) > 5
    for name in named:
        assert f"# TYPE {name} " in shown, name


def test_files_that_are_named_exist() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)", TEXT):
        assert (GUIDE.parent / target).exists(), target
    for name in re.findall(r"`(tests/[\w/.]+)`", TEXT):
        assert Path(name).exists(), name


def unit(tmp_path: Path) -> str:
    """Path of the unit, with a program that is here."""
    path = tmp_path / "eventhub.service"
    text = Path("deploy/eventhub.service").read_text()
    path.write_text(text.replace("/opt/eventhub/bin/eventhub", sys.executable))
    return str(path)


@pytest.mark.parametrize(
    "check",
    [["verify"], ["security", "--offline=true", "--no-pager", "--threshold=20"]],
    ids=lambda check: check[0],
)
def test_systemd_takes_the_unit_and_finds_it_confined(tmp_path: Path, check: list[str]) -> None:
    done = subprocess.run(
        [program("systemd-analyze"), *check, unit(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "eventhub.service" not in done.stderr, (
        "a setting that is none is said there, and passed over"
    )


def test_the_unit_waits_for_the_drain_and_has_the_files_that_the_guide_names() -> None:
    said = dict(
        re.findall(r"^(\w+)=(.*)$", Path("deploy/eventhub.service").read_text(), re.MULTILINE)
    )
    shutdown = Settings().shutdown
    assert int(said["TimeoutStopSec"]) >= shutdown.spread + shutdown.grace + 10
    assert f"systemd `LimitNOFILE={said['LimitNOFILE']}`" in TEXT
    assert said["KillMode"] == "mixed", "a worker would get a second signal, and end at once"


def test_haproxy_may_open_the_files_that_its_maxconn_needs() -> None:
    text = Path("deploy/haproxy.cfg").read_text()
    (connections,) = re.findall(r"maxconn (\d+)", text)
    (limit,) = re.findall(r"LimitNOFILE=(\d+)", text)
    assert int(limit) > 2 * int(connections)
