"""Replies that a connection waits for, and the window of publishes without an acknowledgement.

Bounds: WINDOW messages and WINDOW_BYTES unacknowledged; further ones wait. No I/O.
"""

import asyncio
from collections.abc import Callable
from itertools import count
from typing import NamedTuple

from nats.aio.msg import Msg

WINDOW = 1024
WINDOW_BYTES = 8 * 1024 * 1024


class PlainReply(NamedTuple):
    """A reply without headers and without a subject to answer to, as `Msg` has them."""

    data: bytes
    headers: None = None
    reply: str = ""


Reply = Msg | PlainReply
OnReply = Callable[[Reply | None], None]
"""Called with each reply, and with None when the connection is lost."""


class PendingReplies:
    """Callbacks by token. A token is the last part of a reply's subject."""

    def __init__(self) -> None:
        self._tokens = count(1)
        self._callbacks: dict[str, tuple[int, OnReply]] = {}  # with bytes in the window
        self._unacknowledged = self._unacknowledged_bytes = 0
        self._room = asyncio.Event()

    def next_token(self) -> str:
        """A token that this connection has not used."""
        return str(next(self._tokens))

    def expect(self, token: str, on_reply: OnReply, *, size: int = 0) -> None:
        """Call `on_reply` with each reply to `token`. A `size` takes that much of the window."""
        self._callbacks[token] = (size, on_reply)
        if size:
            self._unacknowledged += 1
            self._unacknowledged_bytes += size

    async def room(self, size: int) -> None:
        """Wait until the window has room for a message of `size` bytes."""
        while not self.has_room(size):
            self._room.clear()
            await self._room.wait()

    def has_room(self, size: int, messages: int = 1) -> bool:
        """Whether the window has room for messages of `size` bytes. An empty one takes any one."""
        return (
            self._unacknowledged + messages <= WINDOW
            and self._unacknowledged_bytes + size <= WINDOW_BYTES
        ) or (messages == 1 and not self._unacknowledged)

    def deliver(self, token: str, message: Reply) -> None:
        """Give a reply to its callback, if it has one."""
        if (found := self._callbacks.get(token)) is not None:
            found[1](message)

    def forget(self, token: str) -> None:
        """Expect no more replies to `token`."""
        found = self._callbacks.pop(token, None)
        if found is not None and found[0]:
            self._unacknowledged -= 1
            self._unacknowledged_bytes -= found[0]
            self._room.set()

    def end(self) -> None:
        """The connection is lost: tell every callback."""
        for _, on_reply in list(self._callbacks.values()):
            on_reply(None)
        self._room.set()
