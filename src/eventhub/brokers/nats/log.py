"""Reading one channel's events from its stream.

The newest message comes from the stream's leader, so a page is never older than what was acknowledged or announced before it was asked
for. The events come through a short-lived pull consumer: one burst for a page, from any replica, which has to hold where the page begins,
and to reach the newest or fill the page. A reader's position is vouched for by its own message: it is read first, and has to be there with
the right stamp.
"""

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from nats.aio.msg import Msg

from eventhub.brokers.nats.link import JetStreamError, NatsLink, ack_tokens
from eventhub.brokers.nats.message import STAMPS, StreamMessage, decode, decode_api, offset_of
from eventhub.brokers.nats.streams import NatsStream
from eventhub.brokers.records import RecordReader
from eventhub.errors import BrokerUnavailable
from eventhub.events.channels import Retention
from eventhub.events.event import Age, Earliest, Event, HistoryPage, Last, Position

PAGE_BYTES = 256 * 1024
NO_MESSAGE = 10037
_SECOND = 1_000_000_000


@dataclass(slots=True)
class LogReader:
    """A consumer. `total` messages of the channel were there, from where it begins, when it was made."""

    name: str
    total: int


class NatsLog:
    """One channel's events. Its methods raise JetStreamError and BrokerUnavailable."""

    def __init__(
        self,
        link: NatsLink,
        stream: NatsStream,
        channel: str,
        subject: str,
        retention: Retention,
        records: RecordReader,
    ) -> None:
        self._records = records
        self._link = link
        self._stream = stream
        self._channel = channel
        self._subject = subject
        self._retention = retention

    async def newest(self) -> StreamMessage | None:
        """The newest message."""
        return await self._get({"last_by_subj": self._subject})

    async def end(self) -> tuple[int, int]:
        """Sequence and offset of the newest event; in an empty channel those of the place before the stream's next message."""
        if (newest := await self.newest()) is not None:
            return newest.sequence, newest.offset
        last = int((await self._state())["last_seq"])
        if (newest := await self.newest()) is not None:  # it may have come before the state
            return newest.sequence, newest.offset
        return last, offset_of(last + 1, 0)

    async def read(
        self, since: Position | Earliest | Last | Age, limit: int, now: int, anchor: Position | None
    ) -> HistoryPage:
        """A page. `anchor` is where this node's announcements of the channel stand: an empty channel's position, where there is one."""
        if (newest := await self.newest()) is None:
            state = await self._state()
            if (newest := await self.newest()) is None:
                return self._empty(since, state, anchor)
        age = self._retention.age
        return await LogPage(self, newest, limit, 0 if age is None else now - age).read(since, now)

    def _empty(
        self,
        since: Position | Earliest | Last | Age,
        state: dict[str, int],
        anchor: Position | None,
    ) -> HistoryPage:
        first, last = int(state["first_seq"]), int(state["last_seq"])
        here = anchor or Position(self._stream.epoch, offset_of(last + 1, 0))
        lost = None
        if isinstance(since, Position) and since != here:
            sequence, stamp = divmod(since.offset, STAMPS)
            if since.epoch != self._stream.epoch or since.offset > offset_of(last + 1, 0):
                lost = "reset"
            elif first > sequence + 1 if stamp == 0 else first != sequence + 1:
                lost = "expired"
        return HistoryPage(here, [], here, lost)

    # What a page is made of

    @property
    def epoch(self) -> str:
        return self._stream.epoch

    @property
    def events(self) -> int:
        """How many are retained."""
        return self._retention.events

    def event(self, stored: StreamMessage, previous: int) -> Event:
        """A message as an event."""
        return stored.event(self._channel, self._stream.epoch, previous)

    def page(
        self, start: Position, rows: Iterable[Event | int], end: Position, lost: str | None
    ) -> HistoryPage:
        """Of events, and the offsets of messages that cannot be read."""
        return self._records.page(self._channel, start, rows, end, lost)

    async def first_sequence(self) -> int:
        """Of the stream."""
        return int((await self._state())["first_seq"])

    async def following(self, sequence: int) -> StreamMessage | None:
        """The first message after a sequence."""
        return await self._get({"seq": sequence + 1, "next_by_subj": self._subject})

    @asynccontextmanager
    async def reader(self, sequence: int) -> AsyncIterator[LogReader]:
        """A consumer of the messages from `sequence` on.

        The server that has it may lag behind the leader. One that ends before `sequence` would begin behind its own end, with messages from
        before `sequence` as it catches up: a reader's position would not be the first, as if it had expired.
        """
        name, begin = self._link.new_token(), max(sequence, 1)
        config = {
            "name": name,
            "filter_subject": self._subject,
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": begin,
            "ack_policy": "none",
            "replay_policy": "instant",
            "num_replicas": 1,
            "mem_storage": True,
            "inactive_threshold": 10 * _SECOND,
        }
        place = f"{self._stream.name}.{name}"
        body = {"stream_name": self._stream.name, "config": config}
        made = await self._link.request(f"CONSUMER.CREATE.{place}.{self._subject}", body)
        try:
            if int(made["delivered"]["stream_seq"]) + 1 < begin:
                raise BrokerUnavailable(
                    "the JetStream server that was to read has not caught up with the others"
                )
            yield LogReader(name, int(made["num_pending"]))
        finally:
            await self._link.tell(f"CONSUMER.DELETE.{place}")

    async def pull(
        self, reader: LogReader, skip: int, limit: int, newest: int
    ) -> list[StreamMessage]:
        """`skip` messages and up to `limit` more, up to the sequence `newest`; fewer when they are large, but at least one more."""
        found: list[StreamMessage] = []
        bound = {"max_bytes": PAGE_BYTES}
        while len(found) <= skip and (not found or found[-1].sequence < newest):
            before = len(found)
            await self._pull(reader, skip + limit - before if bound else 1, bound, newest, found)
            bound = (
                {"max_bytes": PAGE_BYTES} if len(found) > before else {}
            )  # nothing came: the next one alone is larger
        return [stored for stored in found if stored.sequence <= newest]

    async def _pull(
        self,
        reader: LogReader,
        batch: int,
        bound: dict[str, int],
        newest: int,
        found: list[StreamMessage],
    ) -> None:
        left = batch

        def take(message: Msg) -> bool:
            nonlocal left
            if message.headers and (status := message.headers.get("Status")):
                if status != "409":
                    raise BrokerUnavailable(
                        f"JetStream does not give what is stored: status {status}"
                    )
                return False
            found.append(decode(int(ack_tokens(message)[3]), message.headers, message.data))
            left -= 1
            return left > 0 and found[-1].sequence < newest

        request = {"batch": batch, "expires": 2 * _SECOND, **bound}
        await self._link.collect(
            f"CONSUMER.MSG.NEXT.{self._stream.name}.{reader.name}", reader.name, request, take
        )

    async def _get(self, which: dict[str, str | int]) -> StreamMessage | None:
        try:
            return decode_api(
                (await self._link.request(f"STREAM.MSG.GET.{self._stream.name}", which))["message"]
            )
        except JetStreamError as error:
            if error.code == NO_MESSAGE:
                return None
            raise

    async def _state(self) -> dict[str, int]:
        state: dict[str, int] = (await self._link.request(f"STREAM.INFO.{self._stream.name}"))[
            "state"
        ]
        return state


