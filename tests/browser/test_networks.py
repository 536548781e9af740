"""Pages on a slow network, and without one: each loads, says that it loads, shows everything once,
says that it is offline, and goes on.
"""

import functools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from eventhub.auth.keys import hash_key
from tests.browser.conftest import Visitor
from tests.harness.clients import http
from tests.harness.eventhub import EventHubServer

Visit = Callable[..., Visitor]
OPERATOR = "ehk_operator-0123456789"
CONFIG = f"""
auth: {{keys: [{{name: boss, hash: "{hash_key(OPERATOR)}", operator: true, subscribe: ['>']}}]}}
channels:
  chat:
    payload: chat
    presence: true
    publish: [client, producer]
    anonymous: [subscribe, publish, presence]
  logs: {{payload: log, anonymous: [subscribe, publish]}}
  iot: {{payload: reading, anonymous: [subscribe, publish]}}
"""
SEEN = """(() => {
    const look = () => {
        const shown = document.querySelector(SELECTOR);
        if (shown?.getBoundingClientRect().height > 0) window.sawLoading = true;
        else requestAnimationFrame(look);
    };
    look();
})();"""
"""Notices in the page itself that this is shown: the test may look when it is over."""
SLOW = {"offline": False, "latency": 400, "downloadThroughput": 50_000, "uploadThroughput": 50_000}


@dataclass(frozen=True, slots=True)
class Case:
    """A page: what it shows while it loads, the things that it shows, how many, and what says
    that there is no network.
    """

    path: str
    loading: str
    things: str
    count: int
    offline: str = ""


AWAY = "#banner:not([hidden])"
CASES = {
    "logs": Case("/logs/logs.net", "#state[data-kind=loading]", ".line:visible", 9, AWAY),
    "readings": Case("/iot/iot.net", "#state[data-kind=loading]", ".tile", 3, AWAY),
    "chat": Case("/chat/net", "#log[aria-busy]", "#log .message", 9, "#status[data-state=offline]"),
    "operate": Case(
        f"/operate#token={OPERATOR}", "#state[data-kind=loading]", "#nodes tr", 1, "#updated.stale"
    ),
    "landing": Case("/", "#channels[aria-busy]", "#channels > li", 3),
    "docs": Case("/docs", "#operations[aria-busy]", "#channel-types article", 3),
}
LONG = ("operate", "landing", "docs")
PAGES = [
    pytest.param(case, marks=[pytest.mark.proof] if name in LONG else [], id=name)
    for name, case in CASES.items()
]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventHubServer]:
    with EventHubServer(tmp_path_factory.mktemp("networks"), CONFIG) as running:
        lines = [{"level": "info", "message": f"line {number}"} for number in range(9)]
        readings = [{"value": number, "sensor": f"s{number % 3}"} for number in range(9)]
        words = [{"sender": "rui", "text": f"text {number}"} for number in range(9)]
        for channel, events in (("logs.net", lines), ("iot.net", readings), ("chat.net", words)):
            http.post(f"{running.url}/v1/channels/{channel}", json=events).raise_for_status()
        yield running


def opened(visitor: Visitor, path: str) -> Page:
    """The page on a slow network, as soon as its HTML begins to come."""
    visitor.context.add_init_script("localStorage.setItem('eventhub.name', 'ana')")
    visitor.context.on("page", slowed)
    page = visitor.open("/static/pages/common/favicon.svg")
    page.goto(visitor.url + path, wait_until="commit")
    return page


def slowed(page: Page) -> None:
    session: Any = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.send("Network.emulateNetworkConditions", SLOW)


@pytest.mark.parametrize("case", PAGES)
def test_a_slow_page_says_that_it_loads_and_shows_everything_once(
    hub: EventHubServer, identity: Visit, case: Case
) -> None:
    visitor = identity(hub)
    visitor.context.add_init_script(SEEN.replace("SELECTOR", json.dumps(case.loading)))
    page = opened(visitor, case.path)
    page.wait_for_function("() => window.sawLoading")
    expect(page.locator(case.things)).to_have_count(case.count)
    expect(page.locator(case.loading)).to_be_hidden()


@pytest.mark.parametrize("case", [case for case in PAGES if case.values[0].offline])  # type: ignore[union-attr]  # a Case
def test_a_page_without_a_network_says_so_and_goes_on(
    hub: EventHubServer, identity: Visit, case: Case
) -> None:
    visitor = identity(hub)
    visitor.context.add_init_script("localStorage.setItem('eventhub.name', 'ana')")
    page = visitor.open(case.path)
    shown = functools.partial(page.locator, case.things)
    expect(shown()).to_have_count(case.count)
    visitor.context.set_offline(True)
    expect(page.locator(case.offline)).to_be_visible()
    expect(shown()).to_have_count(case.count)
    visitor.context.set_offline(False)
    expect(page.locator(case.offline)).to_have_count(0)
    expect(shown()).to_have_count(case.count)
