"""A call of `publish` with preconditions: each event waits for the one before it.

The state is folded up to the end of the channel's log. The event is then stored only if nothing
was stored in the channel meanwhile; otherwise the state is looked at again. A server of a cluster
that is older than 2.11 does not see events that others of the cluster are about to store. So a
publisher also holds a turn for the key: a record that only one can write.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from eventhub.brokers.nats.message import STAMPS
from eventhub.brokers.nats.publish_batch import PublishBatch
from eventhub.brokers.nats.session import NatsSession
from eventhub.brokers.nats.streams import NatsStream
from eventhub.brokers.states import is_expected, precondition_failed
from eventhub.errors import BrokerUnavailable
from eventhub.events.event import NewEvent, Position, Receipt
from eventhub.events.keys import key_of

ATTEMPTS = 100
TURN_SECONDS = 0.05


class ConditionalBatch(PublishBatch):
    """Events of which some have preconditions."""

    def __init__(self, events: Sequence[NewEvent], clock: Callable[[], int]) -> None:
        super().__init__(events)
        self._clock = clock

    async def publish_all(self, session: NatsSession, streams: Mapping[str, NatsStream]) -> None:
        for index, event in enumerate(self.events):
            if self.results[index] is not None:
                continue
            if event.expected is None:
                await self.publish_one(session, streams, index)
            else:
                await self._publish_if(session, streams, index, event.expected)

    async def _publish_if(
        self,
        session: NatsSession,
        streams: Mapping[str, NatsStream],
        index: int,
        expected: Position,
    ) -> None:
        event = self.events[index]
        turn = session.subjects.key(event.channel, f"{key_of(event)} is changed")
        for _ in range(ATTEMPTS):
            if await session.keys.take_turn(turn):
                break
            await asyncio.sleep(TURN_SECONDS)
        else:
            self.results[index] = BrokerUnavailable(
                "another publisher is changing the key; the event is not stored"
            )
            return
        try:
            await self._publish_in_turn(session, streams, index, expected)
        finally:
            await session.keys.end_turn(turn)

    async def _publish_in_turn(
        self,
        session: NatsSession,
        streams: Mapping[str, NatsStream],
        index: int,
        expected: Position,
    ) -> None:
        event, claim = self.events[index], self.claims.get(index)
        log = await session.log(event.channel)
        for _ in range(ATTEMPTS):
            fold = await session.states.fold(event.channel, log, self._clock())
            newest = fold.state.newest(key_of(event))
            if newest is not None and claim is not None and newest.offset % STAMPS == claim.stamp:
                self.results[index] = Receipt(newest, claim.time, replayed=True)
                return
            if not is_expected(expected, newest):
                self.results[index] = precondition_failed(expected, newest)
                return
            sequence, stamp = divmod(fold.end.offset, STAMPS)
            if await self.publish_one(session, streams, index, sequence if stamp else 0):
                return
        self.results[index] = BrokerUnavailable(
            "many publishers change the channel at the same time; the event is not stored"
        )
