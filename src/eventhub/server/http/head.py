"""The head of one request while it arrives, and the limits on it."""

from eventhub.errors import HeadTooLarge, RequestTimeout
from eventhub.server.messages.request_head import SPACE

HEAD_BYTES = 32 * 1024
"""The size of a request's head, with its address."""
HEAD_FIELDS = 256
"""Header fields of a request. Many small fields cost more CPU time than their bytes suggest."""


class IncomingHead:
    """Address and header fields. Fields behind the body (trailers) are counted, and not kept."""

    __slots__ = ("_bytes", "_fields", "complete", "expects_continue", "headers", "url")

    def __init__(self) -> None:
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.expects_continue = False
        """The client waits for 100 Continue before it sends the body (RFC 9110, 10.1.1)."""
        self.complete = False
        self._bytes = 0
        self._fields = 0

    def add_url(self, part: bytes) -> None:
        """Add a part of the address. Raises HeadTooLarge."""
        self._count(len(part))
        self.url += part

    def add_field(self, name: bytes, value: bytes) -> None:
        """Add a header field. Raises HeadTooLarge."""
        self._count(len(name) + len(value) + 4)
        self._fields += 1
        if self._fields > HEAD_FIELDS:
            raise HeadTooLarge(
                f"the request has more than {HEAD_FIELDS} header fields, which is the limit"
            )
        if self.complete:
            return  # a trailer is no part of the head (RFC 9110, 6.5.1)
        name = name.lower()
        value = value.rstrip(SPACE)  # the parser removes leading space
        if name == b"expect" and value.lower() == b"100-continue":
            self.expects_continue = True
        self.headers.append((name, value))

    def finish(self) -> None:
        """The head is complete. Trailers have limits of their own."""
        self.complete = True
        self._bytes = self._fields = 0

    def _count(self, size: int) -> None:
        self._bytes += size
        if self._bytes > HEAD_BYTES:
            raise head_too_large()


def head_too_large() -> HeadTooLarge:
    """The error of a head, or of bytes between requests, beyond HEAD_BYTES."""
    return HeadTooLarge(f"the request's head has more than {HEAD_BYTES} bytes, which is the limit")


def head_too_late(seconds: float) -> RequestTimeout:
    """The error of a head that was not complete in time."""
    return RequestTimeout(
        f"no complete request came within {seconds:g} seconds (limits.head_seconds)"
    ).with_limit("head_seconds")
