"""The pages of logs and readings where the server asks who one is."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from tests.browser.conftest import Visitor
from tests.browser.test_token import SECRET, token, use
from tests.harness.clients import http
from tests.harness.eventhub import EventHubServer

Visit = Callable[..., Visitor]
CONFIG = f"""
auth: {{tokens: {{keys: [{{algorithm: HS256, secret: {SECRET}}}], leeway: 0}}}}
channels:
  logs: {{payload: log, publish: [producer]}}
  iot: {{payload: reading, publish: [producer]}}
"""


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventHubServer]:
    with EventHubServer(tmp_path_factory.mktemp("guarded"), CONFIG) as running:
        headers = {"Authorization": f"Bearer {token()}"}
        for channel, event in (
            ("logs.secret", {"level": "info", "message": "seen"}),
            ("iot.secret", {"value": 7}),
        ):
            address = f"{running.url}/v1/channels/{channel}"
            http.post(address, json=event, headers=headers).raise_for_status()
        yield running


def refused(page: Page) -> None:
    expect(page.locator("#state")).to_have_attribute("data-kind", "refused")
    expect(page.locator("#token")).to_be_visible()


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/logs/secret", ".line:visible"),
        pytest.param("/iot/secret", ".tile", marks=pytest.mark.proof),
    ],
)
def test_a_page_asks_for_a_token_and_goes_on_with_it(
    guarded: EventHubServer, identity: Visit, path: str, shown: str
) -> None:
    page = identity(guarded).open(path)
    refused(page)
    use(page, token())
    expect(page.locator(shown)).to_have_count(1)
    expect(page.locator("#token")).to_be_hidden()
    expect(page.locator("#state")).to_be_hidden()


def test_a_token_that_does_not_allow_the_pattern_is_refused_and_another_one_helps(
    guarded: EventHubServer, identity: Visit
) -> None:
    page = identity(guarded).open(f"/logs/logs.>#token={token(pattern='logs.secret')}")
    refused(page)
    assert "token" not in page.url
    use(page, token())
    expect(page.locator(".line:visible")).to_contain_text("seen")


def test_history_beyond_the_page_is_loaded_with_the_token_over_a_connection_of_its_own(
    guarded: EventHubServer, identity: Visit
) -> None:
    visitor = identity(guarded)
    connections: list[WebSocketRoute] = []
    asked: list[Any] = []

    def connect(route: WebSocketRoute) -> None:
        connections.append(route)
        if len(connections) == 1:
            route.connect_to_server()
            return
        route.send(json.dumps({"type": "hello", "session": "s", "version": "0", "limits": {}}))
        route.on_message(lambda message: answer(route, json.loads(message)))

    def answer(route: WebSocketRoute, message: Any) -> None:
        """As a server that has one reading, of a minute and a half ago."""
        asked.append(message)
        told: dict[str, Any] = {"ref": message["ref"], "channel": "iot.secret"}
        if message["type"] == "auth":
            route.send(json.dumps({"type": "authenticated", "principal": "ana", **told}))
        if message["type"] == "subscribe":
            time = (datetime.now(UTC) - timedelta(seconds=90)).isoformat()
            ends = {"position": "past-0", "head": "past-1", "recovered": True}
            route.send(json.dumps({"type": "subscribed", **told, **ends}))
            event = {"id": "past-1", "time": time, "data": {"value": 42}}
            route.send(json.dumps({"type": "event", **told, **event}))

    visitor.context.route_web_socket("**/v1/ws", connect)
    secret = token()
    page = visitor.open(f"/iot/iot.secret?since=1m#token={secret}")
    expect(page.locator(".tile .number")).to_have_text("7")
    page.get_by_role("button", name="Zoom out").click()
    expect(page.get_by_role("img", name=re.compile("secret from (7|42) to 42"))).to_be_visible()
    expect(page.locator(".tile .number")).to_have_text("7")  # the newest
    assert next((each["type"], each.get("token")) for each in asked) == ("auth", secret)
    assert asked[1]["where"].startswith('time >= timestamp("')
