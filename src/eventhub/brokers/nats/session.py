"""What a node does over one link: its announced channels, and watching that the streams and the announcements are whole.

Every TICK the server is pinged and each stream's leader asked for its state. When the leader changed, the stream went back, or it could
not be asked, announcements may be missing: `gap` for its channels, now that it answers. Lines that were silent while their stream went on
are checked, CHECKS in a tick, so that a lost announcement is found even when no other follows it.
"""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field

import structlog
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from eventhub.brokers.nats.idempotency_keys import IdempotencyKeys
from eventhub.brokers.nats.link import JetStreamError, NatsLink
from eventhub.brokers.nats.log import NatsLog
from eventhub.brokers.nats.message import decode
from eventhub.brokers.nats.sequence_tracker import SequenceGap, SequenceTracker
from eventhub.brokers.nats.streams import NOT_FOUND, NatsStream, NatsStreams, Subjects
from eventhub.brokers.records import RecordReader
from eventhub.errors import BrokerUnavailable
from eventhub.events.channels import Retention
from eventhub.events.event import Event, Position

log = structlog.get_logger("eventhub.brokers.nats")

TICK = 1.0
CHECKS = 100
OPENINGS = 64
"""Channels opened at once after a reconnect."""


@dataclass(slots=True)
class AnnouncedChannel:
    """A subscribed channel. `line` is None until it is opened, and again when its stream is gone."""

    line: SequenceTracker | None = None
    subscription: Subscription | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(slots=True)
class WatchedStream:
    """A stream as last seen: its leader, and its last sequence then. `whole`: it answered the last time."""

    leader: str
    last: int
    whole: bool = True


