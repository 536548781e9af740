"""Text forms of the protocol, and the head of a WebSocket's handshake."""

import base64
import hashlib

import orjson

from eventhub.errors import EventHubError, InvalidChannel, InvalidSince
from eventhub.events.channel_names import check_name
from eventhub.events.event import Age, Earliest, Last, Latest, Position, Since, State
from eventhub.events.since import parse_age, parse_cursor, parse_since
from eventhub.server.messages.problem import encode_problem, problem_document
from eventhub.server.streams.query import StreamQuery
from eventhub.server.websocket.handshake import GUID, negotiate
from tests.fuzz.bodies import manager
from tests.fuzz.source import Source
from tests.unit.session.session_client import Client

NAMES = (
    b"host", b"origin", b"sec-websocket-key", b"sec-websocket-version", b"sec-websocket-extensions",
    b"sec-websocket-protocol", b"x",
)  # fmt: skip
USUAL = [(b"sec-websocket-version", b"13"), (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ==")]
ANSWER = {
    "Upgrade",
    "Connection",
    "Sec-WebSocket-Accept",
    "Sec-WebSocket-Protocol",
    "Sec-WebSocket-Extensions",
}


def words(data: bytes) -> None:
    """Every text is a value that can be written as the same text again, or is refused with its own
    error of bounded length.
    """
    text = data.decode(errors="replace")
    try:
        since = parse_since(text)
    except InvalidSince as error:
        assert len(error.message) < 1000
    else:
        assert said(since) == text
    try:
        cursor = parse_cursor(text)
    except InvalidSince as error:
        assert len(error.message) < 1000
    else:
        channel, _, since_text = text.rpartition(",")[2].partition("@")
        assert since_text == said(cursor[channel])
    try:
        check_name(text)
    except InvalidChannel as error:
        assert len(error.message) < 3000
    else:
        assert len(text) <= 200
        assert text.isascii()
        assert all(token.replace("-", "a").replace("_", "a").isalnum() for token in text.split("."))
    try:
        assert 0 <= parse_age(text) < 10**9 * 86_400_000
    except ValueError as error:
        assert "expected a number with a unit" in str(error)


def said(since: Since) -> str | None:
    """The text of a value; an age has many."""
    if isinstance(since, State):
        return str(since)
    match since:
        case Position(_, offset):
            assert 0 <= offset < 2**63
            return str(since)
        case Latest():
            return "latest"
        case Earliest():
            return "earliest"
        case Last(count):
            return f"-{count}"
        case Age(milliseconds):
            return Same() if milliseconds >= 0 else None


class Same(str):
    """Equal to the text of any age."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and other.endswith(("s", "m", "h", "d"))

    __hash__ = str.__hash__


def handshake(data: bytes) -> None:
    """A head is answered with 101 and the right key, or with a problem document; nothing of it
    becomes a line of the answer.
    """
    source = Source(data)
    flags = source.byte()
    target, *lines = source.rest().split(b"\n")
    headers = list(USUAL) if flags & 1 else []
    for line in lines:
        value = line[1:].replace(b"\r", b"").replace(b"\x00", b"")
        headers.append((NAMES[line[0] % len(NAMES)] if line else b"", value))
    url = (b"/v1/ws?" if flags & 2 else b"") + target
    try:
        agreement = negotiate(manager(), "GET" if not flags & 4 else "POST", url, headers)
    except EventHubError as error:
        head, _, body = encode_problem(error).partition(b"\r\n\r\n")
        assert orjson.loads(body)["code"] == error.code
        assert f"Content-Length: {len(body)}".encode() in head.split(b"\r\n")
        assert len(body) < 3000
        return
    head, _, rest = agreement.answer.partition(b"\r\n\r\n")
    status, *fields = head.decode("ascii").split("\r\n")
    assert (status, rest) == ("HTTP/1.1 101 Switching Protocols", b"")
    assert {field.partition(": ")[0] for field in fields} <= ANSWER
    keys = [value.strip() for name, value in headers if name == b"sec-websocket-key"]
    accept = base64.b64encode(hashlib.sha1(b", ".join(keys) + GUID).digest()).decode()
    assert f"Sec-WebSocket-Accept: {accept}" in fields
    wanted(agreement.query)


def wanted(query: bytes) -> None:
    client = Client()
    try:
        asked = StreamQuery(query)
        assert asked.positions().keys() <= set(asked.channels)
        asked.subscribe(client.session)
    except EventHubError as error:
        assert len(orjson.dumps(problem_document(error))) < 3000
