"""`python -m tests.bench.pages`: how soon each web page can be used, and what a load of it costs.

Each load of a page is in a new browser context, so nothing is cached; then it is loaded again in
that context. A page sets the mark "interactive" when its controls work.
"""

import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, sync_playwright

from tests.bench.machine import wait_until_calm
from tests.browser.conftest import ARGUMENTS
from tests.harness.clients import http
from tests.harness.eventhub import EventHubServer

ROUNDS = 15
PAGES = ("/", "/chat/lobby", "/logs/logs.>", "/iot/iot.>", "/explore", "/operate", "/docs")
INTERACTIVE = """() => new Promise((resolve) => {
    const [found] = performance.getEntriesByName("interactive");
    if (found) return resolve(found.startTime);
    new PerformanceObserver((list) => {
        const [mark] = list.getEntriesByName("interactive");
        if (mark) resolve(mark.startTime);
    }).observe({ type: "mark", buffered: true });
})"""
SENT = """() => performance.getEntries()
    .filter(({ entryType }) => ["navigation", "resource"].includes(entryType))
    .reduce((sum, { transferSize }) => sum + transferSize, 0)"""


@dataclass(frozen=True, slots=True)
class LoadedPage:
    """From the start of the navigation, in milliseconds; CPU of the server; bytes received."""

    interactive: float
    cpu: float
    received: float


def main() -> None:
    """Load every page, and print medians."""
    with (
        tempfile.TemporaryDirectory() as name,
        EventHubServer(Path(name)) as server,
        sync_playwright() as playwright,
    ):
        fill(server)
        chromium = playwright.chromium.launch(
            executable_path="/usr/bin/chromium-headless-shell", args=ARGUMENTS
        )
        wait_until_calm(30, 60)
        sys.stdout.write("page: interactive in ms, server CPU in ms, KB received, first / again\n")
        for path in PAGES:
            first, again = zip(*(visit(chromium, server, path) for _ in range(ROUNDS)), strict=True)
            sys.stdout.write(f"{path:14} {medians(list(first))}   / {medians(list(again))}\n")
        chromium.close()


def visit(browser: Browser, server: EventHubServer, path: str) -> tuple[LoadedPage, LoadedPage]:
    """What the first and the second load of a page take."""
    context = browser.new_context()
    context.add_init_script("localStorage.setItem('eventhub.name', 'ana')")
    context.new_page()  # the process that draws pages is there
    found = load(context, server, path), load(context, server, path)
    context.close()
    return found


def load(context: BrowserContext, server: EventHubServer, path: str) -> LoadedPage:
    """Open a page in a new tab until the network is quiet."""
    page = context.new_page()
    before = cpu(server)
    page.goto(server.url + path)
    interactive = page.evaluate(INTERACTIVE)
    page.wait_for_load_state("networkidle")
    found = LoadedPage(interactive, 1000 * (cpu(server) - before), page.evaluate(SENT) / 1000)
    page.close()
    return found


def cpu(server: EventHubServer) -> float:
    """Seconds of CPU time that the server has used."""
    assert server.process is not None
    first, *_ = Path(f"/proc/{server.process.pid}/schedstat").read_text().split()
    return int(first) / 1e9


def medians(loads: list[LoadedPage]) -> str:
    """Medians of the loads, and the slowest."""
    times = [each.interactive for each in loads]
    return (
        f"{statistics.median(times):4.0f} (at most {max(times):4.0f}) "
        f"{statistics.median(each.cpu for each in loads):6.1f} "
        f"{statistics.median(each.received for each in loads):6.0f}"
    )


def fill(server: EventHubServer) -> None:
    """Events for the pages to show."""
    lines = [{"level": "info", "message": f"line {number}"} for number in range(200)]
    readings = [{"value": number, "unit": "Cel"} for number in range(200)]
    words = [{"sender": "ana", "text": f"text {number}"} for number in range(60)]
    for channel, events in (("logs.api", lines), ("iot.t1", readings), ("chat.lobby", words)):
        http.post(f"{server.url}/v1/channels/{channel}", json=events).raise_for_status()


if __name__ == "__main__":
    main()
