"""`python -m tests.browser.screenshots`: a picture of every page in every state, to be looked at.

They are written to .screenshots, for three widths, light and dark. `--readme` writes the pictures
of README.md instead. Events are published at once; their times are spread on the way to the page.
"""

import json
import sys
import tempfile
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from playwright.sync_api import (
    Browser,
    BrowserContext,
    Page,
    Route,
    WebSocketRoute,
    expect,
    sync_playwright,
)

from tests.browser.conftest import ARGUMENTS
from tests.browser.picture_events import CONFIG, OPERATOR, SPANS, fill
from tests.harness.eventhub import EventHubServer

ROOT = Path(__file__).parents[2]
EVERYTHING, README = ROOT / ".screenshots", ROOT / "docs"
WIDTHS = {360: 740, 768: 900, 1440: 900}
QUALITY = 82

Act = Callable[[Page], Any]


def nothing(page: Page) -> None:
    """Leave the page as it is."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A page in a state: its address, what is there when it is ready, and what is done then.

    `silent`: the server does not answer the page. `failing`: it answers with 500.
    """

    path: str
    ready: str
    act: Act = nothing
    silent: bool = False
    failing: bool = False


def offline(page: Page) -> None:
    page.context.set_offline(True)
    expect(page.locator("#status[data-state=offline]")).to_be_visible()


def operate_offline(page: Page) -> None:
    page.context.set_offline(True)
    expect(page.locator("#updated.stale")).to_be_visible()


def fields(page: Page) -> None:
    page.locator(".line:visible").nth(-4).click()
    expect(page.locator("#details")).to_be_visible()


def wrapped(page: Page) -> None:
    page.locator("#scroller").focus()
    page.keyboard.press("w")


def hover(page: Page) -> None:
    page.locator("#log .message").nth(-2).hover()


def suggestions(page: Page) -> None:
    page.locator("#text").type("on my way :rocket")
    expect(page.locator("#suggestions li").first).to_be_visible()


LOADING, EMPTY, REFUSED = (f"#state[data-kind={kind}]" for kind in ("loading", "empty", "refused"))
SHOP = "/logs/logs.shop.>?since=1h"
HALL = "/iot/iot.hall.>?since=1h&limits=Cel:18:24"
LOADED = "body:has(.tile) #counts:not(:has-text('loading'))"
KEY = f"/operate#token={OPERATOR}"
SCENES = {
    "landing": Scene("/", "#channels > li"),
    "landing-loading": Scene("/", "#channels[aria-busy]", silent=True),
    "landing-error": Scene("/", "#channels-problem", failing=True),
    "docs": Scene("/docs", "#channel-types article"),
    "chat": Scene("/chat/team", "#log .message", hover),
    "chat-suggestions": Scene("/chat/team", "#log .message", suggestions),
    "chat-empty": Scene("/chat/nobody", "#empty"),
    "chat-loading": Scene("/chat/team", "#log[aria-busy]", silent=True),
    "chat-offline": Scene("/chat/team", "#log .message", offline),
    "chat-refused": Scene("/chat/team#token=wrong", "#token"),
    "chat-error": Scene("/chat/no%20room", "#problem"),
    "logs": Scene(SHOP, ".line:visible"),
    "logs-fields": Scene(SHOP, ".line:visible", fields),
    "logs-wrapped": Scene(SHOP, ".line:visible", wrapped),
    "logs-empty": Scene("/logs/logs.none", EMPTY),
    "logs-loading": Scene(SHOP, LOADING, silent=True),
    "logs-offline": Scene(SHOP, ".line:visible", offline),
    "logs-refused": Scene(f"{SHOP}&where=data.", REFUSED),
    "logs-error": Scene(f"{SHOP}#token=wrong", "#token"),
    "readings": Scene(HALL, LOADED),
    "readings-big": Scene(f"{HALL}&big", ".tile"),
    "readings-empty": Scene("/iot/iot.none", EMPTY),
    "readings-loading": Scene(HALL, LOADING, silent=True),
    "readings-offline": Scene(HALL, ".tile", offline),
    "readings-refused": Scene("/iot/chat.team", REFUSED),
    "explore-channels": Scene("/explore", "#channels tr"),
    "explore": Scene("/explore/chat.team", "main"),
    "explore-empty": Scene("/explore/chat.nobody", "main"),
    "operate": Scene(KEY, "#nodes tr"),
    "operate-loading": Scene(KEY, LOADING, silent=True),
    "operate-offline": Scene(KEY, "#nodes tr", operate_offline),
    "operate-refused": Scene("/operate", REFUSED),
}
PICTURES = {"chat": (900, 560), "logs": (1100, 600), "readings": (1100, 640)}


