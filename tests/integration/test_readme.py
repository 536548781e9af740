"""The commands of the README, word for word, do what it says."""

import json
import os
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.harness.clients import http, wait_for
from tests.harness.eventhub import EventHubServer

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def here(command: str, hub: EventHubServer) -> str:
    return command.replace("localhost:8000", f"127.0.0.1:{hub.port}")


def shell(command: str, cwd: Path) -> str:
    return subprocess.run(
        ["bash", "-c", command], cwd=cwd, capture_output=True, text=True, timeout=120, check=True
    ).stdout


def test_its_two_commands_are_those_of_the_makefile_and_ci_calls_the_second() -> None:
    assert [block.strip() for block in blocks("sh") if block.startswith("make")] == [
        "make serve",
        "make test",
    ]
    assert "\nmake test\n" in (ROOT / ".ci/run").read_text()


def test_the_port_is_taken_from_make_s_arguments_and_not_from_the_environment() -> None:
    assert "`make serve PORT=9000`" in README
    for arguments, served in ((["PORT=9000"], "serve --port 9000"), ([], "serve")):
        command = [
            "make",
            "--no-print-directory",
            "-n",
            "-o",
            ".venv/serve.stamp",
            "serve",
            *arguments,
        ]
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("MAKE")
        } | {"PORT": "7"}  # of `make test`
        told = subprocess.run(
            command,
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        assert told.stdout.strip().endswith(served)


def test_its_curl_lines_publish_and_listen(
    start: Callable[..., EventHubServer], tmp_path: Path
) -> None:
    hub = start()
    chat, listen, stream, batch, fault, channels, pattern = (
        here(block, hub) for block in blocks("sh") if "curl" in block
    )
    assert json.loads(shell(chat, tmp_path))["channel"] == "chat.lobby"
    with subprocess.Popen(
        ["bash", "-c", f"exec {listen}"], stdout=subprocess.PIPE, text=True
    ) as listener:
        for _ in range(2):  # both channels
            wait_for(listener, '"head"')
        with subprocess.Popen(
            ["bash", "-c", stream], cwd=tmp_path, start_new_session=True
        ) as producer:
            wait_for(listener, '"message":"started"')  # stored while tail goes on
            assert json.loads(shell(batch, tmp_path))["accepted"] == 2
            wait_for(listener, '"value":21.6')
            os.killpg(producer.pid, signal.SIGTERM)
        listener.terminate()
    refused = json.loads(shell(fault, tmp_path))
    shown = json.loads(blocks("json")[0].replace(", …", ""))
    assert shown.items() <= refused.items()
    (channel,) = json.loads(shell(channels, tmp_path))["channels"]
    assert (channel["name"], channel["events"]) == ("iot.greenhouse.t1", 2)
    with following(pattern, tmp_path) as follower:
        wait_for(follower, '"value":21.6')
        os.killpg(follower.pid, signal.SIGTERM)


def test_a_growing_file_is_sent_and_followed_while_the_server_is_away(
    start: Callable[..., EventHubServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    hub = start("broker: sqlite:///events.db")
    monkeypatch.setenv("EVENTHUB_URL", hub.url)
    file = tmp_path / "app.log.jsonl"
    (ship,) = (command(block) for block in blocks("sh") if " ship " in block)
    (tail,) = (command(block) for block in blocks("sh") if " tail logs" in block)
    file.write_text('{"level":"info","message":"first"}\n{"level":"loud"}\n')
    with following(ship, tmp_path) as shipper, following(tail, tmp_path) as reader:
        wait_for(reader, "info first")
        hub.kill()
        with file.open("a") as lines:
            lines.write('{"level":"warning","message":"second"}\n')
        hub.start()
        wait_for(reader, " warning second")
        os.killpg(shipper.pid, signal.SIGKILL)
        os.killpg(reader.pid, signal.SIGKILL)
    assert (tmp_path / "refused.jsonl").read_text() == '{"level":"loud"}\n'


def command(block: str) -> str:
    return block.replace(".venv/bin/eventhub", f"exec {sys.executable} -m eventhub")


def following(script: str, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["sh", "-c", script],
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_its_channels_can_be_configured(start: Callable[..., EventHubServer]) -> None:
    hub = start(blocks("yaml")[0])
    assert [kind["name"] for kind in http.get(f"{hub.url}/v1/types").json()["types"]] == [
        "chat",
        "logs",
        "iot",
        "orders",
    ]


def test_keys_and_tokens_made_as_the_readme_says_grant_what_it_says(
    start: Callable[..., EventHubServer], tmp_path: Path
) -> None:
    new_key, new_token = (
        block.replace(".venv/bin/eventhub", f"{sys.executable} -m eventhub")
        for block in blocks("sh")
        if " new " in block
    )
    told = shell(new_key, tmp_path).splitlines()
    config = yaml.safe_load(blocks("yaml")[1])
    config["auth"]["tokens"]["keys"][0]["secret"] = secrets.token_hex(32)
    shown, config["auth"]["keys"] = config["auth"]["keys"], yaml.safe_load("\n".join(told[2:]))
    assert [key | {"hash": ""} for key in shown] == [
        key | {"hash": ""} for key in config["auth"]["keys"]
    ]
    hub = start(yaml.safe_dump(config))
    token = shell(new_token.strip() + f" --config {hub.config}", tmp_path).strip()
    producer, ana = ({"Authorization": f"Bearer {credential}"} for credential in (told[1], token))
    reading, message = {"value": 1}, {"sender": "ana", "text": "oi"}
    assert (
        http.post(
            f"{hub.url}/v1/channels/iot.greenhouse.t1", json=reading, headers=producer
        ).status_code
        == 201
    )
    assert (
        http.get(f"{hub.url}/v1/channels/iot.greenhouse.t1").json()["events"][0]["data"] == reading
    )
    assert (
        http.post(f"{hub.url}/v1/channels/chat.lobby", json=message, headers=ana).status_code == 201
    )
    assert (
        http.post(f"{hub.url}/v1/channels/chat.lobby", json=message, headers=producer).status_code
        == 403
    )
    assert http.get(f"{hub.url}/v1/channels/chat.lobby").status_code == 401
