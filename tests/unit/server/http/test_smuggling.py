"""Request smuggling: no bytes are a request for us that are none for another HTTP implementation.

h11, which nobody here wrote, is the judge; nginx is another (tests/integration/test_smuggling.py).
Each case begins on a connection whose usual head is known byte by byte
(server/http/publish_lane.py), where it comes at once, byte by byte, and behind a usual request in
the same read. Whatever h11 refuses is refused, with all that comes behind it; what we accept, h11
reads as the same requests.
"""

import asyncio
import re
from typing import Any

import h11
import pytest

from tests.fuzz.lane import answer_later
from tests.harness.loop import in_loop
from tests.unit.server.http.lane_node import EVENT, Connection, Node, post, primed, running

HIDDEN = post("raw.hidden")
LENGTH = len(HIDDEN)
LINE = "POST /v1/channels/raw.a HTTP/1.1"


def head(*lines: str, line: str = LINE) -> bytes:
    return "\r\n".join((line, "Host: localhost", *lines, "", "")).encode("latin-1")


CHUNKED = "Transfer-Encoding: chunked"
END = b"0\r\n\r\n"
WHOLE = f"Content-Length: {len(END) + LENGTH}"
"""All that follows is the body, if this length counts."""

CASES = {
    "length and chunks": head(WHOLE, CHUNKED) + END,
    "chunks and length": head(CHUNKED, WHOLE) + END,
    "chunks and a length of nothing": head(CHUNKED, "Content-Length: 0") + END,
    "two lengths": head("Content-Length: 0", WHOLE) + END,
    "two equal lengths": head("Content-Length: 2", "Content-Length: 2") + b"{}",
    "a list of lengths": head("Content-Length: 0, 5") + END,
    "a list of equal lengths": head("Content-Length: 2, 2") + b"{}",
    "a length with a sign": head("Content-Length: +5") + END,
    "a negative length": head("Content-Length: -1") + END,
    "a length in hexadecimal": head("Content-Length: 0x5") + END,
    "a length with a space inside": head("Content-Length: 0 5") + END,
    "a length with an underscore": head("Content-Length: 1_0") + END,
    "a fraction": head("Content-Length: 5.0") + END,
    "an empty length": head("Content-Length: ") + END,
    "a length beyond 64 bits": head("Content-Length: 18446744073709551621") + END,
    "a length in other digits": head("Content-Length: \xb2") + END,
    "a space before the colon of a length": head("Content-Length : 0", WHOLE) + END,
    "a tab before the colon of a length": head("Content-Length\t: 0", WHOLE) + END,
    "a length in a folded line": head("X: 1\r\n Content-Length: 0", WHOLE) + END,
    "a folded length": head("Content-Length:\r\n 5") + END,
    "a length behind a bare line feed": head("X: 1\nContent-Length: 0", WHOLE) + END,
    "a length behind a bare carriage return": head("X: 1\rContent-Length: 0", WHOLE) + END,
    "a length behind a NUL": head("X: 1\0Content-Length: 0", WHOLE) + END,
    "a NUL in a name": head("Content\0-Length: 0", WHOLE) + END,
    "an underscore in a name": head("Content_Length: 0", WHOLE) + END,
    "a coding in capitals": head("TRANSFER-ENCODING: CHUNKED") + END,
    "a coding with a tab": head("Transfer-Encoding:\tchunked") + END,
    "a coding with spaces behind": head("Transfer-Encoding: chunked  ") + END,
    "a coding with a vertical tab": head("Transfer-Encoding: \x0bchunked", WHOLE) + END,
    "a coding in quotes": head('Transfer-Encoding: "chunked"', WHOLE) + END,
    "a coding with a parameter": head("Transfer-Encoding: chunked;q=1", WHOLE) + END,
    "identity": head("Transfer-Encoding: identity", WHOLE) + END,
    "identity, then chunked": head("Transfer-Encoding: identity, chunked", WHOLE) + END,
    "chunked, then identity": head("Transfer-Encoding: chunked, identity", WHOLE) + END,
    "chunked twice": head(CHUNKED, CHUNKED) + END,
    "an unknown coding": head("Transfer-Encoding: xchunked", WHOLE) + END,
    "a list with an empty element": head("Transfer-Encoding: ,chunked", WHOLE) + END,
    "a coding with a space before the colon": head("Transfer-Encoding : chunked", WHOLE) + END,
    "a coding behind a space": head(" Transfer-Encoding: chunked", WHOLE) + END,
    "a coding in HTTP/1.0": head(CHUNKED, line=LINE[:-1] + "0") + END,
    "a chunk with a plus": head(CHUNKED) + b"+2\r\n{}\r\n" + END,
    "a chunk with 0x": head(CHUNKED) + b"0x2\r\n{}\r\n" + END,
    "a chunk with an underscore": head(CHUNKED) + b"0_2\r\n{}\r\n" + END,
    "a chunk size beyond 64 bits": head(CHUNKED) + b"10000000000000002\r\n{}\r\n" + END,
    "a chunk with a space": head(CHUNKED) + b"2 \r\n{}\r\n" + END,
    "a chunk behind a space": head(CHUNKED) + b" 2\r\n{}\r\n" + END,
    "a chunk with an extension": head(CHUNKED) + b"2;a=b\r\n{}\r\n" + END,
    "a chunk with a line feed in its extension": head(CHUNKED) + b"2;a\nb\r\n{}\r\n" + END,
    "a chunk with a bare line feed": head(CHUNKED) + b"2\n{}\r\n" + END,
    "a chunk without its line break": head(CHUNKED) + b"2\r\n{}" + END,
    "a chunk with another line break": head(CHUNKED) + b"2\r\n{}XX" + END,
    "an end with a bare line feed": head(CHUNKED) + b"2\r\n{}\r\n0\n\n",
    "no size": head(CHUNKED) + b"\r\n{}\r\n" + END,
    "a trailer with a length": head(CHUNKED) + b"2\r\n{}\r\n0\r\nContent-Length: 50\r\n\r\n",
    "a trailer with a coding": head(CHUNKED) + b"2\r\n{}\r\n0\r\nTransfer-Encoding: x\r\n\r\n",
    "an absolute address": head("Content-Length: 2", line=LINE.replace("/v1", "http://a/v1"))
    + b"{}",
    "two hosts": head("Host: other", "Content-Length: 2") + b"{}",
    "no host": head("Content-Length: 2").replace(b"Host: localhost\r\n", b"") + b"{}",
    "a tab in the first line": head("Content-Length: 2", line=LINE.replace(" ", "\t")) + b"{}",
    "a space behind the first line": head("Content-Length: 2", line=LINE + " ") + b"{}",
    "no version": head("Content-Length: 2", line=LINE[:-9]) + b"{}",
    "HTTP/1.2": head("Content-Length: 2", line=LINE[:-1] + "2") + b"{}",
    "HTTP/2.0": head("Content-Length: 2", line=LINE[:-3] + "2.0") + b"{}",
    "HTTP/1.10": head("Content-Length: 2", line=LINE + "0") + b"{}",
    "line feeds alone": head("Content-Length: 2").replace(b"\r\n", b"\n") + b"{}",
    "carriage returns alone": head("Content-Length: 2").replace(b"\r\n", b"\r") + b"{}",
    "one bare line feed at the end": head("Content-Length: 2")[:-2] + b"\n{}",
    "a body without a length": head() + b"{}",
    "a GET with a body": head(WHOLE, line=LINE.replace("POST", "GET")) + END,
    "an upgrade with a body": head("Upgrade: h2c", "Connection: upgrade", WHOLE) + END,
    "an upgrade with chunks": head("Upgrade: x", "Connection: upgrade", CHUNKED) + END,
    "the end of the connection": head("Connection: close", "Content-Length: 2") + b"{}",
    "a length that a proxy removes": head("Connection: Content-Length", WHOLE) + END,
    "expectation": head("Expect: 100-continue", WHOLE) + END,
    "the usual head with a longer length": post().replace(b"Length: 28", b"Length: 99"),
    "the usual head with a shorter length": post().replace(b"Length: 28", b"Length: 2"),
    "the usual head with a zero before the length": post().replace(b"Length: 28", b"Length: 028"),
    "the usual head behind a space": b" " + post(),
}

