"""docs/operations.md: its commands are run as they stand there, its settings, metrics and files exist."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from eventhub.settings import Settings
from tests.clients import WsClient, http
from tests.harness import EventHubServer
from tests.redis_servers import RedisServer, program

GUIDE = Path("docs/operations.md")
TEXT = GUIDE.read_text()
LOOK, BACK_UP, RESTORE, CHECK = re.findall(r"^ *```sh\n(.*?)^ *```", TEXT, re.MULTILINE | re.DOTALL)
MESSAGE = {"sender": "ana", "text": "oi"}


def run(commands: str, server: EventHubServer) -> str:
    """What a shell beside the configuration file says to them. Any that fails ends it."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    text = re.sub("localhost:8000", f"localhost:{server.port}", commands)
    return subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", text],
        cwd=server.config.parent, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=60, check=True,
    ).stdout  # fmt: skip


def publish(server: EventHubServer) -> str:
    answer = http.post(f"{server.url}/v1/channels/chat.a", json=MESSAGE)
    assert answer.status_code == 201
    position: str = answer.json()["id"]
    return position


@contextmanager
def publishing(server: EventHubServer) -> Iterator[None]:
    """Without a pause, until the context ends."""
    over = threading.Event()
    refused: list[int] = []

    def work() -> None:
        while not over.is_set():
            status = http.post(f"{server.url}/v1/channels/logs.a", json={"level": "info", "message": "x"}).status_code
            if status != 201:
                refused.append(status)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert not refused


def test_the_limits_and_what_is_used_of_them_are_shown(hub: EventHubServer) -> None:
    lines = run(LOOK, hub).splitlines()
    assert len(lines) == 4
    assert all(float(line.split()[1]) > 0 for line in lines)


def test_a_backup_of_a_running_server_is_restored_and_readers_are_told_what_it_does_not_hold(tmp_path: Path) -> None:
    program("sqlite3")
    with EventHubServer(tmp_path, "broker: sqlite:///events.db") as server:
        known = publish(server)
        saved = publish(server)
        with publishing(server):
            assert run(BACK_UP, server) == "ok\n"
        lost = publish(server)
        server.stop()
        run(RESTORE, server)
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
        assert b"pubsub 268435456 67108864 60" in redis.call("CONFIG", "GET", "client-output-buffer-limit")[1]
        with EventHubServer(tmp_path, f"broker: {redis.url}") as server:
            publish(server)


def test_what_is_set_in_the_kernel_is_there_to_be_set() -> None:
    (settings,) = re.findall(r"^```ini\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    names = re.findall(r"^(net\S+) = ", settings, re.MULTILINE)
    assert len(names) == 3
    assert all(Path("/proc/sys", name.replace(".", "/")).exists() for name in names)


def test_settings_that_are_named_exist() -> None:
    sections = {name: field.annotation for name, field in Settings.model_fields.items() if hasattr(field.annotation, "model_fields")}
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
