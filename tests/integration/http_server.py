"""A server for tests of HTTP on the wire, and what it has stored."""

import json
from collections.abc import Iterator

import pytest

from eventhub.auth.keys import hash_key
from tests.harness.clients import http
from tests.harness.eventhub import EventHubServer
from tests.harness.http import Answer

KEY = "ehk_http" + "0" * 40
PROXY = "127.0.0.77"
CONFIG = f"""
heartbeat: 1
log: {{access: true}}
proxies: [{PROXY}/32]
channels:
  open: {{anonymous: [publish, subscribe, presence], presence: true, publish: [client, producer]}}
  closed: {{}}
auth:
  keys: [{{name: ana, hash: "{hash_key(KEY)}", publish: [">"], subscribe: [">"]}}]
"""


@pytest.fixture(name="served", scope="module")
def served_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventHubServer]:
    """One server for all; each test has channels of its own."""
    with EventHubServer(tmp_path_factory.mktemp("http"), CONFIG) as server:
        yield server
        assert "Traceback" not in server.log.read_text()


@pytest.fixture(name="path")
def path_fixture(request: pytest.FixtureRequest) -> str:
    """A channel that no other test uses."""
    own = "".join(c if c.isalnum() else "-" for c in request.node.name)[-100:]
    return f"/v1/channels/open.{own}"


def stored(served: EventHubServer, path: str) -> list[object]:
    """The events of the channel."""
    return [event["data"] for event in http.get(f"{served.url}{path}?limit=1000").json()["events"]]


def refused(answer: Answer, *words: str) -> bool:
    """Whether the status is 400 and the answer has these words."""
    return answer.status == 400 and all(word in json.loads(answer.body)["detail"] for word in words)
