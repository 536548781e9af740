"""One Chromium for all browser tests, a server for the pages, and visitors whose console must stay
clean.
"""

import mimetypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Route,
    expect,
    sync_playwright,
)

from tests.harness.eventhub import EventHubServer

WEB = Path(__file__).parents[2] / "web"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
ARGUMENTS += [
    "--host-resolver-rules=MAP rebound.test 127.0.0.1"
]  # what an attacker has made of its name
ARGUMENTS += [
    "--renderer-process-limit=1",
    "--disable-site-isolation-trials",
    "--in-process-gpu",
    "--disable-features=IsolateOrigins,site-per-process,Translate,BackForwardCache",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

# What Chromium itself writes when a server is away or refuses an event. All else on the console is
# a fault of a page.
NETWORK = (
    "WebSocket connection to",
    "ERR_CONNECTION_REFUSED",
    "ERR_INTERNET_DISCONNECTED",
    *(f"with a status of {status}" for status in (400, 401, 403, 422)),
)

Evaluate = Callable[[str], Any]

expect.set_options(timeout=30_000)  # milliseconds: a busy machine is no fault of a page


class Visitor:
    """One person's browser: tabs share its storage, and every complaint of a page is kept."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.context = context
        self.url = url
        self.complaints: list[str] = []

    def open(self, path: str) -> Page:
        page = self.context.new_page()
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.complaints.append(f"uncaught: {error}"))
        page.goto(self.url + path)
        return page

    def chat(self, name: str, room: str) -> Page:
        """A tab of that room, past the question for a name, connected and with its history."""
        page = self.open(f"/chat/{room}")
        page.get_by_role("textbox", name="Name", exact=True).fill(name)
        page.keyboard.press("Enter")
        return settled(page)

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not any(
            words in message.text for words in NETWORK
        ):
            self.complaints.append(f"{message.type}: {message.text}")


def settled(page: Page) -> Page:
    """Waits until the chat page is connected and its history has arrived."""
    expect(page.locator("#status")).to_have_attribute("data-state", "open")
    expect(page.locator("#log")).not_to_have_attribute("aria-busy", "true")
    return page


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path="/usr/bin/chromium-headless-shell", args=ARGUMENTS
        )
        yield chromium
        chromium.close()


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventHubServer]:
    """Shared: each test has a room or channel of its own."""
    with EventHubServer(tmp_path_factory.mktemp("browser")) as running:
        yield running


@pytest.fixture
def fragile_server(tmp_path: Path) -> Iterator[EventHubServer]:
    """For tests that stop it."""
    with EventHubServer(tmp_path) as running:
        yield running


@contextmanager
def entrance(browser: Browser) -> Iterator[Callable[..., Visitor]]:
    """Lets a new person in; `settings` are those of a browser context."""
    visitors: list[Visitor] = []

    def enter(server: EventHubServer, **settings: Any) -> Visitor:
        options = {"reduced_motion": "reduce", **settings}  # what moves costs a tenth of the time
        visitors.append(Visitor(browser.new_context(**options), server.url))
        return visitors[-1]

    yield enter
    for visitor in visitors:
        visitor.context.close()
    assert [visitor.complaints for visitor in visitors] == [[] for _ in visitors]


@pytest.fixture
def identity(browser: Browser) -> Iterator[Callable[..., Visitor]]:
    with entrance(browser) as enter:
        yield enter


@pytest.fixture(scope="package")
def modules(browser: Browser) -> Iterator[Page]:
    """A blank page from which the modules of web/ can be imported; no server is there."""
    context = browser.new_context()
    context.route("**/*", _from_disk)
    context.add_init_script(path=Path(__file__).parent / "fakes.js")
    page = context.new_page()
    page.goto("http://hub.test/")
    yield page
    context.close()


@pytest.fixture
def run(modules: Page) -> Evaluate:
    """Runs the body of an async function that has the helpers of fakes.js: `start`, `accept`,
    `event` and `outcome`.
    """
    return lambda body: modules.evaluate(f"() => inTime(async () => {{ {body} }})")


def _from_disk(route: Route) -> None:
    path = urlsplit(route.request.url).path
    if not path.startswith("/static/"):
        return route.fulfill(body="<!doctype html>", content_type="text/html")
    file = WEB / path.removeprefix("/static/")
    return route.fulfill(
        body=file.read_bytes(), content_type=mimetypes.guess_type(file.name)[0] or ""
    )
