"""Requests about one channel's messages: the newest one, the end, and the messages from a place on.

The newest message comes from the stream's leader, so a page is never older than what was
acknowledged or announced before the page was requested. The events come through a short-lived pull
consumer: one burst for a page, from any replica. `log_page.py` makes pages of them.
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import NamedTuple

from eventhub.brokers.base import PAGE_BYTES
from eventhub.brokers.nats.answers import NO_MESSAGE, JetStreamError
from eventhub.brokers.nats.link import NatsLink
from eventhub.brokers.nats.message import (
    StreamMessage,
    consumer_tokens,
    decode,
    decode_api,
    offset_of,
)
from eventhub.brokers.nats.pending_replies import Reply
from eventhub.brokers.nats.streams import NatsStream
from eventhub.brokers.nats.subjects import NANOSECONDS
from eventhub.brokers.records import RecordReader
from eventhub.errors import BrokerUnavailable
from eventhub.events.channel_types import Retention
from eventhub.events.event import Event, HistoryPage, Position

READER_SECONDS = 10
"""A consumer and a request for messages end after this time, if their node no longer ends them."""


class StreamState(NamedTuple):
    """The sequences of a stream. `drops_oldest`: by age or size, whatever their channel."""

    first: int
    last: int
    drops_oldest: bool = True

    def may_have_lost(self, sequence: int) -> bool:
        """Whether messages from `sequence` on may be gone, apart from a channel's own limit.

        Sequence 0 is the beginning of the log. A channel's limit keeps its newest message, so it
        leaves no channel empty, and a reader counts the others.
        """
        if sequence == 0:
            return self.drops_oldest and self.first > 1
        return self.first > sequence


@dataclass(slots=True)
class LogReader:
    """A consumer. When it was made, `total` messages of the channel lay ahead of it."""

    name: str
    total: int


class NatsLog:
    """One channel's messages. Its methods raise JetStreamError and BrokerUnavailable."""

    def __init__(
        self,
        link: NatsLink,
        stream: NatsStream,
        channel: str,
        subject: str,
        retention: Retention,
        records: RecordReader,
    ) -> None:
        self.retention = retention
        self.records = records
        self._link = link
        self._stream = stream
        self._channel = channel
        self._subject = subject

    @property
    def epoch(self) -> str:
        return self._stream.epoch

    def with_retention(self, retention: Retention) -> "NatsLog":
        """The same messages, of which as many as this are retained."""
        return NatsLog(
            self._link, self._stream, self._channel, self._subject, retention, self.records
        )

    async def newest(self) -> StreamMessage | None:
        """The newest message."""
        return await self._get({"last_by_subj": self._subject})

    async def end(self) -> tuple[int, int]:
        """Sequence and offset of the newest event.

        In an empty channel: those of the position just before the stream's next message.
        """
        if (newest := await self.newest()) is not None:
            return newest.sequence, newest.offset
        last = (await self.state()).last
        if (newest := await self.newest()) is not None:  # stored before the state was read
            return newest.sequence, newest.offset
        return last, offset_of(last + 1, 0)

    async def following(self, sequence: int) -> StreamMessage | None:
        """The first message after a sequence."""
        return await self._get({"seq": sequence + 1, "next_by_subj": self._subject})

    async def state(self) -> StreamState:
        """The state of the stream."""
        info = await self._link.request(f"STREAM.INFO.{self._stream.name}")
        state, config = info["state"], info["config"]
        drops_oldest = config.get("max_age", 0) > 0 or config.get("max_bytes", -1) > 0
        return StreamState(int(state["first_seq"]), int(state["last_seq"]), drops_oldest)

    @asynccontextmanager
    async def reader(self, sequence: int) -> AsyncIterator[LogReader]:
        """A consumer of the messages from `sequence` on.

        Its server may lag behind the leader. If that server's stream ends before `sequence`, the
        consumer would begin behind that end and deliver messages from before `sequence` as the
        server catches up: a reader's position would not come first, as if it had expired. Such a
        server is refused.
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
            "inactive_threshold": READER_SECONDS * NANOSECONDS,
        }
        path = f"{self._stream.name}.{name}"
        body = {"stream_name": self._stream.name, "config": config}
        made = await self._link.request(f"CONSUMER.CREATE.{path}.{self._subject}", body)
        try:
            if int(made["delivered"]["stream_seq"]) + 1 < begin:
                raise BrokerUnavailable(
                    "the JetStream server chosen for reading has not caught up with the others"
                )
            yield LogReader(name, int(made["num_pending"]))
        finally:
            await self._link.request_without_answer(f"CONSUMER.DELETE.{path}")

    async def pull(
        self, reader: LogReader, skip: int, limit: int, newest: int
    ) -> list[StreamMessage]:
        """`skip` messages and up to `limit` more, up to the sequence `newest`.

        Fewer when they are large, but at least one after those that are skipped.
        """
        found: list[StreamMessage] = []
        size_limit = {"max_bytes": PAGE_BYTES}
        while len(found) <= skip and (not found or found[-1].sequence < newest):
            before = len(found)
            batch = skip + limit - before if size_limit else 1
            await self._pull_batch(reader, batch, size_limit, newest, found)
            # When nothing came, the next message alone is larger than the limit.
            size_limit = {"max_bytes": PAGE_BYTES} if len(found) > before else {}
        return [stored for stored in found if stored.sequence <= newest]

    def event(self, stored: StreamMessage, previous: int) -> Event:
        """A message as an event."""
        return stored.event(self._channel, self._stream.epoch, previous)

    def page(
        self, start: Position, rows: Iterable[Event | int], end: Position, lost: str | None
    ) -> HistoryPage:
        """A page of events and, for messages that cannot be read, their offsets."""
        return self.records.page(self._channel, start, rows, end, lost)

    async def _pull_batch(
        self,
        reader: LogReader,
        batch: int,
        size_limit: dict[str, int],
        newest: int,
        found: list[StreamMessage],
    ) -> None:
        left = batch

        def take(message: Reply) -> bool:
            nonlocal left
            if message.headers and (status := message.headers.get("Status")):
                if status != "409":
                    raise BrokerUnavailable(
                        f"JetStream does not give stored messages: status {status}"
                    )
                return False
            sequence = int(consumer_tokens(message.reply)[3])
            found.append(decode(sequence, message.headers, message.data))
            left -= 1
            return left > 0 and sequence < newest

        subject = f"CONSUMER.MSG.NEXT.{self._stream.name}.{reader.name}"
        request = {"batch": batch, "expires": READER_SECONDS * NANOSECONDS, **size_limit}
        await self._link.collect(subject, reader.name, request, take)

    async def _get(self, which: dict[str, str | int]) -> StreamMessage | None:
        try:
            answer = await self._link.request(f"STREAM.MSG.GET.{self._stream.name}", which)
        except JetStreamError as error:
            if error.code == NO_MESSAGE:
                return None
            raise
        return decode_api(answer["message"])
