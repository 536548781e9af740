"""HTTP/1.1 on the wire: half-closed connections, codings, HTTP/1.0, kept connections.

As raw bytes, because a library would tidy them up.
"""

import json
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.harness.clients import WsClient, exactly, http, raw, read_until
from tests.harness.eventhub import EventHubServer
from tests.harness.http import END, answers, asked, chunked, everything, head, post, said
from tests.integration.http_server import path_fixture, refused, served_fixture, stored  # noqa: F401

Start = Callable[..., EventHubServer]


# Half-closed connections


def test_a_client_that_closes_its_sending_half_gets_the_answers_that_are_due(
    served: EventHubServer, path: str
) -> None:
    (answer,) = asked(served.port, post(path, b"1"), half_close=True)
    assert answer.status == 201
    (answer,) = asked(
        served.port,
        chunked(path, [b"2\n", b"3"], "Content-Type: application/x-ndjson"),
        half_close=True,
    )
    assert json.loads(answer.body.splitlines()[-1])["done"]
    got = asked(served.port, head("GET", path) + post(path, b"4"), half_close=True)
    assert [len(json.loads(got[0].body)["events"]), got[1].status] == [3, 201]
    assert stored(served, path) == [1, 2, 3, 4]


def test_an_empty_body_ends_before_the_client_s_half_does(
    served: EventHubServer, path: str
) -> None:
    empty = head("POST", path, "Content-Type: application/x-ndjson", "Content-Length: 0")
    (answer,) = asked(served.port, empty, half_close=True)
    assert (answer.status, json.loads(answer.body)["done"]) == (200, True)
    (answer,) = asked(served.port, post(path, b""), half_close=True)
    assert refused(answer, "expected JSON")


def test_a_client_that_closed_its_sending_half_gets_an_answer_that_waited_for_the_disk(
    tmp_path: Path,
) -> None:
    with EventHubServer(
        tmp_path, f"broker: sqlite:///{tmp_path}/events.db\nchannels: {{open: {{}}}}\n"
    ) as hub:
        (answer,) = asked(hub.port, post("/v1/channels/open.a", b"1"), half_close=True)
        assert answer.status == 201


@pytest.mark.parametrize(
    ("begun", "detail"),
    [
        (b'"abc', "body"),
        (b"", "body"),
    ],
)
def test_a_body_that_ends_too_early_is_answered_and_not_stored(
    served: EventHubServer, path: str, begun: bytes, detail: str
) -> None:
    for start in (
        head("POST", path, "Content-Length: 10"),
        head("POST", path, "Transfer-Encoding: chunked") + b"a\r\n",
    ):
        (answer,) = asked(served.port, start + begun, half_close=True)
        assert refused(answer, detail), answer
    assert stored(served, path) == []


def test_of_a_stream_that_ends_too_early_whole_lines_are_stored_and_the_answer_says_so(
    served: EventHubServer, path: str
) -> None:
    begun = chunked(path, [b"1\n2\n3"], "Content-Type: application/x-ndjson").removesuffix(
        b"0\r\n\r\n"
    )
    (answer,) = asked(served.port, begun, half_close=True)
    last = json.loads(answer.body.splitlines()[-1])
    assert (last["accepted"], last["done"], last["error"]["code"]) == (2, False, "invalid_request")
    assert stored(served, path) == [1, 2]


def test_a_head_that_ends_too_early_gets_an_answer_and_an_empty_connection_none(
    served: EventHubServer,
) -> None:
    (answer,) = asked(served.port, b"GET /livez HTTP/1.1\r\nHo", half_close=True)
    assert refused(answer, "head")
    assert said(served.port, half_close=True) == b""


@pytest.mark.parametrize("transport", ["sse", "ndjson"])
def test_a_reader_that_closes_its_sending_half_reads_on_and_one_that_has_gone_is_noticed(
    served: EventHubServer, path: str, transport: str
) -> None:
    with WsClient(f"{served.ws_url}") as watcher:
        channel = path.rpartition("/")[2]
        watcher.subscribe(channel, presence=True)
        with raw(served.port) as sock:
            sock.sendall(head("GET", f"{path}/{transport}?member=eve"))
            sock.shutdown(socket.SHUT_WR)  # as `nc -N` does
            assert watcher.until("join")["member"] == {"id": "eve"}
            for number in range(3):
                assert http.post(f"{served.url}{path}", content=str(number)).status_code == 201
                got = b""
                while b'"data":%d' % number not in got:
                    got += exactly(sock, 1)
        assert watcher.until("leave")["member"] == {"id": "eve"}


@pytest.mark.parametrize(
    "coding", ["Identity", "IDENTITY", "identity, identity", " identity ,Identity", ""]
)
def test_a_body_with_content_encoding_identity_is_accepted(
    served: EventHubServer, path: str, coding: str
) -> None:
    (answer,) = asked(
        served.port, post(path, b"1", f"Content-Encoding: {coding}", "Connection: close")
    )
    assert answer.status == 201


@pytest.mark.parametrize("coding", ["br", "compress", "GZIP, gzip", "zstd, identity, zstd", "*"])
def test_a_body_with_another_content_encoding_is_refused(
    served: EventHubServer, path: str, coding: str
) -> None:
    (answer,) = asked(
        served.port, post(path, b"1", f"Content-Encoding: {coding}", "Connection: close")
    )
    assert answer.status == 415


# HTTP/1.0, HEAD, Expect


