"""Tools of other projects: AsyncAPI's own parser, and wscat as a client."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness.clients import http, wait_for
from tests.harness.eventhub import EventHubServer

HERE = Path(__file__).parent


def test_the_asyncapi_document_is_valid(start: Callable[..., EventHubServer]) -> None:
    tree = {
        "type": "object",
        "properties": {
            "children": {"type": "array", "items": {"$ref": "#"}},
            "n": {"$ref": "#/$defs/n"},
        },
    }
    schema = {**tree, "$defs": {"n": {"type": "integer"}}}
    hub = start(
        "channels: {chat: {payload: chat}, logs: {payload: log}, tree: {payload: tree.json}}",
        files={"tree.json": json.dumps(schema)},
    )
    document = http.get(f"{hub.url}/asyncapi.json").text
    done = subprocess.run(
        ["node", "asyncapi.cjs"],
        cwd=HERE,
        input=document,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.proof
def test_a_faulty_document_is_found_faulty() -> None:
    faulty = {"asyncapi": "3.0.0", "info": {"title": "x"}}
    done = subprocess.run(
        ["node", "asyncapi.cjs"],
        cwd=HERE,
        input=json.dumps(faulty),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1


def test_wscat_is_a_client_without_sending_anything(start: Callable[..., EventHubServer]) -> None:
    hub = start()
    http.post(f"{hub.url}/v1/channels/chat.lobby", content='{"sender":"ana","text":"oi"}')
    command = [
        "node",
        "node_modules/.bin/wscat",
        "-c",
        f"{hub.ws_url}?channel=chat.lobby&since=earliest",
    ]
    with subprocess.Popen(
        command, cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as client:
        wait_for(client, '"data":{"sender":"ana","text":"oi"}')
        client.terminate()
