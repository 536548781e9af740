"""The JavaScript client in Chromium behind a proxy that refuses WebSockets."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from tests.browser.refusing_proxy import RefusingProxy
from tests.harness.clients import http
from tests.harness.eventhub import EventHubServer

CONFIG = """
broker: sqlite:///events.db
channels:
  chat: {payload: json, presence: true, publish: [client, producer], signals: {publish: [producer]}}
  iot: {payload: json, key: /id}
  places: {payload: json}
  closed: {payload: json, publish: [producer]}
"""
FOLLOW = """async (server) => {
    const { EventHub } = await import("/static/client.js");
    globalThis.got = [];
    globalThis.statuses = [];
    globalThis.hub = new EventHub(server, {
        backoff: { base: 0.05, cap: 0.5 },
        onStatus: (status) => statuses.push(status),
    });
    const note = (name) => ({
        onEvent: ({ channel, data }) => got.push([name, channel, data?.n ?? data]),
        onGap: ({ reason }) => got.push([name, "gap", reason]),
        onSignal: ({ data }) => got.push([name, "signal", data]),
        onPresence: ({ members }) => got.push([name, "members", members.map(({ id }) => id)]),
        onError: ({ code }) => got.push([name, "error", code]),
    });
    hub.subscribe("chat.a", {
        since: "earliest", presence: true, member: { id: "ana", data: { status: "here" } },
        ...note("a"),
    });
    globalThis.b = hub.subscribe("chat.b", note("b"));
    hub.subscribe("iot.>", { since: "state", ...note("iot") });
    hub.subscribe("iot.x.y.unknown!", note("bad"));
}"""

SUBSCRIBED = "() => b.cursor !== null"
"""Until then, a subscription to the newest events begins anew after a break."""

MANY = """async (server) => {
    const { EventHub } = await import("/static/client.js");
    Object.assign(globalThis, { got: [], statuses: [], ready: false });
    globalThis.hub = new EventHub(server, { backoff: { base: 0.05, cap: 0.5 } });
    hub.subscribe("places.>", {
        onReplayed: () => (ready = true),
        onEvent: ({ channel, data }) => got.push(["places", channel, data.n]),
        onGap: (gap) => got.push(gap),
        onError: ({ code, message }) => got.push([code, message]),
    });
}"""


@pytest.fixture(scope="module", name="hub")
def hub_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventHubServer]:
    with EventHubServer(tmp_path_factory.mktemp("sse"), CONFIG) as running:
        yield running


@pytest.fixture(name="proxy")
def proxy_fixture(hub: EventHubServer) -> Iterator[RefusingProxy]:
    with RefusingProxy(hub.port) as running:
        yield running


@pytest.fixture(name="page")
def page_fixture(browser: Browser) -> Iterator[Page]:
    page = browser.new_page()  # whose console tells of refused WebSockets
    yield page
    page.close()


def publish(hub: EventHubServer, channel: str, *values: Any) -> None:
    items = [{"channel": channel, "data": value} for value in values]
    answer = http.post(f"{hub.url}/v1/events", content=json.dumps(items))
    assert answer.status_code == 201, answer.text


WAIT = """(entries) => {
    const wanted = entries.map((each) => JSON.stringify(each));
    const found = got.map((each) => JSON.stringify(each)).filter((each) => wanted.includes(each));
    // Channels of a pattern have no order between them.
    const inOrder = (list) => list.toSorted((a, b) => channel(a).localeCompare(channel(b))).join();
    const channel = (each) => JSON.parse(each).slice(0, 2).join();
    return inOrder(found) === inOrder(wanted);
}"""


def waits_for(page: Page, *entries: Any) -> None:
    """Until each of these was heard, once, and those of a channel in this order."""
    try:
        page.wait_for_function(WAIT, arg=entries, timeout=60_000)
    except PlaywrightTimeout:
        raise AssertionError(page.evaluate("() => ({ got, statuses })")) from None


def test_events_come_over_http_where_a_proxy_refuses_websockets(
    hub: EventHubServer, proxy: RefusingProxy, page: Page
) -> None:
    publish(hub, "chat.a", 1, 2)
    publish(hub, "iot.t.1", {"id": "x", "n": 1}, {"id": "x", "n": 2})
    page.goto(proxy.url)
    page.evaluate(FOLLOW, proxy.url)
    waits_for(page, ["a", "chat.a", 1], ["a", "chat.a", 2], ["a", "members", ["ana"]])
    waits_for(page, ["iot", "iot.t.1", 2])
    waits_for(page, ["bad", "error", "invalid_channel"])
    said = page.evaluate("() => statuses.at(-1)")
    assert (said["state"], said["transport"]) == ("open", "sse")
    assert "a proxy may refuse them" in said["reason"]
    assert proxy.refused >= 2
    published = page.evaluate("() => hub.publish('chat.b', { n: 7 })")
    waits_for(page, ["b", "chat.b", 7])
    assert published["channel"] == "chat.b"
    assert page.evaluate("() => hub.signal('chat.a', 'typing')") is True
    waits_for(page, ["a", "signal", "typing"])
    refused = page.evaluate("() => hub.publish('no.such', 1).catch(({ code }) => code)")
    assert refused == "unknown_channel"
    hub.kill()
    hub.start()
    publish(hub, "chat.a", 3)
    publish(hub, "iot.t.1", {"id": "x", "n": 3})
    publish(hub, "iot.born", {"id": "y", "n": 4})
    waits_for(page, ["a", "chat.a", 1], ["a", "chat.a", 2], ["a", "chat.a", 3])
    waits_for(page, ["iot", "iot.t.1", 2], ["iot", "iot.t.1", 3], ["iot", "iot.born", 4])


def test_a_server_that_was_away_gets_a_websocket_again(hub: EventHubServer, page: Page) -> None:
    page.goto(hub.url)
    page.evaluate(FOLLOW, hub.url)
    page.wait_for_function(SUBSCRIBED, timeout=60_000)
    hub.kill()
    failures = "statuses.filter(({ state }) => state === 'waiting').length"
    page.wait_for_function(f"() => {failures} >= 3", timeout=60_000)
    hub.start()
    page.evaluate("() => hub.publish('chat.b', { n: 'back' })")
    waits_for(page, ["b", "chat.b", "back"])
    assert page.evaluate("() => statuses.filter(({ transport }) => transport)") == []


def test_a_websocket_is_used_again_on_the_next_network(
    hub: EventHubServer, proxy: RefusingProxy, page: Page
) -> None:
    page.goto(proxy.url)
    page.evaluate(FOLLOW, proxy.url)
    page.wait_for_function("() => statuses.at(-1).transport === 'sse'", timeout=60_000)
    page.wait_for_function(SUBSCRIBED, timeout=60_000)
    proxy.refuses = False
    page.context.set_offline(True)
    page.wait_for_function("() => statuses.at(-1).state === 'offline'", timeout=60_000)
    page.context.set_offline(False)
    page.wait_for_function(
        "() => statuses.at(-1).state === 'open' && !statuses.at(-1).transport", timeout=60_000
    )
    page.evaluate("() => hub.publish('chat.b', { n: 'again' })")
    waits_for(page, ["b", "chat.b", "again"])


def test_a_pattern_resumes_over_http_with_more_positions_than_an_address_holds(
    hub: EventHubServer, proxy: RefusingProxy, page: Page
) -> None:
    names = [f"places.{number}.{'x' * 180}" for number in range(200)]
    items = [{"channel": name, "data": {"n": 0}} for name in names]
    answer = http.post(f"{hub.url}/v1/events", content=json.dumps(items))
    assert answer.status_code == 201, answer.text
    page.goto(proxy.url)
    page.evaluate(MANY, proxy.url)
    page.wait_for_function("() => hub.status.transport && ready", timeout=60_000)
    publish(hub, names[3], {"n": 1})
    waits_for(page, ["places", names[3], 1])
    hub.kill()
    hub.start()
    publish(hub, names[3], {"n": 2})
    publish(hub, names[4], {"n": 3})
    publish(hub, "places.born", {"n": 4}, {"n": 5})
    waits_for(page, *(["places", name, n] for name, n in ((names[3], 1), (names[3], 2))))
    waits_for(page, ["places", names[4], 3], ["places", "places.born", 4])
    publish(hub, names[3], {"n": 6})
    publish(hub, "places.born", {"n": 7})
    expected = [(names[3], 1), (names[3], 2), (names[4], 3), (names[3], 6)]
    expected += [("places.born", n) for n in (4, 5, 7)]
    waits_for(page, *(["places", name, n] for name, n in expected))
    assert len(page.evaluate("() => got")) == len(expected)
