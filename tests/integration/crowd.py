"""Thousands of WebSocket clients in one process. They follow PROTOCOL.md: they keep a cursor, obey
a goodbye, reconnect and resume.
"""

import asyncio
import random
import time
from collections.abc import Iterable
from typing import Any

import orjson

from tests.harness.clients import masked

CLOSE, PING, PONG = 8, 9, 10
DIALS = 200
"""Under way at a time, when all come at once."""
BACKOFF_SECONDS, LONGEST_BACKOFF = 0.2, 5.0


class Crowd:
    """All clients, and what they saw. Times are on the monotonic clock."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.clients: list[Client] = []
        self.goodbyes: list[float] = []
        self.moments: list[float] = []
        """When to come back, as each goodbye said, in seconds."""
        self.returns: list[float] = []
        """When a client that had been sent away, or lost its connection, was subscribed again."""
        self.obeyed: list[float] = []
        """Of the returns, those of clients that came when they were told to."""
        self.away: list[float] = []
        """How long each of them was, in seconds."""
        self.lost = 0
        """Connections that ended without a goodbye."""
        self.refused = 0
        self.gaps = 0
        self.errors: list[str] = []
        self.presence: list[str] = []
        """What watchers heard of members that came, went, or were not there."""
        self.ending = False
        self.dialling = asyncio.Semaphore(DIALS)
        self.tasks: set[asyncio.Task[None]] = set()

    async def add(
        self,
        channel: str,
        members: Iterable[str | None],
        *,
        watching: int = 0,
        obedient: bool = True,
    ) -> None:
        """Clients of one channel, from when all are subscribed; `members`: their ids in presence.
        The last watch so many members.

        Those that are not obedient come back when they like to, whatever they are told.
        """
        own = [
            Client(self, channel, f"channel={channel}" + (f"&member={member}" if member else ""))
            for member in members
        ]
        for client in own:
            client.obedient = obedient
        own += [Client(self, channel, "", watching)] if watching else []
        self.clients += own
        for client in own:
            client.dial()
        for client in own:
            async with asyncio.timeout(60):
                await client.begun.wait()

    async def end(self) -> None:
        """Close all of them."""
        self.ending = True
        for client in self.clients:
            client.hang_up()
        await asyncio.gather(*self.tasks)

    @property
    def connected(self) -> int:
        """How many are subscribed now."""
        return sum(client.subscribed for client in self.clients)


class Client(asyncio.Protocol):
    """A client of one channel, which is named in its address.

    One that is `watching` that many members subscribes with a message.
    """

    def __init__(self, crowd: Crowd, channel: str, query: str, watching: int = 0) -> None:
        self.channel = channel
        self.start = ""
        """Where it began."""
        self.offsets: list[int] = []
        """Of all its events, over all connections."""
        self.begun = asyncio.Event()
        self.subscribed = False
        self.obedient = True
        self._crowd = crowd
        self._query = query
        self._watching = watching
        self._cursor = "latest"
        self._buffer = b""
        self._upgraded = False
        self._wait: float | None = None  # as the server asked
        self._attempt = 0
        self._left = 0.0  # when it was last served
        self._transport: asyncio.Transport | None = None

    def dial(self) -> None:
        """Connect, and try again later if that fails."""
        if not self._crowd.ending:
            task = asyncio.get_running_loop().create_task(self._dial())
            self._crowd.tasks.add(task)
            task.add_done_callback(self._crowd.tasks.discard)

    def hang_up(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # asyncio's protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport, self._buffer, self._upgraded, self._wait = transport, b"", False, None
        transport.write(
            f"GET /v1/ws?{self._query}&since={self._cursor} HTTP/1.1\r\nHost: localhost\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._upgraded and b"\r\n\r\n" in self._buffer:
            head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
            self._upgraded = head.startswith(b"HTTP/1.1 101")
            if not self._upgraded:
                self._refused(head.lower())
        if self._upgraded:
            self._take_frames()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.subscribed:
            self._left = time.monotonic()
        self.subscribed, self._transport = False, None
        if self._crowd.ending:
            return
        if self._wait is None:
            self._crowd.lost += self._upgraded
            self._wait = self._backoff()
        asyncio.get_running_loop().call_later(self._wait, self.dial)

    # Private

    async def _dial(self) -> None:
        try:
            async with self._crowd.dialling:
                await asyncio.get_running_loop().create_connection(
                    lambda: self, "127.0.0.1", self._crowd.port
                )
        except OSError:
            asyncio.get_running_loop().call_later(self._backoff(), self.dial)

    def _backoff(self) -> float:
        self._attempt += 1
        return random.random() * min(LONGEST_BACKOFF, BACKOFF_SECONDS * 2.0**self._attempt)

    def _refused(self, head: bytes) -> None:
        assert self._transport is not None
        self._crowd.refused += 1
        _, found, rest = head.partition(b"retry-after: ")
        self._wait = (
            int(rest.split()[0]) * random.uniform(0.5, 1)
            if found and self.obedient
            else self._backoff()
        )
        self._transport.abort()

    def _take_frames(self) -> None:
        buffer, at = self._buffer, 0
        while len(buffer) >= at + 2:
            length, begin = buffer[at + 1], at + 2
            if length == 126:
                length, begin = int.from_bytes(buffer[at + 2 : at + 4]), at + 4
            if len(buffer) < begin + length:
                break
            self._take(buffer[at] & 0x0F, buffer[begin : begin + length])
            at = begin + length
        self._buffer = buffer[at:]

    def _take(self, opcode: int, payload: bytes) -> None:
        assert self._transport is not None
        if opcode == 1:
            self._hear(orjson.loads(payload))
        elif opcode == PING:
            self._transport.write(masked(payload, PONG))
        elif opcode == CLOSE:
            self._transport.write(masked(payload[:2], CLOSE))
            self._transport.close()

    def _hear(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "event":
                self._cursor = message["id"]
                self.offsets.append(int(self._cursor.partition("-")[2]))
            case "subscribed":
                self._subscribed(message)
            case "goodbye":
                self._wait, self.subscribed = (
                    message["reconnect_in"] if self.obedient else self._backoff(),
                    False,
                )
                self._left = time.monotonic()
                self._crowd.goodbyes.append(self._left)
                self._crowd.moments.append(message["reconnect_in"])
            case "gap":
                self._cursor = message["position"]
                self._crowd.gaps += 1
            case "hello" if self._watching:
                wanted = {
                    "type": "subscribe",
                    "channel": self.channel,
                    "since": self._cursor,
                    "presence": True,
                }
                assert self._transport is not None
                self._transport.write(masked(orjson.dumps(wanted)))
            case "join" | "leave" as change:
                self._crowd.presence.append(f"{change} {message['member']['id']}")
            case "error":
                self._crowd.errors.append(message["code"])

    def _subscribed(self, message: dict[str, Any]) -> None:
        self.subscribed, self._attempt = True, 0
        if message.get("count", self._watching) != self._watching:
            self._crowd.presence.append(f"{message['count']} members")
        if self.begun.is_set():
            self._crowd.returns.append(time.monotonic())
            if self.obedient:
                self._crowd.obeyed.append(self._crowd.returns[-1])
            self._crowd.away.append(self._crowd.returns[-1] - self._left)
        else:
            self.start = self._cursor = message["position"]
            self.begun.set()
