"""Handshakes whose heads were accepted before, byte by byte but for the key. No I/O.

The clients of one application send the same head, each with a key of its own. The same bytes have
the same meaning, so they are neither parsed nor checked again: only the key is. A head with a
credential is not remembered, because what it allows can change.
"""

from collections.abc import Sequence
from typing import NamedTuple

from eventhub.server.messages.request_head import SPACE
from eventhub.server.websocket.handshake import HandshakeResult, accept_of, is_key
from eventhub.server.websocket.upgrade import UpgradeRequest

HEADS, HEAD_BYTES = 1024, 2048
"""Heads that are remembered, and the largest of them. Beyond it, the oldest is forgotten."""
KEY_NAME, KEY_BYTES = b"\r\nSec-WebSocket-Key: ", 24
Headers = Sequence[tuple[bytes, bytes]]


class KnownHandshake(NamedTuple):
    """A handshake that was accepted. The 101 response is `before`, the accept value, `behind`."""

    url: bytes
    headers: list[tuple[bytes, bytes]]
    result: HandshakeResult
    before: bytes
    behind: bytes


class KnownHandshakes:
    """The heads of one node. Their meaning depends on its settings, which do not change."""

    __slots__ = ("_heads",)

    def __init__(self) -> None:
        self._heads: dict[tuple[bytes, bytes], KnownHandshake] = {}

    def find(self, data: bytes) -> UpgradeRequest | None:
        """The request that the first bytes of a connection are, if its head is known."""
        if (found := _split(data)) is None:
            return None
        before, key, behind, end = found
        known = self._heads.get((before, behind))
        if known is None or not is_key(key):
            return None
        result = known.result._replace(answer=known.before + accept_of(key) + known.behind)
        return UpgradeRequest("GET", known.url, known.headers, data[end:], result)

    def remember(
        self, head: bytes, url: bytes, headers: list[tuple[bytes, bytes]], result: HandshakeResult
    ) -> None:
        """A request was accepted. `head`: its bytes, b"" if they were not read at once."""
        if result.principal.known or len(head) > HEAD_BYTES or (found := _split(head)) is None:
            return
        before, key, behind, _ = found
        parts = result.answer.split(accept_of(key))
        if len(parts) != 2 or not _is_plain(head, url, headers):
            return
        self._heads[before, behind] = KnownHandshake(url, headers, result, *parts)
        if len(self._heads) > HEADS:
            del self._heads[next(iter(self._heads))]


def _split(data: bytes) -> tuple[bytes, bytes, bytes, int] | None:
    """What stands before the key, the key, the rest of the head, and where the head ends."""
    end = data.find(b"\r\n\r\n", 0, HEAD_BYTES) + 4
    key = data.find(KEY_NAME, 0, end) + len(KEY_NAME)
    if end < 4 or key < len(KEY_NAME):
        return None
    behind = key + KEY_BYTES
    return data[:key], data[key:behind], data[behind:end], end


def _is_plain(head: bytes, url: bytes, headers: Headers) -> bool:
    """Whether the bytes have one meaning: each line ends in CRLF, and is one of these fields."""
    first, *lines = head.split(b"\r\n")
    fields = [line.partition(b":") for line in lines[:-2]]
    same = [(name.lower(), value.strip(SPACE)) for name, _, value in fields] == headers
    return same and first == b"GET %b HTTP/1.1" % url
