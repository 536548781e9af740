"""curl commands of PROTOCOL.md and docs/ that no other test runs, word for word. test_readme.py
runs those of the README.
"""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from eventhub.auth.keys import hash_key, new_key
from tests.harness.clients import http, wait_for
from tests.harness.eventhub import EventHubServer

ROOT = Path(__file__).resolve().parents[2]
OPERATOR = new_key()
KEY = (
    f"{{name: ops, hash: '{hash_key(OPERATOR)}', operator: true, publish: ['>'], subscribe: ['>']}}"
)


def curl(document: str, words: str) -> str:
    """The only curl command of the page that holds these words."""
    [line] = [
        line
        for line in (ROOT / document).read_text().splitlines()
        if line.startswith("curl ") and words in line
    ]
    return line


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventHubServer]:
    """A server where anonymous clients may read and publish logs, and the operator may do
    everything.
    """
    config = (
        "channels: {logs: {payload: log, anonymous: [subscribe, publish]}}\n"
        f"auth: {{keys: [{KEY}]}}"
    )
    with EventHubServer(tmp_path_factory.mktemp("documents"), config) as server:
        yield server


def typed(line: str, hub: EventHubServer) -> str:
    """The command with this test's addresses and keys."""
    return f"OPERATOR={OPERATOR}; {line.replace('localhost:8000', f'127.0.0.1:{hub.port}')}"


def said(line: str, hub: EventHubServer) -> dict[str, object]:
    done = subprocess.run(
        ["bash", "-c", typed(line, hub)], capture_output=True, text=True, timeout=120, check=True
    )
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def test_an_operator_blocks_a_principal_with_the_command_of_the_protocol_page(
    hub: EventHubServer,
) -> None:
    assert said(curl("PROTOCOL.md", "/v1/admin/blocks"), hub)["disconnected"] == 0
    blocks = http.get(
        f"{hub.url}/v1/admin/blocks", headers={"Authorization": f"Bearer {OPERATOR}"}
    ).json()
    assert [block["subject"] for block in blocks["blocks"]] == ["ana"]


def test_an_operator_changes_the_level_of_the_log_as_the_page_says(hub: EventHubServer) -> None:
    assert list(said(curl("docs/tracing.md", "/v1/admin/log"), hub)["nodes"].values()) == ["debug"]  # type: ignore[attr-defined]  # JSON


def test_the_curl_command_of_the_protocol_page_follows_a_channel(hub: EventHubServer) -> None:
    line = curl("PROTOCOL.md", "/ndjson?since=-20").partition(" | jq ")[0]
    http.post(
        f"{hub.url}/v1/channels/logs.api", json={"level": "info", "message": "followed"}
    ).raise_for_status()
    with subprocess.Popen(
        ["bash", "-c", typed(line, hub).replace("; curl", "; exec curl")],
        stdout=subprocess.PIPE,
        text=True,
    ) as follower:
        wait_for(follower, '"message":"followed"')
        follower.terminate()
