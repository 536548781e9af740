"""What a page loads: little, nothing from another host, and all of its modules at once."""

import gzip
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Response, expect

from tests.browser.conftest import Visitor
from tests.harness.eventhub import EventHubServer

Visit = Callable[..., Visitor]
BYTES = 70_000
UNCHANGED = """() => performance.getEntriesByType("resource")
    .filter(({ name }) => name.includes("/static/"))
    .map(({ name, transferSize }) => [name, transferSize])"""
"""What a page that is loaded again asked for, and the bytes that it received for it."""
PAGES = [
    ("/", "#channels li"),
    ("/logs/logs.light", "#state[data-kind=empty]"),
    ("/iot/iot.light", "#state[data-kind=empty]"),
    ("/docs", "#channel-types article"),
    ("/chat/light", "#status"),
    ("/explore", "#types details"),
    ("/explore/iot.light", "#state[data-kind=empty]"),
    ("/operate", "#state[data-kind=refused]"),
]


@pytest.mark.parametrize(("path", "ready"), PAGES)
def test_a_page_is_light_and_asks_no_other_host(
    server: EventHubServer, identity: Visit, path: str, ready: str
) -> None:
    visitor = identity(server)
    visitor.context.add_init_script("localStorage.setItem('eventhub.name', 'ana')")
    answers: list[Response] = []
    visitor.context.on("response", lambda answer: answers.append(answer))
    page = visitor.open(path)
    expect(page.locator(ready).first).to_be_visible()
    page.wait_for_load_state("networkidle")
    files = [answer for answer in answers if "/v1/" not in answer.url]
    assert {urlsplit(answer.url).netloc for answer in answers} == {urlsplit(server.url).netloc}
    sizes = {answer.url: len(gzip.compress(answer.body(), 9)) for answer in files if answer.ok}
    assert sum(sizes.values()) < BYTES, sizes
    named = page.locator("head script, link[rel=modulepreload]").evaluate_all(
        "(all) => all.map(({ src, href }) => src || href)"
    )
    assert sorted(named) == sorted(url for url in sizes if url.endswith(".js"))
    assert page.evaluate("performance.getEntriesByName('interactive').length") == 1
    page.reload()
    expect(page.locator(ready).first).to_be_visible()
    kept = page.evaluate(UNCHANGED)
    assert {kind for _, kind in kept} == {0}, kept
    assert len(kept) >= len(named)