LENIENT = {
    "a length of many digits": head(f"Content-Length: {'0' * 30}5") + END,
    "two spaces in the first line": head("Content-Length: 2", line=LINE.replace(" ", "  ")) + b"{}",
    "the usual head behind a carriage return": b"\r" + post(),
    "the usual head behind a line feed": b"\n" + post(),
    "the usual head behind line breaks": b"\r\n\r\n" + post(),
}
"""What h11 refuses and we read, as nginx does: empty lines before a request and spaces between the
words of its first line (RFC 9112, 2.2 and 3), and zeros before a length. Each has one meaning.
"""


def judged(data: bytes) -> list[tuple[bytes, bytes, bytes]]:
    """Method, target and body of each request that h11 reads from these bytes, until it refuses."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    found: list[tuple[bytes, bytes, bytes]] = []
    body = b""
    while True:
        try:
            event: Any = connection.next_event()
        except h11.RemoteProtocolError:
            return found
        if isinstance(event, h11.Request):
            request, body = event, b""
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            found.append((request.method, request.target, body))
            connection.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
            connection.send(h11.EndOfMessage())
            if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                return found
            connection.start_next_cycle()
        else:
            return found


async def answered(connection: Connection, parts: list[bytes]) -> list[bytes]:
    """The statuses of what is answered, once nothing more comes."""
    before = len(connection.transport.written)
    for part in parts:
        if not connection.transport.closed:
            connection.protocol.data_received(part)
            await asyncio.sleep(0)
    for _ in range(200):  # far more turns of the loop than answers take
        await asyncio.sleep(0)
    return re.findall(rb"HTTP/1\.1 ([2-5]\d\d)", connection.transport.written[before:])


async def known(node: Node) -> Connection:
    """A connection on which the usual head is known byte by byte."""
    connection = await primed(node, post())
    assert connection.send(post()).startswith(b"HTTP/1.1 201")
    return connection


@pytest.mark.parametrize("way", ["at once", "byte by byte", "behind a usual request"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@in_loop
async def test_what_another_implementation_does_not_read_is_no_request(
    case: bytes, way: str
) -> None:
    data = (post() if way == "behind a usual request" else b"") + case + HIDDEN
    theirs = judged(data)
    async with running() as node:
        connection = await known(node)
        parts = [bytes([byte]) for byte in data] if way == "byte by byte" else [data]
        statuses = await answered(connection, parts)
        ours = [status for status in statuses if status not in (b"100", b"400", b"408", b"431")]
        hidden = await node.stored("raw.hidden")
    assert len(ours) <= len(theirs)
    assert len(hidden) <= sum(target.endswith(b"raw.hidden") for _, target, _ in theirs)
    if len(ours) == len(statuses) and not connection.over:
        assert len(ours) == len(theirs)
    for body in hidden:
        assert body == EVENT


@pytest.mark.parametrize("case", LENIENT.values(), ids=LENIENT)
@in_loop
async def test_what_is_read_leniently_has_one_meaning(case: bytes) -> None:
    async with running() as node:
        connection = await known(node)
        assert len(await answered(connection, [case + HIDDEN])) == 2
        assert await node.stored("raw.hidden") == [EVENT]


@in_loop
async def test_nor_is_it_one_on_a_connection_whose_answers_wait_for_a_broker() -> None:
    async with running() as node:
        await known(node)
        answer_later(node)
        for name, case in CASES.items():
            data = post() + case + HIDDEN
            theirs, before = judged(data), len(await node.stored("raw.hidden"))
            statuses = await answered(node.connect(), [data])
            hidden = len(await node.stored("raw.hidden")) - before
            ours = [status for status in statuses if status not in (b"100", b"400", b"408", b"431")]
            assert statuses[0] == b"201", name
            assert len(ours) <= len(theirs), name
            assert hidden <= sum(target.endswith(b"raw.hidden") for _, target, _ in theirs), name
        assert await node.stored("raw.hidden"), "some cases hide nothing"
