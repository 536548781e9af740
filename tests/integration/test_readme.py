"""The commands of the README, word for word, do what it says."""

import json
import os
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import yaml

from tests.harness.clients import http, ndjson, wait_for
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
    chat, listen, stream, batch, fault, channels, _ = (
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


def test_the_readme_s_loop_loses_no_line_and_stores_none_twice_while_the_server_is_away(
    start: Callable[..., EventHubServer], tmp_path: Path
) -> None:
    hub = start("broker: sqlite:///events.db")
    (loop,) = (here(block, hub) for block in blocks("sh") if "while" in block)
    file, sent = tmp_path / "app.log.jsonl", tmp_path / "app.log.jsonl.sent"
    written: list[str] = []

    def write(count: int) -> None:
        with file.open("a") as lines:
            for _ in range(count):
                written.append(f"line {len(written)}")
                lines.write(json.dumps({"level": "info", "message": written[-1]}) + "\n")

    def run() -> subprocess.Popen[str]:
        command = ["sh", "-c", f"exec 2>&1; {loop}"]
        return subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.PIPE, text=True, start_new_session=True
        )

    write(40)
    with run() as producer:
        wait_for(producer, '"done":true')
        hub.kill()
        write(30)
        with file.open("a") as lines:
            lines.write("not JSON\n")
        write(1100)
        wait_for(producer, "curl: (7)")  # it has tried in vain
        hub.start()
        wait_for(producer, '"accepted":999,"rejected":1')
        os.killpg(producer.pid, signal.SIGTERM)
    sent.write_text(
        f"{sent.read_text().split()[0]} 40\n"
    )  # as if it had been stopped before it noted the answer
    write(30)
    with run() as producer:
        with ndjson(f"{hub.url}/v1/channels/logs.api/ndjson?since=earliest") as messages:
            events = (
                message["data"]["message"] for message in messages if message["type"] == "event"
            )
            assert list(islice(events, len(written))) == written
        os.killpg(producer.pid, signal.SIGTERM)
    page = http.get(f"{hub.url}/v1/channels/logs.api", params={"since": "-1"}).json()
    assert page["events"][0]["data"]["message"] == written[-1], "and nothing behind it"


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
