"""The NATS JetStream broker: one session after the other; calls use the present one."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import structlog
from nats.aio.msg import Msg

from eventhub.brokers.base import Deliver, OnBirth, OnGap, OnMessage, OnSignal, OnStored, no_signals
from eventhub.brokers.nats.answers import LOST, NOT_FOUND, JetStreamError
from eventhub.brokers.nats.channel_list import NatsChannelList
from eventhub.brokers.nats.conditional_batch import ConditionalBatch
from eventhub.brokers.nats.credentials import CredentialsUnusable
from eventhub.brokers.nats.idempotency_keys import IdempotencyKeys
from eventhub.brokers.nats.link import NatsLink
from eventhub.brokers.nats.log_page import read_page
from eventhub.brokers.nats.message import STAMPS
from eventhub.brokers.nats.publish_batch import PublishBatch
from eventhub.brokers.nats.publish_later import LaterPublisher
from eventhub.brokers.nats.session import NatsSession
from eventhub.brokers.nats.signals import NatsSignals
from eventhub.brokers.nats.streams import NatsStreams
from eventhub.brokers.nats.subjects import Subjects
from eventhub.brokers.nats.url import NatsUrl
from eventhub.common.channel_pattern import ChannelPattern
from eventhub.errors import BrokerUnavailable, EventHubError
from eventhub.events.channel_types import Retention
from eventhub.events.event import (
    ChannelPage,
    Event,
    HistoryPage,
    NewEvent,
    Position,
    Receipt,
    Start,
    State,
)
from eventhub.events.signal import Signal

T = TypeVar("T")
log = structlog.get_logger("eventhub.brokers.nats")

WAITING_BYTES = 128 * 1024 * 1024
"""Bytes of events in calls of `publish` without an answer. Further calls are refused."""
RETRY_SECONDS = 0.1
BACKOFF_SECONDS = (0.05, 2.0)
FAILING_TICKS = 10
"""With several servers: after this many ticks with a fault, the broker tries another server."""


class NatsBroker:
    """Logs in JetStream streams.

    `url.py` describes the URL. `timeout` bounds every call, in seconds.
    """

    publish_now = publish_all_now = None  # it waits for its server

    offset_step = STAMPS

    def __init__(
        self,
        url: str,
        retention: Callable[[str], Retention],
        clock: Callable[[], int],
        *,
        timeout: float = 5.0,
    ) -> None:
        self._url = NatsUrl.parse(url)
        self._subjects = Subjects(self._url.prefix)
        self._retention = retention
        self._clock = clock
        self._timeout = timeout
        self._servers = random.sample(self._url.servers, len(self._url.servers))
        self._wanted: dict[str, None] = {}
        self.on_signal: OnSignal = no_signals
        self._session: NatsSession | None = None
        self._connected = asyncio.Event()
        self._reason: str | None = "not connected to NATS yet"
        self._waiting_bytes = 0
        self._later = LaterPublisher(timeout)
        self._born: OnBirth

    async def publish(self, events: Sequence[NewEvent]) -> Sequence[Receipt | EventHubError]:
        size = sum(len(event.data) for event in events)
        if self._waiting_bytes and self._waiting_bytes + size > WAITING_BYTES:
            raise BrokerUnavailable(
                f"{self._waiting_bytes} bytes of events wait for the NATS server already; "
                f"at most {WAITING_BYTES} may"
            )
        batch = self._batch(events)
        self._waiting_bytes += size
        try:
            await self._retry(batch.attempt, lambda error: isinstance(error, JetStreamError))
        except BrokerUnavailable as error:
            batch.fail(error)
        finally:
            self._waiting_bytes -= size
        return batch.answers()

    def publish_later(self, events: Sequence[NewEvent], done: OnStored) -> bool:
        """Send them with this turn of the loop, if nothing else is needed first."""
        return self._session is not None and self._later.publish(self._session, events, done)

    async def history(self, channel: str, since: Start, limit: int) -> HistoryPage:
        async def read(session: NatsSession) -> HistoryPage:
            log = await session.log(channel)
            announced = session.announced_position(channel)
            if isinstance(since, State):
                return await session.states.page(channel, log, since, limit, self._clock())
            return await read_page(log, since, limit, self._clock(), announced)

        return await self._retry(read, _always)

    async def channels(self, pattern: ChannelPattern, after: str, limit: int) -> ChannelPage:
        async def read(session: NatsSession) -> ChannelPage:
            found = NatsChannelList(session.link, self._subjects, session.log)
            return await found.read(pattern, after, limit, self._clock())

        return await self._retry(read, _always)

    async def subscribe(self, channel: str) -> Position:
        new = channel not in self._wanted
        self._wanted[channel] = None
        try:
            return await self._retry(lambda session: session.open(channel), _always)
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
            raise BrokerUnavailable(self._reason or "not connected to NATS")
        await self._session.link.publish(self._subjects.nodes, message)

    def signal(self, signal: Signal) -> None:
        if self._session is None:
            raise BrokerUnavailable(self._reason or "not connected to NATS")
        self._session.signals.send(signal)

    async def run(self, deliver: Deliver, gap: OnGap, on_message: OnMessage, born: OnBirth) -> None:
        self._born = born
        failures = 0
        while True:
            _raise_if_cancelled()
            link = NatsLink(self._on_slow)
            try:
                await self._connect(link)
                _raise_if_cancelled()
                failures = 0
                await self._serve(link, deliver, gap, on_message)
            except BrokerUnavailable as error:
                self._reason = error.message
            except Exception as error:  # ends this link, and not the node
                log.exception("nats_link_failed")
                self._reason = (
                    f"the NATS server's answer cannot be processed: {type(error).__name__}"
                )
            finally:
                if self._session is not None:
                    self._session.end()
                self._session = None
                self._connected.clear()
                self._reason = self._reason or LOST
                await link.close()
            low, high = BACKOFF_SECONDS
            await asyncio.sleep(min(high, low * 2**failures) * random.uniform(0.5, 1.0))
            failures += 1

    def unready(self) -> str | None:
        return self._reason

    # Private

    def _batch(self, events: Sequence[NewEvent]) -> PublishBatch:
        if all(event.expected is None for event in events):
            return PublishBatch(events)
        return ConditionalBatch(events, self._clock)

    def _on_slow(self, subject: str) -> None:
        if subject == self._subjects.births:
            self._born(None)
        if self._session is not None:
            self._session.on_slow(subject)

    async def _connect(self, link: NatsLink) -> None:
        self._servers.append(self._servers.pop(0))
        try:
            credentials = self._url.credentials.arguments()
        except CredentialsUnusable as error:
            raise BrokerUnavailable(f"no connection to a NATS server: {error}") from None
        await link.open(self._servers[-1], {**self._url.login, **credentials})
        try:
            await link.request("INFO")
        except JetStreamError as error:
            raise BrokerUnavailable(
                f"JetStream is not available on the NATS server: {error.message}"
            ) from None

    async def _serve(
        self, link: NatsLink, deliver: Deliver, gap: OnGap, on_message: OnMessage
    ) -> None:
        """Serve until the link can no longer be used; raise BrokerUnavailable with the reason."""
        streams = NatsStreams(
            link, self._subjects, self._retention, self._url.replicas, self._url.max_bytes
        )
        keys = IdempotencyKeys(link, streams, self._subjects, self._clock)

        def announce(event: Event) -> None:
            if event.channel in self._wanted:
                deliver(event)

        async def on_broadcast(message: Msg) -> None:
            on_message(message.data)

        async def on_birth(message: Msg) -> None:
            self._born(message.data.decode())

        await link.listen(self._subjects.nodes, on_broadcast)
        await link.listen(self._subjects.births, on_birth)

        def hear(signal: Signal) -> None:
            if signal.channel in self._wanted:
                self.on_signal(signal)

        signals = NatsSignals(link, self._subjects, hear)
        self._session = session = NatsSession(
            link, self._subjects, streams, keys, self._retention, announce, gap, signals
        )
        self._connected.set()
        self._born(None)
        failing = 0
        while True:
            not_opened, fault = await session.reopen(self._wanted), await session.tick()
            _raise_if_cancelled()
            self._reason = reason = not_opened or fault
            failing = failing + 1 if reason else 0
            if reason and failing >= FAILING_TICKS and len(self._servers) > 1:
                raise BrokerUnavailable(reason)
            await session.idle()
            if link.closed.is_set():
                raise BrokerUnavailable(LOST)

    async def _retry(
        self, work: Callable[[NatsSession], Awaitable[T]], again: Callable[[Exception], bool]
    ) -> T:
        """Call `work` with the present session, and again on this or a later one until time is up.

        `again(error)` says whether to try again. Raises EventHubError.
        """
        reason = ""
        try:
            async with asyncio.timeout(self._timeout):
                while True:
                    await self._connected.wait()
                    assert self._session is not None
                    session = self._session
                    try:
                        return await work(session)
                    except (JetStreamError, BrokerUnavailable) as error:
                        if not again(error):
                            raise
                        reason = error.message
                        if isinstance(error, JetStreamError) and error.code == NOT_FOUND:
                            session.streams.known.clear()
                    await asyncio.sleep(RETRY_SECONDS)
        except TimeoutError:
            reason = reason or self._reason or "it is slow"
            raise BrokerUnavailable(
                f"no answer from NATS within {self._timeout:g} seconds: {reason}"
            ) from None


def _raise_if_cancelled() -> None:
    """Raise CancelledError if this task was cancelled.

    Before Python 3.12, `asyncio.wait_for` loses a cancellation that arrives together with its
    result. The client library uses it.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _always(error: Exception) -> bool:
    """Reading may be repeated after any error."""
    return True
