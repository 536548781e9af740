"""One call of `publish`: from events to receipts.

Events are sent in order, without waiting for each other's acknowledgement, over one connection into
one stream per channel type; the stream stores them in that order. A refused event gets its error
and does not affect the others. Nothing is sent twice, with one exception: the whole call is sent
again when it is certain that none of it was stored.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress

from eventhub.brokers.nats.answers import NO_RESPONDERS, NOT_SENT, JetStreamError
from eventhub.brokers.nats.idempotency_keys import WRONG_LAST_SEQUENCE, KeyClaim
from eventhub.brokers.nats.in_flight import InFlight
from eventhub.brokers.nats.session import NatsSession
from eventhub.brokers.nats.streams import NatsStream
from eventhub.errors import BrokerUnavailable, EventHubError, IdempotencyConflict, PayloadTooLarge
from eventhub.events.event import NewEvent, Position, Receipt

WRONG_STREAM, TOO_LARGE = 10060, 10054
IN_PROCESS = 10158
"""The server is storing another message with this id (sent by servers from 2.11 on)."""
IN_PROCESS_SECONDS = 0.05
STREAM_CHANGED = (NO_RESPONDERS, WRONG_STREAM)
"""The stream may have been replaced. Without responders nothing was stored. A wrong stream may
answer before the right one, which stored the event.
"""


class PublishBatch:
    """Events and their results so far."""

    def __init__(self, events: Sequence[NewEvent]) -> None:
        self.results: list[Receipt | EventHubError | None] = [None] * len(events)
        self.events = events
        self.claims: dict[int, KeyClaim] = {}
        self._outdated = False

    async def attempt(self, session: NatsSession) -> None:
        """Publish the events without a result.

        Raises JetStreamError when nothing was stored and all of it may be tried again;
        BrokerUnavailable otherwise.
        """
        streams = {
            channel: await session.streams.of_channel(channel)
            for channel in {event.channel for event in self.events}
        }
        await self._claim_keys(session)
        await self._announce_births(session, streams)
        await self.publish_all(session, streams)
        await self._complete_key_records(session)
        await self._keep_states(session)
        await self._name_conflicts(session)

    async def publish_all(self, session: NatsSession, streams: Mapping[str, NatsStream]) -> None:
        """Store the events without a result."""
        while await self._publish(session, streams):  # noqa: ASYNC110  (nothing else to wait for)
            await asyncio.sleep(IN_PROCESS_SECONDS)

    async def publish_one(
        self,
        session: NatsSession,
        streams: Mapping[str, NatsStream],
        index: int,
        after: int | None = None,
    ) -> bool:
        """Store one event. False if `after` is not the sequence of its channel's newest message."""
        self._outdated = False
        while await self._publish(session, streams, index, after):  # noqa: ASYNC110  (as above)
            await asyncio.sleep(IN_PROCESS_SECONDS)
        return not self._outdated

    def fail(self, error: BrokerUnavailable) -> None:
        """Give `error` to the events without a result."""
        self.results = [result or error for result in self.results]

    def answers(self) -> list[Receipt | EventHubError]:
        """One per event, when all is done.

        Raises BrokerUnavailable if that is the result of every event.
        """
        results = [result for result in self.results if result is not None]
        unavailable = [result for result in results if isinstance(result, BrokerUnavailable)]
        if unavailable and len(unavailable) == len(results):
            raise unavailable[0]
        return results

    async def _claim_keys(self, session: NatsSession) -> None:
        keyed = [
            (index, event)
            for index, event in enumerate(self.events)
            if event.key is not None and self.results[index] is None
        ]
        if not keyed:
            return
        claims = await asyncio.gather(
            *(session.keys.claim(event) for _, event in keyed), return_exceptions=True
        )
        for (index, _), claim in zip(keyed, claims, strict=True):
            if isinstance(claim, KeyClaim):
                self.claims[index] = claim
                self.results[index] = claim.receipt
            elif isinstance(claim, EventHubError) and not isinstance(claim, BrokerUnavailable):
                self.results[index] = claim
            else:
                raise claim

    async def _announce_births(
        self, session: NatsSession, streams: Mapping[str, NatsStream]
    ) -> None:
        """Tell the nodes of channels that may be new, before their events over one connection."""
        new = {
            event.channel: None
            for event, result in zip(self.events, self.results, strict=True)
            if result is None
            and session.known.is_birth(streams[event.channel].name, event.channel, event.time)
        }
        try:
            for channel in new:
                await session.link.publish(session.subjects.births, channel.encode())
        except BrokerUnavailable as error:  # nothing is stored yet
            raise JetStreamError(NOT_SENT, error.message) from None

    async def _keep_states(self, session: NatsSession) -> None:
        """Copy the stored events of channels that keep states. The log has them if that fails."""
        stored = [
            (event, result)
            for event, result in zip(self.events, self.results, strict=True)
            if isinstance(result, Receipt) and session.keeps_states(event.channel)
        ]
        if stored:
            with suppress(JetStreamError, BrokerUnavailable):
                await session.states.keep(stored)

    async def _publish(
        self,
        session: NatsSession,
        streams: Mapping[str, NatsStream],
        only: int | None = None,
        after: int | None = None,
    ) -> bool:
        """Send the events without a result and wait. Returns whether some must be sent again."""
        in_flight = InFlight(session, streams)
        results: list[Receipt | Exception | None] = []
        try:
            for index, event in enumerate(self.events):
                if self.results[index] is None and only in (None, index):
                    claim = self.claims.get(index)
                    self.results[index] = await in_flight.send(index, event, claim, after)
            await in_flight.wait()
        except JetStreamError as error:
            if in_flight.sent:
                raise BrokerUnavailable(error.message) from None
            raise
        finally:
            results = in_flight.end()
            self.take_results(session, streams, in_flight, results)
        not_stored = [result for result in results if _has_code(result, NO_RESPONDERS)]
        if not_stored and len(not_stored) == len(results):
            assert isinstance(not_stored[0], JetStreamError)
            raise not_stored[0]
        return any(_has_code(result, IN_PROCESS) for result in results)

    def take_results(
        self,
        session: NatsSession,
        streams: Mapping[str, NatsStream],
        in_flight: InFlight,
        results: Sequence[Receipt | Exception | None],
    ) -> None:
        if any(_has_code(result, *STREAM_CHANGED) for result in results):
            for stream in streams.values():
                session.streams.forget(stream)
        if all(_has_code(result, NO_RESPONDERS) for result in results):
            return
        stored: dict[tuple[str, str, int], None] = {}
        for sent, result in zip(in_flight.sent, results, strict=True):
            if isinstance(result, Receipt):
                self.results[sent.index] = result
                stored[sent.stream.name, self.events[sent.index].channel, sent.time] = None
            elif _has_code(result, WRONG_LAST_SEQUENCE):
                self._outdated = True
            else:
                self.results[sent.index] = _public_result(result)
        for each in stored:
            session.known.stored(*each)

    async def _complete_key_records(self, session: NatsSession) -> None:
        """Add the positions to the keys' records.

        If that fails, only the server's memory of message ids prevents a second copy.
        """
        writes = []
        for index, claim in self.claims.items():
            result = self.results[index]
            if claim.position is None and isinstance(result, Receipt):
                writes.append(session.keys.stored(claim, result.position))
        if writes:
            await asyncio.gather(*writes, return_exceptions=True)

    async def _name_conflicts(self, session: NatsSession) -> None:
        """Look again for the first event of conflicts that do not name it.

        It was still being stored. If it is in the same call, it is stored by now.
        """
        unnamed = [
            index
            for index, result in enumerate(self.results)
            if isinstance(result, IdempotencyConflict) and result.id is None
        ]
        if not unnamed:
            return
        found = await asyncio.gather(
            *(session.keys.holder(self.events[index]) for index in unnamed), return_exceptions=True
        )
        for index, position in zip(unnamed, found, strict=True):
            if isinstance(position, Position):
                self.results[index] = IdempotencyConflict(str(position))


def _has_code(result: object, *codes: int) -> bool:
    return isinstance(result, JetStreamError) and result.code in codes


def _public_result(result: Exception | None) -> EventHubError | None:
    if isinstance(result, JetStreamError):
        if result.code == IN_PROCESS:
            return None
        if result.code == TOO_LARGE:
            return PayloadTooLarge(f"JetStream refuses the event: {result.message}")
        return BrokerUnavailable(f"JetStream refuses the event: {result.message}")
    assert result is None or isinstance(result, EventHubError)
    return result
