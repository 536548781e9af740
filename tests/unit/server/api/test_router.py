"""server/api/router.py: what is checked before a route, and which application answers."""

import asyncio
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from eventhub.config.sections import LogSettings
from eventhub.server.api.router import RequestRouter
from eventhub.server.messages.asgi_extensions import ABORT
from tests.unit.server.connections.manager_builder import build

HOST = (b"host", b"localhost")
ORIGIN = (b"origin", b"https://pages.example")
PREFLIGHT = (HOST, ORIGIN, (b"access-control-request-method", b"POST"))


class Router:
    """A router over two applications that note what reaches them."""

    def __init__(self, **settings: Any) -> None:
        self.manager = build(**settings)
        self.reached: list[tuple[str, Scope]] = []
        self.sent: list[Message] = []
        applications = map(self._application, ("publish", "events", "api"))
        self.router = RequestRouter(self.manager, *applications)

    def _application(self, name: str) -> Any:
        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            self.reached.append((name, scope))
            if scope["type"] == "http":
                await send({"type": "http.response.start", "status": 200, "headers": []})
                await send({"type": "http.response.body", "body": b"{}", "more_body": True})
                await send({"type": "http.response.body"})

        return application

    def ask(
        self,
        method: str = "GET",
        path: str = "/v1/types",
        *headers: tuple[bytes, bytes],
        query: bytes = b"",
        kind: str = "http",
        extensions: tuple[str, ...] = (),
    ) -> int | None:
        """The status of the answer, if there is one."""
        scope = {
            "type": kind, "method": method, "path": path, "raw_path": path.encode(),
            "query_string": query, "headers": list(headers or (HOST,)), "state": {},
            "client": ("192.0.2.1", 1), "extensions": {key: {} for key in extensions},
            "http_version": "1.1",
        }  # fmt: skip
        asyncio.run(self.router(scope, self._receive, self._send))
        return self.sent[0].get("status") if self.sent else None

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.sent[0]["headers"])

    async def _receive(self) -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def _send(self, message: Message) -> None:
        self.sent.append(message)


@pytest.mark.parametrize(
    ("method", "path", "application"),
    [
        ("POST", "/v1/channels/chat.a", "publish"),
        ("PUT", "/v1/channels/chat.a", "publish"),
        ("POST", "/v1/events", "events"),
        ("PUT", "/v1/events", "api"),
        ("POST", "/v1/events/", "api"),
        ("GET", "/v1/channels/chat.a", "api"),
        ("DELETE", "/v1/channels/chat.a", "api"),
        ("POST", "/v1/admin/blocks", "api"),
        ("OPTIONS", "/v1/channels/chat.a", "api"),
    ],
)
def test_a_request_reaches_the_application_that_answers_it(
    method: str, path: str, application: str
) -> None:
    router = Router()
    assert router.ask(method, path) == 200
    assert [name for name, _ in router.reached] == [application]


def test_the_lifespan_is_that_of_the_api() -> None:
    router = Router()
    router.ask(kind="lifespan")
    assert [(name, scope["type"]) for name, scope in router.reached] == [("api", "lifespan")]


def test_head_is_a_get_without_a_body() -> None:
    router = Router()
    assert router.ask("HEAD") == 200
    assert router.reached[0][1]["method"] == "GET"
    assert router.sent[1:] == [{"type": "http.response.body", "body": b""}]


def test_headers_of_another_server_are_checked_and_those_of_our_own_were() -> None:
    twice = (HOST, (b"host", b"elsewhere"))
    router = Router()
    assert (router.ask("GET", "/", *twice), router.reached) == (400, [])
    trusted = Router()
    assert trusted.ask("GET", "/", *twice, extensions=(ABORT,)) == 200
    spaced = Router()
    spaced.ask("GET", "/", HOST, (b"x", b" a\t"))
    assert spaced.reached[0][1]["headers"] == [HOST, (b"x", b"a")]


def test_a_websocket_with_a_repeated_header_is_closed() -> None:
    router = Router()
    router.ask("GET", "/v1/ws", HOST, HOST, kind="websocket")
    assert [(message["type"], message["code"]) for message in router.sent] == [
        ("websocket.close", 4400)
    ]


def test_a_websocket_is_served_whatever_the_applications_are() -> None:
    router = Router()
    router.ask("GET", "/elsewhere", kind="websocket")
    assert (router.sent[0]["reason"], router.reached) == ("not_found", [])


@pytest.mark.parametrize("query", [b"a=%zz", b"&".join([b"a=1"] * 300)])
def test_a_bad_query_string_is_refused_before_the_route(query: bytes) -> None:
    router = Router()
    assert (router.ask(query=query), router.reached) == (400, [])


def test_the_host_is_checked_wherever_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    router = Router()
    router.manager.host_check.open = False
    asked: list[bytes | None] = []
    monkeypatch.setattr(router.manager.host_check, "check", asked.append)
    router.ask("GET", "/", (b"x", b"y"), HOST)
    router.sent.clear()
    router.ask("GET", "/", (b"x", b"y"))
    assert asked == [b"localhost", None]


def test_a_credential_in_the_query_string_reaches_the_route_as_a_header() -> None:
    refused = Router()
    assert (refused.ask(query=b"access_token=secret"), refused.reached) == (400, [])
    router = Router(auth={"query": True})
    assert router.ask(query=b"since=1&access_token=secret") == 200
    scope = router.reached[0][1]
    assert scope["query_string"] == b"since=1"
    assert dict(scope["headers"])[b"authorization"].lower() == b"bearer secret"
    assert dict(scope["headers"])[b"host"] == b"localhost"


# Web pages


def test_a_preflight_is_answered_without_the_route() -> None:
    router = Router(origins=["https://pages.example"])
    assert router.ask("OPTIONS", "/v1/channels/chat.a", *PREFLIGHT) in (200, 204)
    assert router.reached == []
    assert router.headers[b"access-control-allow-origin"] == ORIGIN[1]


def test_a_preflight_of_another_page_is_refused() -> None:
    router = Router(origins=["https://other.example"])
    status = router.ask("OPTIONS", "/v1/channels/chat.a", *PREFLIGHT)
    assert (status, router.reached) == (403, [])


def test_answers_to_a_listed_page_may_be_read_by_it_errors_too() -> None:
    for query in (b"", b"a=%zz"):
        router = Router(origins=["https://pages.example"])
        router.ask("GET", "/v1/types", HOST, ORIGIN, query=query)
        assert router.headers[b"access-control-allow-origin"] == ORIGIN[1]


# The log


@pytest.mark.parametrize("on", [True, False])
def test_each_answer_has_a_line_in_the_access_log_if_it_is_on(*, on: bool) -> None:
    router = Router(log=LogSettings(access=on))
    lines: list[Any] = []
    router.manager.access_log.write = lambda *line, **known: lines.append(line)  # type: ignore[method-assign]
    router.ask("HEAD", "/v1/types")
    expected = [("HEAD", "/v1/types", 200, "192.0.2.1")]
    assert lines == (expected if on else [])