@pytest.mark.parametrize("transport", ["sse", "ndjson"])
def test_http_1_0_gets_a_stream_that_ends_with_its_connection(
    served: EventHubServer, path: str, transport: str
) -> None:
    assert http.post(f"{served.url}{path}", content="7").status_code == 201
    with raw(served.port) as sock:
        sock.sendall(
            head(
                "GET", f"{path}/{transport}?since=earliest", "Connection: keep-alive", version="1.0"
            )
        )
        got = b""
        while b'"data":7' not in got:
            got += exactly(sock, 1)
    fields, _, body = got.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in fields.lower()
    assert b"connection: close" in fields.lower()
    assert body.startswith((b"retry: ", b'{"type":"subscribed"')), "no size of a chunk"


def test_http_1_0_gets_the_progress_of_a_stream_without_chunks(
    served: EventHubServer, path: str
) -> None:
    (answer,) = asked(
        served.port, post(path, b"1\n2\n", "Content-Type: application/x-ndjson", version="1.0")
    )
    assert "transfer-encoding" not in answer.headers
    assert json.loads(answer.body.splitlines()[-1])["accepted"] == 2


def test_http_1_0_keeps_a_connection_on_request_if_the_length_is_known(
    served: EventHubServer, path: str
) -> None:
    kept = "Connection: Keep-Alive"
    got = asked(
        served.port,
        post(path, b"1", kept, version="1.0")
        + head("GET", path, kept, version="1.0")
        + head("GET", path, version="1.0"),
    )
    assert [answer.headers["connection"] for answer in got] == ["keep-alive", "keep-alive", "close"]
    (answer,) = asked(served.port, post(path, b"2", "Expect: 100-continue", version="1.0"))
    assert answer.status == 201
    assert not said(
        served.port, post(path, b"3", "Expect: 100-continue", version="1.0")
    ).startswith(b"HTTP/1.1 100")


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("what", ["", "/sse", "/ndjson", "/none"])
def test_an_answer_to_head_has_no_body_and_no_transfer_encoding(
    served: EventHubServer, path: str, version: str, what: str
) -> None:
    got = said(served.port, head("HEAD", path + what, "Connection: close", version=version))
    assert got.endswith(b"\r\n\r\n")
    assert got.count(b"\r\n\r\n") == 1
    assert b"transfer-encoding" not in got.lower()


def test_a_client_that_expects_100_gets_it_or_the_answer_and_no_later_bytes_are_misread(
    served: EventHubServer, path: str
) -> None:
    waits = head("POST", path, "Content-Length: 1", "Expect: 100-Continue")
    with raw(served.port) as sock:
        sock.sendall(waits)
        assert exactly(sock, 25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"1" + END)
        assert [answer.status for answer in answers(everything(sock))] == [201, 200]
    refused_ = head("POST", "/v1/channels/closed.a", "Content-Length: 100", "Expect: 100-continue")
    (answer,) = asked(served.port, refused_)
    assert (answer.status, answer.headers["connection"]) == (401, "close"), (
        "the next bytes could be the body, or a request"
    )


# Kept connections


def ask(sock: socket.socket) -> None:
    """Send a request and read its answer; the connection stays open."""
    sock.sendall(END.replace(b"Connection: close\r\n", b""))
    read_until(sock, b'{"status":"ok"}')


def test_a_kept_connection_waits_as_long_as_the_settings_say_and_ends_without_a_reset(
    start: Start,
) -> None:
    hub = start("limits: {keep_alive_seconds: 1}")
    with raw(hub.port) as sock:
        ask(sock)
        begun = time.monotonic()
        ask(sock)
        assert sock.recv(1) == b""
        assert time.monotonic() - begun > 0.9
        sock.sendall(post("/v1/channels/chat.a", b"{}"))  # it crosses the end: an end, and no reset
        assert sock.recv(1) == b""


def test_a_full_node_closes_the_connection_that_has_waited_longest_and_nobody_is_refused(
    start: Start,
) -> None:
    hub = start("limits: {connections: 5}")
    with ExitStack() as stack:
        kept = [stack.enter_context(raw(hub.port)) for _ in range(5)]
        for sock in (*kept, kept[0]):
            ask(sock)
        ask(stack.enter_context(raw(hub.port)))
        assert kept[1].recv(1) == b"", "the first one has asked again since"
        kept[1].sendall(post("/v1/channels/logs.crossing", b'{"level":"info","message":"crossed"}'))
        assert kept[1].recv(1) == b"", "what crosses the end meets no reset"
        ask(kept[0])
        assert http.get(f"{hub.url}/v1/channels/logs.crossing").json()["events"] == [], (
            "and nothing of it was stored"
        )


def test_a_full_client_address_closes_an_idle_connection_of_its_own(start: Start) -> None:
    hub = start("limits: {connections_per_address: 2}")
    with ExitStack() as stack:
        other = stack.enter_context(raw(hub.port, source="127.0.0.5"))
        kept = [stack.enter_context(raw(hub.port, source="127.0.0.6")) for _ in range(2)]
        for sock in (other, *kept):
            ask(sock)
        ask(stack.enter_context(raw(hub.port, source="127.0.0.6")))
        assert kept[0].recv(1) == b""
        ask(other)


def test_connections_in_use_are_not_closed_to_make_room(start: Start) -> None:
    hub = start("limits: {connections: 5}\nheartbeat: 1")
    with ExitStack() as stack:
        for number in range(5):
            sock = stack.enter_context(raw(hub.port))
            path = "/v1/channels/chat.a/sse" if number else "/v1/channels/chat.a"
            sock.sendall(head("GET", path) if number else head("POST", path, "Content-Length: 9"))
            if number:
                exactly(sock, 12)
        (answer,) = asked(hub.port, head("GET", "/v1/types"))
        assert (answer.status, json.loads(answer.body)["code"]) == (503, "node_full")
