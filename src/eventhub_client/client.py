"""What both hubs do, written once: in an event loop, and without one (transport.py)."""

from collections.abc import Generator
from contextlib import suppress
from typing import Any, TypeVar

from eventhub_client.address import Address
from eventhub_client.attempts import Rules, problem_of
from eventhub_client.credentials import Credentials, Token, authorization
from eventhub_client.cursors import Cursor
from eventhub_client.errors import Problem
from eventhub_client.following import Follower
from eventhub_client.items import Item, Presence, Signal
from eventhub_client.link import Link
from eventhub_client.members import Rosters
from eventhub_client.payloads import Model, item_of
from eventhub_client.positions import Subscription
from eventhub_client.steps import CallStep, Deliver, RenewToken, Reply, Request, Store, Wait
from eventhub_client.transport import Runtime, Transport
from eventhub_client.wire import TRANSIENT, unreachable

T = TypeVar("T")
AnyItem = Item[Any] | Signal | Presence


class Client:
    """A server, and the credential for it."""

    def __init__(
        self,
        url: str,
        token: Token | None,
        key: str | None,
        transport: Transport,
        runtime: Runtime,
    ) -> None:
        self.address = Address.of(url)
        self.credentials = Credentials(token, key, runtime.alone)
        self.rules = Rules(renewable=self.credentials.are_renewable)
        self.transport = transport
        self.runtime = runtime
        self._newest: Reply = None

    @property
    def trouble(self) -> Problem | None:
        """What was wrong with the newest reply to a request, also if it will be repeated."""
        return None if self._newest is None else problem_of(self._newest)

    async def call(self, steps: Generator[CallStep, Reply, T]) -> T:
        """Make the requests of a call. Raises HubError."""
        reply: Reply = None
        token: str | None = None
        while True:
            try:
                step = steps.send(reply)
            except StopIteration as end:
                result: T = end.value
                return result
            reply = None
            match step:
                case Wait(seconds):
                    await self.runtime.sleep(seconds)
                case RenewToken():
                    with suppress(*TRANSIENT):  # the next answer shows whether it matters
                        await self.credentials.replace(token)
                case Request():
                    reply, token = await self._ask(step)
                    self._newest = reply

    def follow(
        self, subscription: Subscription, cursor: Cursor | None, model: Model
    ) -> "Following":
        """Follow channels."""
        link = Link(
            self.address, self.credentials, self.transport, self.runtime, subscription.member
        )
        return Following(Follower(subscription), link, cursor, model)

    async def _ask(self, request: Request) -> tuple[Reply, str | None]:
        """The reply, and the token that was sent."""
        try:
            token = await self.credentials.newest()
        except TRANSIENT as failure:
            return unreachable(failure), None
        headers = {**request.headers, **authorization(token)}
        url = self.address.http + request.path
        return await self.transport.request(url, request, headers), token


class Following:
    """One `follow`: its items, one after the other."""

    def __init__(self, follower: Follower, link: Link, cursor: Cursor | None, model: Model) -> None:
        self._steps = follower.steps()
        self._link = link
        self._cursor = cursor
        self._model = model
        self._rosters = Rosters()

    async def next(self) -> AnyItem:
        """The next item. The one before it is consumed."""
        reply: Reply = None
        while True:
            match self._steps.send(reply):
                case Deliver(message):
                    return item_of(message, self._model, self._rosters)
                case Store(positions):
                    if self._cursor is not None:
                        self._cursor.store(positions)
                    reply = None
                case step:
                    reply = await self._link.take(step)

    async def close(self) -> None:
        """End the connection."""
        await self._link.close()


def subscription_of(
    channels: tuple[str, ...], since: str, cursor: Cursor | None, **options: Any
) -> Subscription:
    """What a call of `follow` names. The cursor knows where it goes on."""
    positions = cursor.load() if cursor is not None else {}
    return Subscription(channels, since, positions, **options)
