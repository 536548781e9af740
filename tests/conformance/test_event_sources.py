"""Every EventSource library: over three broken connections nothing is lost and nothing comes twice,
directly, through nginx and through a compressing proxy.

Each client resumes by its own means. Two hundred events are published while the connections break
at any moment, also inside an event.
"""

import asyncio
import json
import operator
import secrets
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import sseclient
from httpx_sse import connect_sse
from playwright.sync_api import Page, sync_playwright

from tests.browser.conftest import ARGUMENTS
from tests.deploy.nginx import Nginx
from tests.harness.clients import SECONDS, http, metric
from tests.harness.eventhub import EventHubServer
from tests.harness.eventually import eventually
from tests.harness.ports import free_port
from tests.harness.process import ServerProcess
from tests.harness.programs import program
from tests.harness.proxy import Proxy

HERE = Path(__file__).parent
IN_BROWSER = ["Chromium", "event-source-polyfill", "reconnecting-eventsource", "fetch-event-source"]
IN_NODE = ["eventsource 4", "eventsource 2"]
IN_PYTHON = ["httpx-sse", "sseclient-py"]
PATHS = ["direct", "nginx", "compressing"]
REFUSED = "reconnecting-eventsource, refused once"
"""An EventSource gives up when a proxy refuses it; what this library is for is to begin another,
with the id in the address.
"""
CLIENTS = [f"{name}, {path}" for name in IN_BROWSER + IN_NODE + IN_PYTHON for path in PATHS] + [
    REFUSED
]
ROUNDS = 4
PER_ROUND = 50

NGINX = """
events {{}}
http {{
  access_log off;
  gzip on; gzip_proxied any; gzip_min_length 1;
  gzip_types text/event-stream application/x-ndjson application/json;
  client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://127.0.0.1:{target}; proxy_http_version 1.1; proxy_request_buffering off;
    }}
  }}
}}
pid {directory}/nginx.pid;
"""


class GzippingNginx(Nginx):
    """Debian's nginx with its own configuration, and gzip."""

    def __init__(self, directory: Path, target: int) -> None:
        ServerProcess.__init__(self, "nginx", directory / "nginx.log")
        self.port = free_port()
        (directory / "nginx.conf").write_text(
            NGINX.format(directory=directory, port=self.port, target=target)
        )
        self._command = [
            program("nginx"),
            "-p",
            str(directory),
            "-c",
            str(directory / "nginx.conf"),
            "-e",
            "stderr",
        ]
        self._command += ["-g", "daemon off; user root;"]


