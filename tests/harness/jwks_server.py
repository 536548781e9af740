"""A server of a JSON Web Key Set, over real HTTP, that can be told to misbehave."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

Respond = Callable[[BaseHTTPRequestHandler], None]


class JwksServer:
    """Answers `keys`, or as `respond` does; counts the requests. Each waits until `open` is set."""

    def __init__(self, *keys: dict[str, Any], port: int = 0) -> None:
        self.keys = list(keys)
        self.respond: Respond | None = None
        self.requests: list[str] = []
        self.open = threading.Event()
        self.open.set()
        self.asked = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # the library's name
                outer.requests.append(self.path)
                outer.asked.set()
                outer.open.wait(30)
                if outer.respond is not None:
                    outer.respond(self)
                else:
                    reply(self, json.dumps({"keys": outer.keys}).encode())

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the library's name
                """Nothing."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                """The client left."""

        self._server = Server(("127.0.0.1", port), Handler)
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/jwks.json"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.open.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def reply(request: BaseHTTPRequestHandler, body: bytes, status: int = 200, **headers: str) -> None:
    """A whole answer."""
    request.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **headers}.items():
        request.send_header(name, value)
    request.end_headers()
    request.wfile.write(body)
