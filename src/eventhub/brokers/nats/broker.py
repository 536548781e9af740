"""The NATS JetStream broker: sessions one after the other, and the contract's calls on the present one."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import structlog
from nats.aio.msg import Msg

from eventhub.brokers.base import Deliver, OnGap, OnMessage
from eventhub.brokers.nats.credentials import CredentialsUnusable
from eventhub.brokers.nats.idempotency_keys import IdempotencyKeys
from eventhub.brokers.nats.link import JetStreamError, NatsLink
from eventhub.brokers.nats.publish_batch import PublishBatch
from eventhub.brokers.nats.session import NatsSession
from eventhub.brokers.nats.streams import NOT_FOUND, NatsStreams, Subjects
from eventhub.brokers.nats.url import NatsUrl
from eventhub.errors import BrokerUnavailable, EventHubError
from eventhub.events.channels import Retention
from eventhub.events.event import (
    Age,
    Earliest,
    Event,
    HistoryPage,
    Last,
    NewEvent,
    Position,
    Receipt,
)

T = TypeVar("T")
log = structlog.get_logger("eventhub.brokers.nats")

WAITING_BYTES = 128 * 1024 * 1024
"""Of events in calls of `publish` that are not answered yet; further calls are refused."""
RETRY_SECONDS = 0.1
BACKOFF_SECONDS = (0.05, 2.0)
STUCK_TICKS = 10
"""With several servers: ticks for which something does not work until another server is tried."""


class NatsBroker:
    """Logs in JetStream streams. `url` is described in `address.py`; `timeout` bounds every call, in seconds."""

    def __init__(
        self,
        url: str,
        retention: Callable[[str], Retention],
        clock: Callable[[], int],
        *,
        timeout: float = 5.0,
    ) -> None:
        self._address = NatsUrl.parse(url)
        self._names = Subjects(self._address.prefix)
        self._retention = retention
        self._clock = clock
        self._timeout = timeout
        self._servers = random.sample(self._address.servers, len(self._address.servers))
        self._wanted: dict[str, None] = {}
        self._session: NatsSession | None = None
        self._up = asyncio.Event()
        self._why: str | None = "not connected to NATS yet"
        self._waiting = 0

    async def publish(self, events: Sequence[NewEvent]) -> Sequence[Receipt | EventHubError]:
        size = sum(len(event.data) for event in events)
        if self._waiting and self._waiting + size > WAITING_BYTES:
            raise BrokerUnavailable(
                f"{self._waiting} bytes of events already wait for the NATS server"
            )
        batch = PublishBatch(events)
        self._waiting += size
        try:
            await self._bounded(batch.attempt, lambda error: isinstance(error, JetStreamError))
        except BrokerUnavailable as error:
            batch.fail(error)
        finally:
            self._waiting -= size
        return batch.answers

    async def history(
        self, channel: str, since: Position | Earliest | Last | Age, limit: int
    ) -> HistoryPage:
        async def read(session: NatsSession) -> HistoryPage:
            return await (await session.log(channel)).read(
                since, limit, self._clock(), session.anchor(channel)
            )

        return await self._bounded(read, _anything)

    async def subscribe(self, channel: str) -> Position:
        new = channel not in self._wanted
        self._wanted[channel] = None
        try:
            return await self._bounded(lambda session: session.open(channel), _anything)
        except BaseException:
            if new:
                await self.unsubscribe(channel)
            raise

    async def unsubscribe(self, channel: str) -> None:
        self._wanted.pop(channel, None)
        if self._session is not None:
            await self._session.close(channel)

    async def broadcast(self, message: bytes) -> None:
        if self._session is None:
            raise BrokerUnavailable(self._why or "not connected to NATS")
        await self._session.link.publish(self._names.nodes, message)

    async def run(self, deliver: Deliver, gap: OnGap, hear: OnMessage) -> None:
        failures = 0
        while True:
            _obey()
            link = NatsLink(lambda subject: self._session.slow(subject) if self._session else None)
            try:
                await self._connect(link)
                _obey()
                failures = 0
                await self._serve(link, deliver, gap, hear)
            except BrokerUnavailable as error:
                self._why = error.message
            except Exception as error:  # it costs this link, and not the node
                log.exception("nats_link_failed")
                self._why = (
                    f"the NATS server answered what nobody understands: {type(error).__name__}"
                )
            finally:
                if self._session is not None:
                    self._session.end()
                self._session = None
                self._up.clear()
                self._why = self._why or "the connection to the NATS server was lost"
                await link.close()
            low, high = BACKOFF_SECONDS
            await asyncio.sleep(min(high, low * 2**failures) * random.uniform(0.5, 1.0))
            failures += 1

    def unready(self) -> str | None:
        return self._why

    # Private

    async def _connect(self, link: NatsLink) -> None:
        self._servers.append(self._servers.pop(0))
        try:
            identity = self._address.identity.arguments()
        except CredentialsUnusable as error:
            raise BrokerUnavailable(f"no connection to a NATS server: {error}") from None
        await link.open(self._servers[-1], {**self._address.login, **identity})
        try:
            await link.request("INFO")
        except JetStreamError as error:
            raise BrokerUnavailable(
                f"JetStream is not available on the NATS server: {error.message}"
            ) from None

    async def _serve(self, link: NatsLink, deliver: Deliver, gap: OnGap, hear: OnMessage) -> None:
        """Until the link is of no more use: then BrokerUnavailable says why."""
        streams = NatsStreams(
            link, self._names, self._retention, self._address.replicas, self._address.max_bytes
        )
        keys = IdempotencyKeys(link, streams, self._names, self._clock)

        def announce(event: Event) -> None:
            if event.channel in self._wanted:
                deliver(event)

        async def listen(message: Msg) -> None:
            hear(message.data)

        await link.listen(self._names.nodes, listen)
        self._session = session = NatsSession(
            link, self._names, streams, keys, self._retention, announce, gap
        )
        self._up.set()
        stuck = 0
        while True:
            closed, faulty = await session.reopen(self._wanted), await session.tick()
            _obey()
            self._why = why = closed or faulty
            stuck = stuck + 1 if why else 0
            if why and stuck >= STUCK_TICKS and len(self._servers) > 1:
                raise BrokerUnavailable(why)
            await session.idle()
            if link.closed.is_set():
                raise BrokerUnavailable("the connection to the NATS server was lost")

    async def _bounded(
        self, work: Callable[[NatsSession], Awaitable[T]], again: Callable[[Exception], bool]
    ) -> T:
        """Do it on the present session, and `again` on this or the next one until time is up. Raises EventHubError."""
        why = ""
        try:
            async with asyncio.timeout(self._timeout):
                while True:
                    await self._up.wait()
                    assert self._session is not None
                    session = self._session
                    try:
                        return await work(session)
                    except (JetStreamError, BrokerUnavailable) as error:
                        if not again(error):
                            raise
                        why = error.message
                        if isinstance(error, JetStreamError) and error.code == NOT_FOUND:
                            session.streams.known.clear()
                    await asyncio.sleep(RETRY_SECONDS)
        except TimeoutError:
            raise BrokerUnavailable(
                f"no answer from NATS within {self._timeout:g} seconds: {why or self._why or 'it is slow'}"
            ) from None


def _obey() -> None:
    """End if cancelled: `asyncio.wait_for`, which the client library uses, loses a cancellation that comes with its result before 3.12."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _anything(error: Exception) -> bool:
    """Reading may be done again, whatever went wrong."""
    return True