@contextmanager
def compressing_proxy(target: int) -> Iterator[int]:
    """A proxy on Node.js. Returns its port."""
    command = ["node", "compressing_proxy.cjs", f"http://127.0.0.1:{target}"]
    with subprocess.Popen(command, cwd=HERE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


class Cutter(Proxy):
    """A proxy that cuts connections, also inside an event.

    If `refusing`, it refuses the next connection of each client that was cut.
    """

    def __init__(self, target: int, *, refusing: bool = False) -> None:
        super().__init__(target)
        self._marker = b""
        self._marked: set[asyncio.StreamWriter] = set()
        self._refusing = refusing
        self._refuse = False

    def cut(self) -> None:
        self._refuse = self._refusing
        super().cut()

    def cut_within(self, marker: bytes) -> None:
        """End each present connection in the middle of the event that holds these bytes, which its
        client still gets.
        """
        self._marker, self._marked = marker, set(self._writers)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refuse:
            self._refuse = False
            await reader.readuntil(b"\r\n\r\n")
            writer.write(
                b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n"
                b"Connection: close\r\n\r\n"
            )
            writer.close()
        else:
            await super()._accept(reader, writer)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen = b""
        with suppress(OSError, RuntimeError):
            while data := await reader.read(65536):
                seen = seen[-100:] + data
                if writer in self._marked and self._marker in seen:
                    end = (
                        seen.index(self._marker) + len(self._marker) + 20 - (len(seen) - len(data))
                    )
                    writer.write(data[: max(0, end)])
                    writer.write_eof()
                    return
                writer.write(data)
                await writer.drain()
        self._writers.discard(writer)
        writer.transport.abort()


class Cutters:
    """Proxies on an event loop of their own, because Playwright uses that of the test."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._proxies: dict[str, Cutter] = {}

    def add(self, path: str, target: int) -> str:
        """Add a proxy. Returns its URL."""
        self._proxies[path] = proxy = Cutter(target, refusing=path == "refused once")
        asyncio.run_coroutine_threadsafe(proxy.start(), self._loop).result(SECONDS)
        return f"http://127.0.0.1:{proxy.port}"

    def break_all(self, inside: bytes | None = None) -> None:
        """Break all connections: at once, or inside the event that holds the marker, if it is
        visible on the wire.
        """
        for path, proxy in self._proxies.items():
            if inside is not None and path in ("direct", "compressing"):
                self._loop.call_soon_threadsafe(proxy.cut_within, inside)
            else:
                self._loop.call_soon_threadsafe(proxy.cut)

    def __enter__(self) -> "Cutters":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for proxy in self._proxies.values():
            asyncio.run_coroutine_threadsafe(proxy.__aexit__(None, None, None), self._loop).result(
                SECONDS
            )
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Taken:
    """The events that each client has received, and whether it is subscribed."""

    def __init__(self) -> None:
        self.open: set[str] = set()
        self.events: dict[str, list[int]] = {client: [] for client in CLIENTS}

    def note(self, client: str, message: dict[str, Any]) -> None:
        if message["type"] == "event":
            self.events[client].append(message["data"]["n"])
        elif message["type"] == "subscribed":
            self.open.add(client)


def follow_with_httpx_sse(
    url: str, note: Callable[[dict[str, Any]], None], over: threading.Event
) -> None:
    """The loop of the README of httpx-sse."""
    last = ""
    with httpx.Client(timeout=SECONDS) as client:
        while not over.wait(0.2):
            with (
                suppress(httpx.RequestError),
                connect_sse(client, "GET", url, headers={"Last-Event-ID": last}) as source,
            ):
                for event in source.iter_sse():
                    note(json.loads(event.data))
                    last = event.id


def follow_with_sseclient(
    url: str, note: Callable[[dict[str, Any]], None], over: threading.Event
) -> None:
    """Over httpx, as in the README of sseclient."""
    last = ""
    while not over.wait(0.2):
        headers = {"Accept": "text/event-stream", "Last-Event-ID": last}
        with (
            suppress(httpx.RequestError),
            httpx.stream("GET", url, headers=headers, timeout=SECONDS) as answer,
        ):
            for event in sseclient.SSEClient(answer.iter_bytes()).events():
                note(json.loads(event.data))
                last = event.id or last


FOLLOW = {"httpx-sse": follow_with_httpx_sse, "sseclient-py": follow_with_sseclient}


@contextmanager
def in_python(urls: dict[str, str], taken: Taken, cutters: Cutters) -> Iterator[None]:
    over = threading.Event()
    threads = [
        threading.Thread(
            target=FOLLOW[name], args=(url, partial(taken.note, f"{name}, {path}"), over)
        )
        for name in IN_PYTHON
        for path, url in urls.items()
        if path in PATHS
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            while thread.is_alive():  # it may have been connecting
                cutters.break_all()
                thread.join(0.1)


@contextmanager
def in_node(urls: dict[str, str], taken: Taken) -> Iterator[None]:
    wanted = [(name, path, urls[path]) for name in IN_NODE for path in PATHS]
    with subprocess.Popen(
        ["node", "event_sources.mjs", json.dumps(wanted)],
        cwd=HERE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:

        def read() -> None:
            for line in process.stdout or ():
                said = json.loads(line)
                taken.open.add(said["client"])
                taken.events[said["client"]] += [said["n"]] if "n" in said else []

        thread = threading.Thread(target=read)
        thread.start()
        try:
            yield
        finally:
            process.terminate()
            thread.join()


class _Files(SimpleHTTPRequestHandler):
    """Serves the page and the modules that it imports, some of which leave out the ending of the
    name.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, directory=str(HERE), **options)

    def translate_path(self, path: str) -> str:
        found = super().translate_path(path)
        return found if Path(found).exists() else f"{found}.js"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name it has above
        pass


