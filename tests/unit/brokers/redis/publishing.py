"""A publisher and a server that answers when a test says so."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from eventhub.brokers.redis.link import ErrorReply, pack
from eventhub.brokers.redis.publisher import RedisPublisher
from eventhub.brokers.redis.url import ServerAddress
from eventhub.errors import EventHubError
from eventhub.events.event import NewEvent, Receipt
from tests.harness.virtual_time import run_in_virtual_time

TIMEOUT = 5.0


class Server:
    """Takes script calls and answers when a test says so: a CommandRouter and the link it gives."""

    def __init__(self) -> None:
        self.broken: set[bytes] = set()
        """Data of events that cannot be encoded."""
        self.largest = 10_000
        """More events than that cannot be encoded together."""
        self.known: set[ServerAddress] = set()
        """Where redirects may lead."""
        self.sent: list[tuple[ServerAddress | None, bytes]] = []
        self.reason: str | None = "away"
        self.calls: list[tuple[list[NewEvent], Callable[[Any], None]]] = []
        self.up = True
        self.refusals: list[str] = []
        self._events: list[NewEvent] = []
        self._asked: ServerAddress | None = None

    def link(self, channel: str, redirect: ServerAddress | None = None) -> Any:
        self._asked = redirect
        return self if (self.up if redirect is None else redirect in self.known) else None

    def refused(self, channel: str, error: ErrorReply) -> None:
        self.refusals.append(error.code)

    def arguments(self, channel: str, events: Sequence[NewEvent]) -> Sequence[str | bytes | int]:
        if len(events) > self.largest or any(event.data in self.broken for event in events):
            raise ZeroDivisionError
        self._events = list(events)
        return []

    def unavailable_reason(self) -> str | None:
        return None if self.up else self.reason

    def send(self, command: bytes, done: Callable[[Any], None]) -> None:
        self.sent.append((self._asked, command))
        if command != pack("ASKING"):
            self.calls.append((self._events, done))

    def answer(self, reply: Any) -> None:
        self.calls.pop(0)[1](reply)


Publish = Callable[..., "asyncio.Task[Sequence[Receipt | EventHubError]]"]


def publishing(
    scenario: Callable[[Server, RedisPublisher, Publish], Awaitable[None]], timeout: float = TIMEOUT
) -> None:
    async def main() -> None:
        server = Server()
        publisher = RedisPublisher(server, timeout)

        def publish(
            *texts: str, channel: str = "c", key: str | None = None
        ) -> "asyncio.Task[Sequence[Receipt | EventHubError]]":
            return asyncio.create_task(
                publisher.publish(
                    [NewEvent(channel, text.encode(), 1, None, key) for text in texts]
                )
            )

        await scenario(server, publisher, publish)

    run_in_virtual_time(main())


async def turns() -> None:
    for _ in range(3):
        await asyncio.sleep(0)
