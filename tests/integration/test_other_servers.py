"""Commands of clients and a server that is not EventHub, such as the login page of a proxy."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from typer.testing import CliRunner

from eventhub_client.cli import app
from eventhub_client.cli.health_checks import CHECKS, Visit
from eventhub_client.cli.sick import Sick
from eventhub_client.cli.target import Target
from tests.integration.commands import home

__all__ = ["home"]


class _Page(BaseHTTPRequestHandler):
    """The same page for every request."""

    status = 200
    body = b"<html>"
    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    do_GET = do_POST = do_DELETE = answer  # noqa: N815  # the names that it looks for

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name it has above
        pass


@pytest.fixture(name="page", scope="module")
def page_fixture() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Page) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    "arguments",
    [
        ("pub", "a.b", "1", "--timeout", "0.1"),
        ("pub", "a.b", "--delete", "k", "--timeout", "0.1"),
        ("pub", "a.b", "1", "--signal"),
        ("channels",),
        ("presence", "a.b"),
        ("top",),
        ("disconnect", "--subject", "ana"),
    ],
)
@pytest.mark.parametrize(("status", "code"), [(200, 3), (404, 1)])
def test_a_page_of_another_server_ends_with_one_line(
    page: str, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], status: int, code: int
) -> None:
    monkeypatch.setattr(_Page, "status", status)
    answer = CliRunner().invoke(app, [*arguments, "--server", page])
    assert (answer.exit_code, answer.stdout) == (code, "")
    assert answer.stderr.count("\n") == 1
    assert "Is this EventHub?" in answer.stderr


def test_doctor_says_that_a_page_of_another_server_is_not_eventhub(page: str) -> None:
    answer = CliRunner().invoke(app, ["doctor", "--server", page])
    assert answer.exit_code == 1
    assert "✗ configuration: invalid_answer: the answer has no types. Is this EventHub?" in (
        answer.stdout
    )


def test_a_proxy_that_refuses_websockets_is_told_from_a_server_that_does(
    page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    visit = Visit(Target(page), "chat.doctor", "1", None)
    monkeypatch.setattr(_Page, "status", 403)
    with pytest.raises(Sick, match="answered with 403") as proxy:
        CHECKS["websocket"](visit)
    assert "a proxy in between must pass the headers" in proxy.value.advice
    monkeypatch.setattr(_Page, "body", b'{"code":"forbidden"}')
    with pytest.raises(Sick, match="answered with 403") as refused:
        CHECKS["websocket"](visit)
    assert "the origin is not listed" in refused.value.advice
    with pytest.raises(Sick) as delivery:
        CHECKS["delivery and resume"](visit)
    assert delivery.value.advice == "it needs a WebSocket: see that check"