@pytest.fixture(scope="module")
def page_url() -> Iterator[str]:
    """The address of the page on another web server.

    It is on this machine; otherwise Chromium would ask whether the page may connect to it.
    """
    with ThreadingHTTPServer(("127.0.0.1", 0), _Files) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://localhost:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@contextmanager
def in_browser(page_url: str, urls: dict[str, str]) -> Iterator[Page]:
    wanted = [(name, path, urls[path]) for name in IN_BROWSER for path in PATHS]
    wanted.append(("reconnecting-eventsource", "refused once", urls["refused once"]))
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path="/usr/bin/chromium-headless-shell", args=ARGUMENTS
        )
        page = chromium.new_page()
        page.goto(f"{page_url}/event_sources.html")
        page.wait_for_function("() => window.follow")
        page.evaluate("(wanted) => follow(wanted)", wanted)
        try:
            yield page
        finally:
            chromium.close()


def publish(hub: EventHubServer, first: int, count: int) -> None:
    for n in range(first, first + count):
        http.post(
            f"{hub.url}/v1/channels/seq", json={"n": n, "pad": secrets.token_hex(2000)}
        ).raise_for_status()


@pytest.fixture(scope="module")
def hub(page_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventHubServer]:
    config = f"origins: ['{page_url}']\nheartbeat: 0.5\nchannels: {{seq: {{payload: json}}}}"
    with EventHubServer(tmp_path_factory.mktemp("sources"), config) as server:
        yield server


@pytest.fixture(scope="module")
def fronts(
    hub: EventHubServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, int]]:
    """Ports by path."""
    with (
        GzippingNginx(tmp_path_factory.mktemp("nginx"), hub.port) as nginx,
        compressing_proxy(hub.port) as compressing,
    ):
        yield {
            "direct": hub.port,
            "nginx": nginx.port,
            "compressing": compressing,
            "refused once": hub.port,
        }


@pytest.fixture(scope="module")
def taken(hub: EventHubServer, page_url: str, fronts: dict[str, int]) -> Iterator[Taken]:
    """What each client has received in the end."""
    found = Taken()
    with ExitStack() as stack:
        cutters = stack.enter_context(Cutters())
        urls = {
            path: f"{cutters.add(path, port)}/v1/channels/seq/sse" for path, port in fronts.items()
        }
        stack.enter_context(in_python(urls, found, cutters))
        stack.enter_context(in_node(urls, found))
        page = stack.enter_context(in_browser(page_url, urls))

        def wait(least: int) -> None:
            """Wait until each client has this event or a later one, or with -1 is subscribed."""

            def behind() -> dict[str, list[int]]:
                for client, own in page.evaluate("() => taken").items():
                    found.events[client] = own["events"]
                    found.open |= {client} if own["open"] else set()
                return {
                    client: found.events[client][-1:]
                    for client in CLIENTS
                    if client not in found.open or max(found.events[client], default=-1) < least
                }

            eventually(f"event {least} at each client", behind, operator.not_)

        def wait_for_connections(least: int) -> None:
            eventually(
                f"{least} connections",
                lambda: metric(hub.url, 'eventhub_connections_opened_total{transport="sse"}'),
                lambda seen: seen >= least,
            )

        wait(-1)
        for number in range(1, ROUNDS):
            first = (number - 1) * PER_ROUND
            publish(hub, first, PER_ROUND // 2)
            wait(first + PER_ROUND // 2 - 1)
            publishing = threading.Thread(
                target=publish, args=(hub, first + PER_ROUND // 2, PER_ROUND // 2)
            )
            publishing.start()
            cutters.break_all(inside=b'"n":%d,' % (first + PER_ROUND - 10) if number == 2 else None)
            publishing.join()
            wait(first + PER_ROUND - 1)
            wait_for_connections((number + 1) * len(CLIENTS))
        publish(hub, (ROUNDS - 1) * PER_ROUND, PER_ROUND)
        wait(ROUNDS * PER_ROUND - 1)
        yield found


@pytest.mark.parametrize("client", CLIENTS)
def test_nothing_is_lost_and_nothing_comes_twice(taken: Taken, client: str) -> None:
    assert taken.events[client] == list(range(ROUNDS * PER_ROUND))
