"""The official SDKs of CloudEvents publish in every mode, and understand what comes out."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cloudevents.core.bindings import http as binding
from cloudevents.core.v1.event import CloudEvent

from tests.harness.clients import http
from tests.harness.eventhub import EventHubServer

HERE = Path(__file__).parent / "cloudevents"
Channel = Callable[[str], str]
JAVASCRIPT = ["node", str(HERE / "sdk.mjs")]
GO = ["go", "run", "."]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventHubServer]:
    with EventHubServer(tmp_path_factory.mktemp("sdks"), "channels: {free: {}}") as hub:
        yield hub


def told(command: list[str], server: EventHubServer, name: str, folder: Path) -> list[Any]:
    """What an SDK's program prints of the events, without that which ends the page."""
    done = subprocess.run(
        [*command, server.url, name],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *events, end = [json.loads(line) for line in done.stdout.splitlines()]
    assert end[1] == "eventhub.page"
    return events


def test_the_python_sdk(server: EventHubServer, channel: Channel) -> None:
    name = channel("free")
    address = f"{server.url}/v1/channels/{name}"
    fields = {"source": "/py", "type": "com.example.py", "specversion": "1.0", "subject": "a b"}
    given: list[tuple[str, Any]] = [
        ("application/json", {"a": 1}),
        ("text/xml", "<a/>"),
        ("image/png", b"\xff\x00"),
    ]
    sent = [
        CloudEvent({**fields, "id": media_type, "datacontenttype": media_type, "myext": "é"}, data)
        for media_type, data in given
    ]
    for event, encode in zip(
        sent,
        (binding.to_binary_event, binding.to_structured_event, binding.to_binary_event),
        strict=True,
    ):
        message = encode(event)
        answer = http.post(address, content=message.body, headers=message.headers)
        assert answer.status_code == 201, answer.text
    *events, end = http.get(address, headers={"Accept": "application/cloudevents+json"}).json()
    assert end["type"] == "eventhub.page"
    head = {"content-type": "application/cloudevents+json"}
    for event, shown in zip(sent, events, strict=True):
        body = json.dumps(shown).encode()
        found = binding.from_http_event(binding.HTTPMessage(head, body))
        assert found.get_data() == event.get_data()
        assert event.get_attributes().items() <= found.get_attributes().items()


def test_the_javascript_sdk(server: EventHubServer, channel: Channel) -> None:
    assert told(JAVASCRIPT, server, channel("free"), HERE) == [
        ["1", "com.example.js", "a b", "x", None, {"a": 1}],
        ["2", "com.example.js", "a b", None, True, "<a/>"],
        ["3", "com.example.js", "a b", None, None, "/wA="],
    ]


@pytest.mark.proof
def test_the_go_sdk(server: EventHubServer, channel: Channel) -> None:
    """It takes text as XML of a string."""
    xml = "<string>&lt;a/&gt;</string>"
    assert told(GO, server, channel("free"), HERE / "go") == [
        ["1", "com.example.go", "a b", "caf\u00e9", None, '{"a":1}', "application/json"],
        ["2", "com.example.go", "a b", None, 7, xml, "text/xml"],
        ["3", "com.example.go", "a b", None, None, "\ufffd\x00", "image/png"],
    ]
