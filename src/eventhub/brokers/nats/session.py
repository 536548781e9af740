"""What a node does over one link: announce channels, and watch that nothing is missed.

Every TICK_SECONDS the server is pinged, and `stream_watch.py` looks for missing announcements. A
channel that may miss some gets a `gap`.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import structlog
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from eventhub.brokers.nats.answers import JetStreamError
from eventhub.brokers.nats.births import KnownChannels
from eventhub.brokers.nats.idempotency_keys import IdempotencyKeys
from eventhub.brokers.nats.link import NatsLink
from eventhub.brokers.nats.log import NatsLog
from eventhub.brokers.nats.message import decode
from eventhub.brokers.nats.sequence_tracker import SequenceGap, SequenceTracker
from eventhub.brokers.nats.signals import NatsSignals
from eventhub.brokers.nats.states import NatsStates
from eventhub.brokers.nats.stream_watch import StreamWatch
from eventhub.brokers.nats.streams import NatsStreams
from eventhub.brokers.nats.subjects import Subjects
from eventhub.brokers.records import RecordReader
from eventhub.errors import BrokerUnavailable
from eventhub.events.channel_types import Retention
from eventhub.events.event import Event, Position

log = structlog.get_logger("eventhub.brokers.nats")

TICK_SECONDS = 1.0
CONCURRENT_OPENINGS = 64
"""Channels opened at the same time after a reconnect."""


@dataclass(slots=True)
class AnnouncedChannel:
    """A subscribed channel. `tracker` is None before it is opened, and once its stream is gone."""

    tracker: SequenceTracker | None = None
    subscription: Subscription | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class NatsSession:
    """The announced channels of one link."""

    def __init__(
        self,
        link: NatsLink,
        subjects: Subjects,
        streams: NatsStreams,
        keys: IdempotencyKeys,
        retention: Callable[[str], Retention],
        deliver: Callable[[Event], None],
        gap: Callable[[str], None],
        signals: NatsSignals,
    ) -> None:
        self.link = link
        self.signals = signals
        self.subjects = subjects
        self.streams = streams
        self.keys = keys
        self.states = NatsStates(link, streams, subjects)
        self._retention = retention
        self._records = RecordReader("nats")
        self._deliver = deliver
        self._gap = gap
        self.known = KnownChannels(retention)
        self._channels: dict[str, AnnouncedChannel] = {}
        self._watch = StreamWatch(streams, self.log, self._trackers)

    async def log(self, channel: str) -> NatsLog:
        """A channel's log. Raises JetStreamError, BrokerUnavailable."""
        return NatsLog(
            self.link,
            await self.streams.of_channel(channel),
            channel,
            self.subjects.log(channel),
            self._retention(channel),
            self._records,
        )

    def keeps_states(self, channel: str) -> bool:
        """Whether the channel's type keeps states beyond its log."""
        state = self._retention(channel).state
        return state is not None and state.latest

    def announced_position(self, channel: str) -> Position | None:
        """The position of a channel's announcements; None while they are not known."""
        announced = self._channels.get(channel)
        if announced is None or announced.tracker is None or not announced.tracker.opened:
            return None
        return announced.tracker.position

    async def open(self, channel: str) -> Position:
        """Announce a channel from now on. Returns the position the next announcement follows.

        Raises JetStreamError, BrokerUnavailable.
        """
        announced = self._channels.setdefault(channel, AnnouncedChannel())
        async with announced.lock:
            if announced.tracker is not None:
                return announced.tracker.position
            channel_log = await self.log(channel)
            stream = await self.streams.of_channel(channel)
            tracker = SequenceTracker(channel, stream.name, stream.epoch)

            async def on_announcement(message: Msg) -> None:
                self._on_announcement(announced, tracker, message)

            subscription = await self.link.listen(self.subjects.live(channel), on_announcement)
            try:
                sequence, offset = await channel_log.end()
            except BaseException:
                await self.link.unlisten(subscription)
                raise
            announced.tracker, announced.subscription = tracker, subscription
            position = Position(stream.epoch, offset)
            for result in tracker.open(sequence, offset):
                self._pass_on(channel, result)
            return position

    async def close(self, channel: str) -> None:
        """Stop announcing a channel."""
        if (announced := self._channels.pop(channel, None)) is not None:
            async with announced.lock:  # it may be about to be opened
                await self._drop(announced)

    def on_slow(self, subject: str) -> None:
        """The client library dropped announcements: they came faster than they were taken."""
        channel = subject.removeprefix(self.subjects.live(""))
        if channel in self._channels:
            self._gap(channel)

    async def reopen(self, channels: Iterable[str]) -> str | None:
        """Open the channels that are not open, with a `gap` for each.

        Returns the reason if some could not be opened, else None. Raises BrokerUnavailable like
        `tick`.
        """
        await self._drop_stale()
        closed = [
            channel
            for channel in channels
            if (found := self._channels.get(channel)) is None or found.tracker is None
        ]
        failures = await self._failing_types(closed)
        places = asyncio.Semaphore(CONCURRENT_OPENINGS)

        async def open_one(channel: str) -> str | None:
            async with places:
                if _channel_type(channel) in failures:
                    return None
                try:
                    await self.open(channel)
                except (JetStreamError, BrokerUnavailable) as error:
                    failures[_channel_type(channel)] = error.message
                    return None
                except Exception:  # concerns this channel: the others are opened
                    log.exception("nats_channel_failed", channel=channel)
                    return None
                return channel

        async with asyncio.TaskGroup() as tasks:
            for opening in asyncio.as_completed(
                [tasks.create_task(open_one(channel)) for channel in closed]
            ):
                # Called here and not in the tasks: no gap may be told once this task is cancelled.
                if (opened := await opening) is not None:
                    self._gap(opened)
        return next(
            (
                f"channels of type {channel_type!r} cannot be announced: {reason}"
                for channel_type, reason in failures.items()
            ),
            None,
        )

    async def tick(self) -> str | None:
        """Check the link and the streams. Returns the reason if something does not work, else None.

        Raises BrokerUnavailable when the link can no longer be used.
        """
        if (error := self.link.callback_error) is not None:
            log.error("nats_message_failed", exc_info=error)
            raise BrokerUnavailable(
                f"a message of the NATS server could not be processed: {type(error).__name__}"
            )
        await self.link.ping()
        if not self.streams.known:
            return await self._ask_jetstream()
        doubtful, reason = await self._watch.tick()
        for channel in doubtful:
            self._gap(channel)
        return reason

    def end(self) -> None:
        """Deliver nothing more."""
        self._deliver = self._gap = _ignore

    async def idle(self) -> None:
        """Wait until the next tick, or the end of the link."""
        with suppress(TimeoutError):
            async with asyncio.timeout(TICK_SECONDS):
                await self.link.closed.wait()

    # Private

    def _on_announcement(
        self, announced: AnnouncedChannel, tracker: SequenceTracker, message: Msg
    ) -> None:
        headers = message.headers or {}
        try:
            if self.signals.receive(tracker.channel, message):
                return None
        except ValueError:
            return self._records.unreadable(tracker.channel, None)
        if headers.get("Nats-Stream") != tracker.stream:
            return None  # another stream has taken its place: `reopen` follows
        try:
            sequence, last = int(headers["Nats-Sequence"]), int(headers["Nats-Last-Sequence"])
        except (ValueError, LookupError):  # not from a server: another client publishes here
            self._records.unreadable(tracker.channel, None)
            return None
        result = tracker.on_announcement(decode(sequence, headers, message.data), last)
        if result is not None and announced.tracker is tracker:
            self._pass_on(tracker.channel, result)

    def _pass_on(self, channel: str, result: Event | SequenceGap) -> None:
        if isinstance(result, SequenceGap):
            self._gap(channel)
        else:
            self._deliver(result)

    def _trackers(self, stream_name: str) -> Sequence[SequenceTracker]:
        return [
            announced.tracker
            for announced in self._channels.values()
            if announced.tracker and announced.tracker.stream == stream_name
        ]

    async def _failing_types(self, channels: Sequence[str]) -> dict[str, str]:
        """Channel types whose stream cannot be used, with the reason.

        It asks once for each type, because an answer may take seconds.
        """
        failures: dict[str, str] = {}
        for channel_type, channel in {_channel_type(name): name for name in channels}.items():
            try:
                await self.streams.of_channel(channel)
            except (JetStreamError, BrokerUnavailable) as error:
                failures[channel_type] = error.message
                await self.link.ping()
        return failures

    async def _ask_jetstream(self) -> str | None:
        try:
            await self.link.request("INFO")
        except (JetStreamError, BrokerUnavailable) as error:
            return error.message
        return None

    async def _drop_stale(self) -> None:
        """Drop the trackers of streams that are gone, or may be."""
        names = {stream.name for stream in self.streams.known.values()}
        for announced in list(self._channels.values()):
            if announced.tracker and announced.tracker.stream not in names:
                await self._drop(announced)

    async def _drop(self, announced: AnnouncedChannel) -> None:
        subscription, announced.tracker, announced.subscription = announced.subscription, None, None
        if subscription is not None:
            await self.link.unlisten(subscription)


def _channel_type(channel: str) -> str:
    return channel.partition(".")[0]


def _ignore(event_or_channel: object) -> None:
    """Stands in for `deliver` and `gap` once the session has ended."""
