"""States (brokers/states.py): a node folds the log of a channel, and goes on where it stopped.

With `latest`, a stream of states has a copy of the newest event of each key: one message per
subject. A publisher writes the copy after the event is stored, and only over a copy of an older
one. A copy may be missing, because its publisher died. So the stream of such a type keeps LEEWAY
events more of each channel, and a fold takes them, too.

Entries beyond the bounds of a state are not shown. Their copies stay until the age of keys ends.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, replace

from eventhub.brokers.memory_state import Ledger, MemoryState
from eventhub.brokers.nats.answers import NO_MESSAGE, JetStreamError
from eventhub.brokers.nats.idempotency_keys import WRONG_LAST_SEQUENCE
from eventhub.brokers.nats.link import NatsLink
from eventhub.brokers.nats.log import NatsLog
from eventhub.brokers.nats.log_page import read_page
from eventhub.brokers.nats.message import OFFSET, STAMPS, StreamMessage, decode_api, encode
from eventhub.brokers.nats.streams import NatsStreams
from eventhub.brokers.nats.subjects import LEEWAY, Subjects
from eventhub.events.channel_types import Retention
from eventhub.events.event import (
    Age,
    Earliest,
    Event,
    HistoryPage,
    NewEvent,
    Position,
    Receipt,
    State,
)
from eventhub.events.keys import key_of

READ_EVENTS = 1000
"""Events of a log that are read at once."""
FOLDS = 64
"""Channels whose folds a node keeps: those that were read last."""
ATTEMPTS = 5


@dataclass(slots=True)
class Fold:
    """A state, and the end of the log that it was made of."""

    state: MemoryState
    end: Position


class NatsStates:
    """The states of channels, over one link.

    Its methods raise JetStreamError and BrokerUnavailable.
    """

    def __init__(self, link: NatsLink, streams: NatsStreams, subjects: Subjects) -> None:
        self._link, self._streams, self._subjects = link, streams, subjects
        self._folds: OrderedDict[str, Fold] = OrderedDict()

    async def page(
        self, channel: str, log: NatsLog, since: State, limit: int, now: int
    ) -> HistoryPage:
        """A page of the state of a log."""
        if log.retention.state is None:
            end = (await read_page(log, Earliest(), 0, now, None)).end
            return HistoryPage(end, [], end, following=State(end))
        fold = await self.fold(channel, log, now)
        position = since.position
        if (
            position is not None
            and position.epoch == fold.end.epoch
            and position.offset <= fold.end.offset
            and position != fold.end
            and not fold.state.has(position.offset)
            and (await read_page(_whole(log), position, 1, now, None)).lost
        ):
            page = fold.state.page(State(), fold.end, limit)
            return replace(page, lost="expired")
        return fold.state.page(since, fold.end, limit)

    async def fold(self, channel: str, log: NatsLog, now: int) -> Fold:
        """The channel's state now."""
        whole = _whole(log)
        fold = self._folds.get(channel)
        if fold is not None:
            page = await read_page(whole, fold.end, READ_EVENTS, now, None)
            fold = None if page.lost else await self._go_on(fold, whole, page, now)
        if fold is None:
            fold = await self._begin(channel, whole, now)
        self._folds[channel] = fold
        self._folds.move_to_end(channel)
        if len(self._folds) > FOLDS:
            self._folds.popitem(last=False)
        if not log.retention.state or not log.retention.state.latest:
            trimmed = (await read_page(log, Earliest(), 1, now, None)).start.offset
            fold.state.trimmed(trimmed)
        fold.state.expire(now)
        return fold

    async def keep(self, stored: Iterable[tuple[NewEvent, Receipt]]) -> None:
        """Copy the newest event of each key among those that were stored."""
        newest = {(event.channel, key_of(event)): (event, receipt) for event, receipt in stored}
        await asyncio.gather(*(self._copy(event, receipt) for event, receipt in newest.values()))

    async def _begin(self, channel: str, whole: NatsLog, now: int) -> Fold:
        """Fold the copies, and all that the log has."""
        retention = whole.retention.state
        assert retention is not None
        copies = {event.offset: event for event in await self._copies(channel, whole)}
        page = await read_page(whole, Earliest(), READ_EVENTS, now, None)
        while True:
            copies |= {event.offset: event for event in page.events}
            if page.reached == page.end or page.lost:
                break
            page = await read_page(whole, page.reached, READ_EVENTS, now, None)
        state = MemoryState(retention, 0, Ledger())
        for offset in sorted(copies):
            state.add(copies[offset])
        if retention.latest and retention.age is not None:  # older copies are gone
            young = await read_page(whole, Age(retention.age), 1, now, None)
            state.forgotten = max(state.forgotten, young.start.offset)
        return Fold(state, page.reached)

    async def _go_on(self, fold: Fold, whole: NatsLog, page: HistoryPage, now: int) -> Fold | None:
        while True:
            for event in page.events:
                fold.state.add(event)
            fold.end = page.reached
            if page.reached == page.end:
                return fold
            page = await read_page(whole, page.reached, READ_EVENTS, now, None)
            if page.lost:
                return None

    async def _copies(self, channel: str, whole: NatsLog) -> list[Event]:
        if whole.retention.state is None or not whole.retention.state.latest:
            return []
        stream = await self._streams.of_states(channel)
        copies = NatsLog(
            self._link,
            stream,
            channel,
            self._subjects.states(channel),
            whole.retention,
            whole.records,
        )
        newest = await copies.newest()
        found: list[Event] = []
        after = 0
        while newest is not None and after < newest.sequence:
            async with copies.reader(after + 1) as reader:
                batch = await copies.pull(reader, 0, READ_EVENTS, newest.sequence)
            if not batch:
                break
            after = batch[-1].sequence
            found += [
                stored.event(channel, whole.epoch, 0)._replace(offset=stored.copied)
                for stored in batch
                if stored.readable and stored.copied and stored.epoch == whole.epoch
            ]
        return found

    async def _copy(self, event: NewEvent, receipt: Receipt) -> None:
        stream = await self._streams.of_states(event.channel)
        subject = self._subjects.state(event.channel, key_of(event))
        offset = receipt.position.offset
        headers = encode(offset % STAMPS, event.time, event.attributes)
        headers[OFFSET] = f"{receipt.position.epoch} {offset}"
        headers["Nats-Expected-Stream"] = stream.name
        for _ in range(ATTEMPTS):
            before = await self._last(stream.name, subject)
            if before and before.epoch == receipt.position.epoch and before.copied >= offset:
                return
            headers["Nats-Expected-Last-Subject-Sequence"] = str(before.sequence if before else 0)
            try:
                await self._link.store_one(subject, event.data, headers)
                return
            except JetStreamError as error:
                if error.code != WRONG_LAST_SEQUENCE:
                    raise

    async def _last(self, stream: str, subject: str) -> StreamMessage | None:
        try:
            answer = await self._link.request(f"STREAM.MSG.GET.{stream}", {"last_by_subj": subject})
        except JetStreamError as error:
            if error.code == NO_MESSAGE:
                return None
            raise
        return decode_api(answer["message"])


def _whole(log: NatsLog) -> NatsLog:
    """The log with all that its stream has, beyond retention."""
    state = log.retention.state
    if state is None or not state.latest:
        return log
    return log.with_retention(
        Retention(max(log.retention.events, LEEWAY), None, log.retention.state)
    )
