"""Chromium's own EventSource on a pattern of many channels: after a kill of the server it resumes
with the last id, which is a cursor of all channels.
"""

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.harness.clients import http
from tests.harness.eventhub import EventHubServer

CONFIG = """
broker: sqlite:///events.db
channels:
  iot: {payload: json, history: {events: 1000}}
"""
CHANNELS = [f"iot.greenhouse.{number}" for number in range(100)]
LISTEN = """
    window.got = [];
    window.ids = [];
    const source = new EventSource("/v1/sse?channel=iot.>&since=earliest");
    const note = (event) => { window.ids.push(event.lastEventId.length); };
    source.onmessage = (event) => {
        const { channel, data } = JSON.parse(event.data);
        window.got.push(`${channel}=${data}`);
        note(event);
    };
    for (const kind of ["subscribed", "gap"]) {
        source.addEventListener(kind, (event) => {
            if (kind === "gap" || !JSON.parse(event.data).recovered) {
                window.got.push(event.data);
            }
            note(event);
        });
    }
"""


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventHubServer]:
    with EventHubServer(tmp_path_factory.mktemp("patterns"), CONFIG) as running:
        yield running


def publish(server: EventHubServer, number: int) -> None:
    items = [{"channel": channel, "data": number} for channel in CHANNELS]
    answer = http.post(f"{server.url}/v1/events", content=json.dumps(items))
    assert answer.status_code == 201, answer.text


def has(page: Page, count: int) -> None:
    page.wait_for_function(f"() => window.got.length >= {count}", timeout=60_000)


def test_an_event_source_of_a_pattern_resumes_exactly_after_a_kill(
    server: EventHubServer, browser: Browser
) -> None:
    publish(server, 1)
    page = browser.new_page()  # whose console tells of the broken connection
    page.goto(server.url)
    page.evaluate(LISTEN)
    has(page, 100)
    publish(server, 2)
    has(page, 200)
    server.kill()
    server.start()
    publish(server, 3)
    publish(server, 4)
    has(page, 400)
    got = page.evaluate("() => window.got")
    expected = [f"{channel}={number}" for channel in CHANNELS for number in range(1, 5)]
    assert sorted(got) == sorted(expected)
    for channel in CHANNELS:
        assert [each for each in got if each.startswith(f"{channel}=")] == [
            f"{channel}={number}" for number in range(1, 5)
        ]
    assert max(page.evaluate("() => window.ids")) < 1300
    page.close()
