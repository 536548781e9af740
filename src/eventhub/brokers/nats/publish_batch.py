"""One call of `publish`: from events to receipts.

Events are sent in order without waiting for each other's acknowledgement, over one connection into one stream per channel type, which
stores what it stores in that order. One that is refused gets its error and leaves the others alone; nothing is sent twice, except all of
the call, when it is certain that none of it was stored.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eventhub.brokers.nats.idempotency_keys import KeyClaim
from eventhub.brokers.nats.link import NO_RESPONDERS, Answer, JetStreamError
from eventhub.brokers.nats.message import OVERHEAD, encode, new_stamp, offset_of
from eventhub.brokers.nats.session import NatsSession
from eventhub.brokers.nats.streams import NatsStream
from eventhub.errors import BrokerUnavailable, EventHubError, IdempotencyConflict, PayloadTooLarge
from eventhub.events.event import NewEvent, Position, Receipt

WRONG_STREAM, TOO_LARGE = 10060, 10054
IN_PROCESS = 10158
"""Another message with this id is being stored (servers from 2.11 on say so)."""
BUSY_SECONDS = 0.05
GONE = (NO_RESPONDERS, WRONG_STREAM)
"""The stream may be another now. Without responders nothing was stored; a wrong one may answer
before the right one, which stored it.
"""


@dataclass(slots=True)
class SentEvent:
    """An event on its way. `landed` is released when its answer is there."""

    index: int
    stream: NatsStream
    stamp: int
    time: int
    landed: asyncio.Semaphore
    token: str = ""
    answer: Answer | None = None

    def settle(self, answer: Answer) -> None:
        """The answer is there."""
        self.answer = answer
        self.landed.release()

    @property
    def result(self) -> Receipt | Exception | None:
        """None while nothing is known."""
        if self.answer is None or isinstance(self.answer, Exception):
            return self.answer
        position = Position(self.stream.epoch, offset_of(self.answer["seq"], self.stamp))
        return Receipt(position, self.time, replayed="duplicate" in self.answer)


class InFlight:
    """Events sent one after the other, each into the stream of its channel."""

    def __init__(self, session: NatsSession, streams: Mapping[str, NatsStream]) -> None:
        self.sent: list[SentEvent] = []
        self._session = session
        self._streams = streams
        self._landed = asyncio.Semaphore(0)

    async def send(
        self, index: int, event: NewEvent, claim: KeyClaim | None
    ) -> PayloadTooLarge | None:
        """Send an event, or say why it cannot be. Raises JetStreamError when the connection is gone."""
        link, stream = self._session.link, self._streams[event.channel]
        stamp, time = (new_stamp(), event.time) if claim is None else (claim.stamp, claim.time)
        headers = encode(stamp, time, event.attributes)
        if len(event.data) + sum(map(len, headers.values())) + OVERHEAD > link.max_payload:
            return PayloadTooLarge(
                f"the event has {len(event.data)} bytes of data; the NATS server takes messages of at most {link.max_payload} bytes"
            )
        headers["Nats-Expected-Stream"] = stream.name
        if claim is not None:
            headers["Nats-Msg-Id"] = claim.id
        each = SentEvent(index, stream, stamp, time, self._landed)
        each.token = await link.store(
            self._session.names.log(event.channel), event.data, headers, each.settle
        )
        self.sent.append(each)
        return None

    async def land(self) -> None:
        """Wait for all answers."""
        for _ in self.sent:
            await self._landed.acquire()

    def end(self) -> list[Receipt | Exception | None]:
        """Wait no longer; the results, None where nothing is known."""
        for each in self.sent:
            self._session.link.forget(each.token)
        return [each.result for each in self.sent]


class PublishBatch:
    """Events and their results so far."""

    def __init__(self, events: Sequence[NewEvent]) -> None:
        self.results: list[Receipt | EventHubError | None] = [None] * len(events)
        self._events = events
        self._claims: dict[int, KeyClaim] = {}

    async def attempt(self, session: NatsSession) -> None:
        """Publish what has no result. Raises JetStreamError when nothing was stored and all may be tried again; BrokerUnavailable."""
        streams = {
            channel: await session.streams.of(channel)
            for channel in {event.channel for event in self._events}
        }
        await self._claim(session)
        while await self._publish(session, streams):  # noqa: ASYNC110  (the server says only that it is busy)
            await asyncio.sleep(BUSY_SECONDS)
        await self._note(session)
        await self._name_conflicts(session)

    def fail(self, error: BrokerUnavailable) -> None:
        """`error` is the result of those of which nothing is known. Raises it when that is all of them."""
        if all(result is None for result in self.results):
            raise error
        self.results = [result or error for result in self.results]

    @property
    def answers(self) -> list[Receipt | EventHubError]:
        """One per event, when all is done."""
        return [result for result in self.results if result is not None]

    async def _claim(self, session: NatsSession) -> None:
        keyed = [
            (index, event)
            for index, event in enumerate(self._events)
            if event.key is not None and self.results[index] is None
        ]
        found = await asyncio.gather(
            *(session.keys.claim(event) for _, event in keyed), return_exceptions=True
        )
        for (index, _), claim in zip(keyed, found, strict=True):
            if isinstance(claim, KeyClaim):
                self._claims[index] = claim
                self.results[index] = claim.receipt
            elif isinstance(claim, EventHubError) and not isinstance(claim, BrokerUnavailable):
                self.results[index] = claim
            else:
                raise claim

    async def _publish(self, session: NatsSession, streams: Mapping[str, NatsStream]) -> bool:
        """Send what has no result, and wait. Whether some of it has to be sent again, which is safe."""
        flight = InFlight(session, streams)
        try:
            for index, event in enumerate(self._events):
                if self.results[index] is None:
                    self.results[index] = await flight.send(index, event, self._claims.get(index))
            await flight.land()
        except JetStreamError as error:
            if flight.sent:
                raise BrokerUnavailable(error.message) from None
            raise
        finally:
            found = flight.end()
            refused = [
                what
                for what in found
                if isinstance(what, JetStreamError) and what.code == NO_RESPONDERS
            ]
            if any(isinstance(what, JetStreamError) and what.code in GONE for what in found):
                for stream in streams.values():
                    session.streams.forget(stream)
            if len(refused) < len(found):
                for each, result in zip(flight.sent, found, strict=True):
                    self.results[each.index] = _public(result)
        if refused and len(refused) == len(found):
            raise refused[0]
        return any(isinstance(what, JetStreamError) and what.code == IN_PROCESS for what in found)

    async def _note(self, session: NatsSession) -> None:
        """Complete the records of the keys. Where that fails, the server's memory of message ids has to do."""
        notes = []
        for index, claim in self._claims.items():
            result = self.results[index]
            if claim.position is None and isinstance(result, Receipt):
                notes.append(session.keys.stored(claim, result.position))
        await asyncio.gather(*notes, return_exceptions=True)

    async def _name_conflicts(self, session: NatsSession) -> None:
        """Look again for events that had the key of another and were not stored yet: those before it in this call are by now."""
        unnamed = [
            index
            for index, result in enumerate(self.results)
            if isinstance(result, IdempotencyConflict) and result.id is None
        ]
        found = await asyncio.gather(
            *(session.keys.holder(self._events[index]) for index in unnamed), return_exceptions=True
        )
        for index, position in zip(unnamed, found, strict=True):
            if isinstance(position, Position):
                self.results[index] = IdempotencyConflict(str(position))


def _public(result: Receipt | Exception | None) -> Receipt | EventHubError | None:
    if isinstance(result, JetStreamError):
        if result.code == IN_PROCESS:
            return None
        if result.code == TOO_LARGE:
            return PayloadTooLarge(f"JetStream refuses the event: {result.message}")
        return BrokerUnavailable(f"JetStream refuses the event: {result.message}")
    assert result is None or isinstance(result, (Receipt, EventHubError))
    return result
