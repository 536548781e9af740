"""axe-core, Deque's checker of accessibility, finds nothing on any page, in light and dark.

WCAG 2.2, level AA.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.conftest import ARGUMENTS
from tests.harness.clients import http
from tests.harness.eventhub import EventHubServer

AXE = Path(__file__).parent / "node_modules/axe-core/axe.min.js"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
CHECK = "(tags) => axe.run({ runOnly: tags, resultTypes: ['violations'] })"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path="/usr/bin/chromium-headless-shell", args=ARGUMENTS
        )
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventHubServer]:
    with EventHubServer(tmp_path_factory.mktemp("axe")) as running:
        levels = ["debug", "info", "warning", "error", "critical"]
        logs = [
            {"level": level, "message": f"{level} line", "fields": {"status": 500}}
            for level in levels
        ]
        readings = [
            {"value": value, "unit": "Cel", "quality": quality}
            for value, quality in ((20, "good"), (21, "uncertain"), (99, "bad"))
        ]
        chat = [
            {"sender": sender, "text": text}
            for sender, text in (
                ("rui", "oi @ana, **read** https://example.org and `code`"),
                ("ana", "```\na block\n```"),
                ("ana", "again"),
            )
        ]
        for channel, events in (
            ("chat.lobby", chat),
            ("logs.api", logs), ("logs.web", logs), ("iot.t1", readings), ("iot.t2", readings[:1]),
        ):  # fmt: skip
            answer = http.post(f"{running.url}/v1/channels/{channel}", json=events)
            answer.raise_for_status()
        yield running


def ready(page: Page, selector: str) -> None:
    expect(page.locator(selector).first).to_be_visible()


def with_fields(page: Page) -> None:
    lines = page.locator(".line:visible")
    expect(lines).to_have_count(10)  # those of two services move among each other as they come
    lines.nth(3).click()
    ready(page, "#details")


def with_everything(page: Page) -> None:
    """A reaction, a deletion, suggestions, and the buttons of a message."""
    page.locator(".message").first.focus()
    page.keyboard.press("r")
    scheme = page.evaluate("() => matchMedia('(prefers-color-scheme: dark)').matches")
    page.locator("#palette button").nth(int(scheme)).click()  # the same one again takes it back
    ready(page, ".reaction")
    page.locator(".changeable").last.focus()
    page.keyboard.press("Delete")
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    ready(page, ".deleted")
    page.locator("#text").type(":rocket")
    ready(page, "#suggestions li")
    page.locator(".message").nth(1).hover()


def with_a_dialog(page: Page) -> None:
    page.locator(".message").first.focus()
    page.keyboard.press("r")
    ready(page, "#palette")


def with_thresholds(page: Page) -> None:
    ready(page, ".breach:visible")
    page.get_by_text("Thresholds").click()


def with_a_type(page: Page) -> None:
    page.locator("#types summary").first.click()
    ready(page, "#types .fields")


STATES: list[tuple[str, str, Callable[[Page], Any] | None]] = [
    ("/", "#channels li", None),
    ("/docs", "#channel-types article", None),
    ("/chat/lobby", ".message", with_everything),
    ("/chat/lobby", ".message", with_a_dialog),
    ("/chat/empty", "#empty", None),
    ("/explore", "#channels tr", with_a_type),
    ("/explore/logs.>", "#rows tr", None),
    ("/explore/logs.none?where=1%20%3D", "#where-fault", None),
    ("/operate", "#state[data-kind=refused]", None),
    ("/chat/no room", "#problem", None),
    ("/logs/logs.>", ".line", with_fields),
    ("/logs/logs.empty", "#state[data-kind=empty]", None),
    ("/logs/logs.api?where=1%20%3D", "#state[data-kind=refused]", None),
    ("/logs/logs.api?from=2020-01-01T00:00Z&to=2020-01-02T00:00Z", "#fixed", None),
    ("/iot/iot.>?limits=Cel:1:50", ".tile", with_thresholds),
    ("/iot/iot.>?big", ".tile", None),
]


@pytest.mark.parametrize(
    ("width", "scheme"), [(1280, "light"), pytest.param(360, "dark", marks=pytest.mark.proof)]
)
def test_no_page_violates_a_rule(
    server: EventHubServer, browser: Browser, width: int, scheme: Any
) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": 800},
        color_scheme=scheme,
        bypass_csp=True,  # for the checker, not for the page
        reduced_motion="reduce",
    )
    context.add_init_script("localStorage.setItem('eventhub.name', 'ana')")
    page = context.new_page()
    found = {}
    for path, selector, then in STATES:
        page.goto(server.url + path)
        ready(page, selector)
        if then:
            then(page)
        page.evaluate(AXE.read_text())
        for violation in page.evaluate(CHECK, TAGS)["violations"]:
            nodes = [node["html"][:120] for node in violation["nodes"]]
            found[f"{path} {violation['id']}"] = nodes
    context.close()
    assert not found