class LogPage:
    """One page of a log that is not empty, up to its newest message. Events before the time `oldest` have expired."""

    def __init__(self, log: NatsLog, newest: StreamMessage, limit: int, oldest: int) -> None:
        self._log = log
        self._newest = newest
        self._limit = limit
        self._oldest = oldest
        self._end = Position(log.epoch, newest.offset)

    async def read(self, since: Position | Earliest | Last | Age, now: int) -> HistoryPage:
        """The page for `since`."""
        match since:
            case Position():
                return await self._from_position(since)
            case Last():
                return await self._last(min(since.count, self._log.events))
            case Age():
                self._oldest = max(self._oldest, now - since.milliseconds)
        return await self._earliest()

    async def _from_position(self, since: Position) -> HistoryPage:
        if since == self._end:
            return self._slice(since.offset, [])
        if since.epoch != self._end.epoch or since.offset > self._end.offset:
            return await self._earliest("reset")
        sequence, stamp = divmod(since.offset, STAMPS)
        if stamp == 0 and await self._log.first_sequence() > sequence:
            return await self._earliest("expired")
        async with self._log.reader(sequence) as reader:
            own = 1 if stamp else 0
            found = await self._log.pull(reader, own, self._limit, self._newest.sequence)
        if stamp and (not found or found[0].sequence != sequence):
            return await self._earliest("expired")
        if stamp and found[0].offset != since.offset:
            return await self._earliest("reset")
        after = found[own:]
        if reader.total - own > self._log.events or (after and after[0].time < self._oldest):
            return await self._earliest("expired")
        return self._slice(since.offset, after)

    async def _earliest(self, lost: str | None = None) -> HistoryPage:
        if self._log.events == 0 or self._newest.time < self._oldest:
            return self._slice(self._end.offset, [], lost)
        async with self._log.reader(1) as reader:
            skip = max(0, reader.total - self._log.events)
            found = await self._log.pull(reader, skip, self._limit, self._newest.sequence)
        return await self._retained(found, skip, lost)

    async def _last(self, count: int) -> HistoryPage:
        """Look back until one message more than asked for is there; how far is guessed from how many there were."""
        if count == 0:
            return self._slice(self._end.offset, [])
        width, newest = count + 1, self._newest.sequence
        while True:
            begin = max(1, newest - width + 1)
            async with self._log.reader(begin) as reader:
                if reader.total > count or begin == 1:
                    skip = max(0, reader.total - count)
                    found = await self._log.pull(reader, skip, self._limit, newest)
                    return await self._retained(found, skip, None)
            width *= max(2, min(64, 3 * count // (2 * max(reader.total, 1))))

    async def _retained(
        self, found: list[StreamMessage], skip: int, lost: str | None
    ) -> HistoryPage:
        """A page of messages of which the first `skip` are left out, and those that expired."""
        if len(found) <= skip:  # trimmed meanwhile
            return self._slice(self._end.offset, [], lost)
        if found[skip].time < self._oldest:
            before = await self._newest_expired(found[skip])
            async with self._log.reader(before.sequence) as reader:
                found = await self._log.pull(reader, 1, self._limit, self._newest.sequence)
            skip = 1 if found and found[0].sequence == before.sequence else 0
            if len(found) <= skip:
                return self._slice(self._end.offset, [], lost)
        start = found[skip - 1].offset if skip else offset_of(found[0].sequence, 0)
        return self._slice(start, found[skip:], lost)

    async def _newest_expired(self, low: StreamMessage) -> StreamMessage:
        """The message before the oldest one that has not expired. `low` has, the newest has not."""
        if self._newest.time < self._oldest:
            return self._newest
        high = self._newest.sequence
        while low.sequence < high:
            middle = (low.sequence + high) // 2
            found = await self._log.following(middle)
            if found is None or found.time >= self._oldest:
                high = middle
            else:
                low = found
        return low

    def _slice(
        self, start: int, found: list[StreamMessage], lost: str | None = None
    ) -> HistoryPage:
        """What follows `start`."""
        return self._log.page(
            Position(self._end.epoch, start), self._rows(start, found), self._end, lost
        )

    def _rows(self, start: int, found: list[StreamMessage]) -> Iterator[Event | int]:
        previous, size = start, 0
        for stored in found[: self._limit]:
            if size >= PAGE_BYTES:
                break
            yield self._log.event(stored, previous) if stored.readable else stored.offset
            previous = stored.offset
            size += len(stored.data)