def main() -> None:
    """Take the pictures whose names begin with one of the arguments, or all."""
    readme = "--readme" in sys.argv
    names = tuple(word for word in sys.argv[1:] if not word.startswith("--"))
    with (
        tempfile.TemporaryDirectory() as name,
        EventHubServer(Path(name), CONFIG) as server,
        sync_playwright() as playwright,
    ):
        fill(server)
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium-headless-shell", args=ARGUMENTS
        )
        if readme:
            for picture, size in PICTURES.items():
                take(browser, server, SCENES[picture], size, "light", README / f"{picture}.webp")
        else:
            take_all(browser, server, names or ("",))
        browser.close()


def take_all(browser: Browser, server: EventHubServer, names: tuple[str, ...]) -> None:
    """Each scene whose name begins so, at each width, light and dark."""
    EVERYTHING.mkdir(exist_ok=True)
    for name, scene in SCENES.items():
        if name.startswith(names):
            for size in WIDTHS.items():
                for scheme in ("light", "dark"):
                    file = EVERYTHING / f"{name}-{size[0]}-{scheme}.png"
                    take(browser, server, scene, size, scheme, file)


def take(
    browser: Browser,
    server: EventHubServer,
    scene: Scene,
    size: tuple[int, int],
    scheme: Any,
    file: Path,
) -> None:
    """Write one picture."""
    viewport: Any = {"width": size[0], "height": size[1]}
    context = browser.new_context(
        viewport=viewport, color_scheme=scheme, reduced_motion="reduce", locale="en-GB"
    )
    context.add_init_script("localStorage.setItem('eventhub.name', 'ana')")
    held = prepare(context, scene)
    page = context.new_page()
    page.goto(server.url + scene.path)
    expect(page.locator(scene.ready).first).to_be_visible()
    page.wait_for_timeout(700)  # charts are drawn some times a second
    scene.act(page)
    page.wait_for_timeout(300)
    kind = file.suffix.removeprefix(".")
    form = {"format": kind} if kind == "png" else {"format": kind, "quality": QUALITY}
    picture = page.context.new_cdp_session(page).send("Page.captureScreenshot", form)
    file.write_bytes(b64decode(picture["data"]))
    for request in held:
        request.abort()
    context.close()


def prepare(context: BrowserContext, scene: Scene) -> list[Route]:
    """Make the server answer as the scene says. Returns the requests without an answer."""
    held: list[Route] = []
    if scene.silent:
        context.route("**/v1/**", lambda route: held.append(route))
        context.route_web_socket("**/v1/ws**", lambda route: None)
    elif scene.failing:
        context.route("**/v1/**", lambda route: route.fulfill(status=500))
    else:
        context.route_web_socket("**/v1/ws**", spread)
    return held


def spread(route: WebSocketRoute) -> None:
    """Give each event on the way to the page a time in the last hour."""
    upstream = route.connect_to_server()
    begin = datetime.now(UTC)

    def forward(message: str | bytes) -> None:
        told = json.loads(message)
        if told["type"] == "event" and (span := SPANS.get(told["channel"])):
            left = span.events - int(told["id"].rpartition("-")[2])
            time = begin - left * timedelta(seconds=span.seconds) / span.events
            told["time"] = time.isoformat().replace("+00:00", "Z")
        route.send(json.dumps(told))

    upstream.on_message(forward)


if __name__ == "__main__":
    main()
