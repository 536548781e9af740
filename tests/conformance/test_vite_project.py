"""The packed JavaScript client in a fresh Vite, React and TypeScript project, which is built and
driven in Chromium from another origin than the server's. The built page runs with React 18, too.
"""

import functools
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.browser.conftest import ARGUMENTS
from tests.conformance.javascript_types import CLIENT, TOOLS
from tests.harness.clients import http
from tests.harness.eventhub import EventHubServer

PROJECT = Path(__file__).parent / "vite_project"
REACT = ("react", "react-dom", "scheduler")
LINKED = (*REACT, "vite", "@vitejs", "@types", "csstype")
"""What package-lock.json pins beside the client, which is installed from its tarball."""
REACT_18 = TOOLS.parents[1] / "react18" / "node_modules"
CONFIG = """
broker: sqlite:///events.db
origins: ["{origin}"]
channels:
  orders: {{payload: json, publish: [client, producer]}}
  places: {{payload: json, key: /id}}
  light: {{payload: json, publish: [client, producer]}}
  room: {{payload: json, presence: true}}
"""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name it has above
        pass


@pytest.fixture(scope="module", name="project")
def project_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vite") / "page"
    shutil.copytree(PROJECT, folder)
    run("npm", "pack", "--pack-destination", str(folder), cwd=CLIENT)
    (tarball,) = folder.glob("*.tgz")
    options = ("--offline", "--ignore-scripts", "--no-audit", "--no-fund")
    run("npm", "install", *options, f"./{tarball.name}", cwd=folder)
    for name in LINKED:
        (folder / "node_modules" / name).symlink_to(TOOLS.parent / name)
    return folder


def build(project: Path, folder: str) -> None:
    options = ("--logLevel", "error", "--base", "./", "--outDir", folder)
    run(str(TOOLS / "vite"), "build", *options, cwd=project)


@pytest.fixture(scope="module", name="site")
def site_fixture(project: Path) -> Iterator[str]:
    """The built pages, at an origin of their own: with React 19 at /19, with React 18 at /18."""
    build(project, "dist/19")
    for name in REACT:
        link = project / "node_modules" / name
        link.unlink()
        link.symlink_to(REACT_18 / name)
    build(project, "dist/18")
    handler = functools.partial(_Quiet, directory=str(project / "dist"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://localhost:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture(name="hub")
def hub_fixture(site: str, tmp_path: Path) -> Iterator[EventHubServer]:
    with EventHubServer(tmp_path, CONFIG.format(origin=site)) as running:
        yield running


@pytest.fixture(name="page")
def page_fixture(request: pytest.FixtureRequest, site: str, hub: EventHubServer) -> Iterator[Page]:
    version = getattr(request, "param", 19)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium-headless-shell", args=ARGUMENTS
        )
        page = browser.new_page()
        page.set_default_timeout(60_000)
        page.goto(f"{site}/{version}/?server={hub.url}")
        yield page
        browser.close()


def run(*command: str, cwd: Path) -> None:
    done = subprocess.run(command, cwd=cwd, timeout=300, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def publish(hub: EventHubServer, channel: str, *values: Any) -> None:
    items = [{"channel": channel, "data": value} for value in values]
    http.post(f"{hub.url}/v1/events", content=json.dumps(items)).raise_for_status()


def orders(hub: EventHubServer, *numbers: int) -> None:
    publish(hub, "orders.eu", *({"number": number} for number in numbers))


def shows(page: Page, place: str, text: str) -> None:
    expect(page.locator(f"#{place}")).to_have_text(text, timeout=60_000)


def test_the_types_of_the_client_and_its_hooks_hold_in_strict_mode(project: Path) -> None:
    run(str(TOOLS / "tsc"), "--project", str(project), cwd=project)


@pytest.mark.parametrize(("page", "version"), [(19, "19."), (18, "18.")], indirect=["page"])
def test_the_page_follows_publishes_and_resumes_through_a_kill(
    hub: EventHubServer, page: Page, version: str
) -> None:
    expect(page.locator("html")).to_have_attribute("data-react", re.compile(f"^{version}"))
    orders(hub, 1, 2)
    publish(hub, "places.a", {"id": "x", "number": 1}, {"id": "x", "number": 2})
    shows(page, "status", "open")
    for place in ("one", "two"):
        shows(page, place, "1 2")
    shows(page, "places", "places.a=2")
    shows(page, "people", "1: ana page")
    page.click("#light")
    shows(page, "light", "1")
    page.click("#light")
    shows(page, "light", "2")
    hub.kill()
    hub.start()
    orders(hub, 3, 4, 5, 6)
    publish(hub, "places.born", {"id": "y", "number": 7})
    for place in ("one", "two"):
        shows(page, place, "2 3 4 5 6")
    shows(page, "places", "places.a=2,places.born=7")
    page.click("#toggle")
    page.click("#toggle")
    shows(page, "one", "2 3 4 5 6")


def test_all_components_share_one_subscription(hub: EventHubServer, page: Page) -> None:
    orders(hub, 1)
    shows(page, "two", "1")
    (channel,) = http.get(f"{hub.url}/v1/channels?match=orders.eu").json()["channels"]
    assert channel["subscribers"] == 1
