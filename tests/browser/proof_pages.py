"""The pages that people keep open need no more memory after 200,000 events than after 50,000.

`make pages-proof` runs it. The short form is in test_logs.py and test_readings.py.
"""

import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import CDPSession, Page, expect

from tests.browser.conftest import Visitor
from tests.harness.clients import http
from tests.harness.eventhub import EventHubServer

Visit = Callable[..., Visitor]
EVENTS, FIRST, BATCH = 200_000, 50_000, 1000
BEHIND = 5_000
"""How far the page of logs may be behind: the channel keeps 10,000 lines, and none shall expire."""
MORE = 8_000_000
"""Bytes of heap that may be added: the lists of JavaScript grow in steps."""


def used(session: CDPSession) -> dict[str, float]:
    """What the page uses after a collection of garbage."""
    session.send("HeapProfiler.collectGarbage")
    metrics = session.send("Performance.getMetrics")["metrics"]
    return {metric["name"]: metric["value"] for metric in metrics}


def batches(server: EventHubServer, channel: str, event: Callable[[int], Any]) -> Iterator[int]:
    """Publishes the events, a batch at a time. Yields how many there are."""
    for start in range(0, EVENTS, BATCH):
        body = [event(number) for number in range(start, start + BATCH)]
        answer = http.post(f"{server.url}/v1/channels/{channel}", json=body)
        answer.raise_for_status()
        yield start + BATCH


def session_of(page: Page) -> CDPSession:
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    session.send("HeapProfiler.enable")
    return session


def flat(before: dict[str, float], after: dict[str, float]) -> None:
    """Besides, it writes what it found, for `-s`."""
    names = ("JSHeapUsedSize", "Nodes")
    sys.stderr.write(f"{[(name, before[name], after[name]) for name in names]}\n")
    assert after["JSHeapUsedSize"] < before["JSHeapUsedSize"] + MORE
    assert after["Nodes"] < before["Nodes"] + 500


@pytest.mark.parametrize("held", [False, True])
def test_logs_are_flat(server: EventHubServer, identity: Visit, *, held: bool) -> None:
    channel = f"logs.proof-{'held' if held else 'followed'}"
    page = identity(server).open(f"/logs/{channel}")
    expect(page.locator("#state[data-kind=empty]")).to_be_visible()
    session = session_of(page)
    before = used(session)

    def line(number: int) -> dict[str, Any]:
        fields = {"status": 200 + number % 7, "path": f"/v1/things/{number}"}
        return {"level": "info", "message": f"line {number}", "fields": fields}

    for count in batches(server, channel, line):
        if count == BATCH and held:
            page.locator(".line:visible").first.click()
        if count % BEHIND == 0:
            expect(page.locator("#counts")).to_contain_text(f"{count:,} lines")
        if count == FIRST:
            before = used(session)
    after = used(session)
    flat(before, after)
    if held:
        page.get_by_role("button", name=re.compile("new lines")).click()
        expect(page.locator(".line.note")).to_have_count(0)  # it is far above
    expect(page.locator(".line:visible").last).to_contain_text(f"line {EVENTS - 1}")


def test_readings_are_flat(server: EventHubServer, identity: Visit) -> None:
    page = identity(server).open("/iot/iot.proof.>?since=1m")
    expect(page.locator("#state[data-kind=empty]")).to_be_visible()
    session = session_of(page)
    before = used(session)
    for count in batches(
        server, "iot.proof.x", lambda number: {"value": number, "sensor": f"s{number % 5}"}
    ):
        if count == 4 * FIRST // 2:  # each sensor has as many readings as it keeps
            expect(page.locator(".number").last).to_have_text(f"{count - 1:,}")
            before = used(session)
    expect(page.locator(".number").last).to_have_text(f"{EVENTS - 1:,}")
    after = used(session)
    flat(before, after)