class NatsSession:
    """One link and what stands on it."""

    def __init__(
        self,
        link: NatsLink,
        names: Subjects,
        streams: NatsStreams,
        keys: IdempotencyKeys,
        retention: Callable[[str], Retention],
        deliver: Callable[[Event], None],
        gap: Callable[[str], None],
    ) -> None:
        self.link = link
        self.names = names
        self.streams = streams
        self.keys = keys
        self._retention = retention
        self._records = RecordReader("nats")
        self._deliver = deliver
        self._gap = gap
        self._channels: dict[str, AnnouncedChannel] = {}
        self._watched: dict[str, WatchedStream] = {}

    async def log(self, channel: str) -> NatsLog:
        """A channel's log. Raises JetStreamError, BrokerUnavailable."""
        return NatsLog(
            self.link,
            await self.streams.of(channel),
            channel,
            self.names.log(channel),
            self._retention(channel),
            self._records,
        )

    def anchor(self, channel: str) -> Position | None:
        """Where the announcements of a channel stand."""
        announced = self._channels.get(channel)
        return (
            announced.line.position
            if announced and announced.line and announced.line.opened
            else None
        )

    async def open(self, channel: str) -> Position:
        """Announce a channel from now on; the position its next announcement follows. Raises JetStreamError, BrokerUnavailable."""
        announced = self._channels.setdefault(channel, AnnouncedChannel())
        async with announced.lock:
            if announced.line is not None:
                return announced.line.position
            log = await self.log(channel)
            stream = await self.streams.of(channel)
            line = SequenceTracker(channel, stream.name, stream.epoch)

            async def hear(message: Msg) -> None:
                self._hear(announced, line, message)

            subscription = await self.link.listen(self.names.live(channel), hear)
            try:
                sequence, offset = await log.end()
            except BaseException:
                await self.link.unlisten(subscription)
                raise
            announced.line, announced.subscription = line, subscription
            position = Position(stream.epoch, offset)
            for what in line.open(sequence, offset):
                self._pass_on(channel, what)
            return position

    async def close(self, channel: str) -> None:
        """Stop announcing a channel."""
        if (announced := self._channels.pop(channel, None)) is not None:
            async with announced.lock:  # it may be about to be opened
                await self._drop(announced)

    def slow(self, subject: str) -> None:
        """The client library dropped announcements that came faster than they were taken."""
        channel = subject.removeprefix(self.names.live(""))
        if channel in self._channels:
            self._gap(channel)

    async def reopen(self, channels: Iterable[str]) -> str | None:
        """Open what is not open, and say `gap` for each. Why some could not be, or None. Raises BrokerUnavailable like `tick`."""
        await self._drop_stale()
        closed = [
            channel
            for channel in channels
            if (found := self._channels.get(channel)) is None or found.line is None
        ]
        broken: dict[str, str] = {}  # by channel type: one failure is enough, each may take seconds
        for kind, channel in {_kind(channel): channel for channel in closed}.items():
            try:
                await self.streams.of(channel)
            except (JetStreamError, BrokerUnavailable) as error:
                broken[kind] = error.message
                await self.link.ping()
        places = asyncio.Semaphore(OPENINGS)

        async def one(channel: str) -> str | None:
            async with places:
                if _kind(channel) in broken:
                    return None
                try:
                    await self.open(channel)
                except (JetStreamError, BrokerUnavailable) as error:
                    broken[_kind(channel)] = error.message
                    return None
                except Exception:  # of this channel: the others are opened
                    log.exception("nats_channel_failed", channel=channel)
                    return None
                return channel

        async with asyncio.TaskGroup() as tasks:
            for opening in asyncio.as_completed(
                [tasks.create_task(one(channel)) for channel in closed]
            ):
                if (opened := await opening) is not None:
                    self._gap(
                        opened
                    )  # in this task and not in theirs: once it is cancelled nobody listens
        return next(
            (
                f"channels of type {kind!r} cannot be announced: {why}"
                for kind, why in broken.items()
            ),
            None,
        )

    async def tick(self) -> str | None:
        """Look after everything. Why something does not work, or None. Raises BrokerUnavailable when the link is of no more use."""
        if self.link.bug is not None:
            log.error("nats_message_failed", exc_info=self.link.bug)
            raise BrokerUnavailable(
                f"a message of the NATS server could not be taken: {type(self.link.bug).__name__}"
            )
        await self.link.ping()
        if not self.streams.known:
            return await self._ask()
        found = await asyncio.gather(
            *(self._watch(stream) for stream in list(self.streams.known.values()))
        )
        for doubtful, _ in found:
            for line in doubtful:
                self._gap(line.channel)
        return next((why for _, why in found if why), None)

    def end(self) -> None:
        """Say nothing more."""
        self._deliver = self._gap = _nowhere

    async def idle(self) -> None:
        """Until the next tick, or the end of the link."""
        with suppress(TimeoutError):
            async with asyncio.timeout(TICK):
                await self.link.closed.wait()

    # Private

    def _hear(self, announced: AnnouncedChannel, line: SequenceTracker, message: Msg) -> None:
        headers = message.headers or {}
        if headers.get("Nats-Stream") != line.stream:
            return  # of one that has taken its place: `reopen` follows
        try:
            sequence, last = int(headers["Nats-Sequence"]), int(headers["Nats-Last-Sequence"])
        except (ValueError, LookupError):  # no server's: somebody else publishes here
            self._records.unreadable(line.channel, None)
            return
        what = line.announce(decode(sequence, headers, message.data), last)
        if what is not None and announced.line is line:
            self._pass_on(line.channel, what)

    def _pass_on(self, channel: str, what: Event | SequenceGap) -> None:
        if isinstance(what, SequenceGap):
            self._gap(channel)
        else:
            self._deliver(what)

    async def _ask(self) -> str | None:
        try:
            await self.link.request("INFO")
        except (JetStreamError, BrokerUnavailable) as error:
            return error.message
        return None

    async def _watch(self, stream: NatsStream) -> tuple[list[SequenceTracker], str | None]:
        """The lines that may miss announcements, and why the stream cannot be used."""
        watched = self._watched.setdefault(stream.name, WatchedStream("", 0))
        try:
            info = await self.streams.state(stream)
        except (JetStreamError, BrokerUnavailable) as error:
            watched.whole = False
            if isinstance(error, JetStreamError) and error.code == NOT_FOUND:
                self.streams.forget(stream)
                self._watched.pop(stream.name, None)
            return [], f"the JetStream stream {stream.name!r} cannot be used: {error.message}"
        settled = watched.last
        leader, watched.last = (
            info.get("cluster", {}).get("leader", ""),
            int(info["state"]["last_seq"]),
        )
        lines = [
            found.line
            for found in self._channels.values()
            if found.line and found.line.stream == stream.name
        ]
        doubt = not watched.whole or watched.last < settled or watched.leader not in ("", leader)
        watched.leader, watched.whole = leader, True
        if doubt:
            return lines, None
        return await self._check(
            [line for line in lines if line.due(settled)][:CHECKS], settled
        ), None

    async def _check(self, lines: list[SequenceTracker], settled: int) -> list[SequenceTracker]:
        async def one(line: SequenceTracker) -> bool:
            asked = line.sequence
            newest = await (await self.log(line.channel)).newest()
            if not line.check(newest.sequence if newest else 0, asked, settled):
                return False
            line.clean = settled
            return True

        found = await asyncio.gather(*map(one, lines), return_exceptions=True)
        return [line for line, missing in zip(lines, found, strict=True) if missing is True]

    async def _drop_stale(self) -> None:
        """The lines of streams that are gone, or may be."""
        names = {stream.name for stream in self.streams.known.values()}
        for announced in list(self._channels.values()):
            if announced.line and announced.line.stream not in names:
                await self._drop(announced)

    async def _drop(self, announced: AnnouncedChannel) -> None:
        subscription, announced.line, announced.subscription = announced.subscription, None, None
        if subscription is not None:
            await self.link.unlisten(subscription)


def _kind(channel: str) -> str:
    return channel.partition(".")[0]


def _nowhere(what: object) -> None:
    """Nobody listens any more."""
