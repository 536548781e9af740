"""Idempotency keys: what was first published with each.

A separate stream keeps one record per key. The record is written before the event, and only where
there is none yet (or only an outdated one). It holds all of the receipt but the sequence: digest,
time, stamp, and a message id under which the server stores the event once, however often it is
published. So a retry on any node publishes the same message, and the receipt can be given again
when the event itself has expired. Once the event is stored, its position is added to the record,
which outlasts the server's memory of message ids.

One case remains: an event is stored again when its acknowledgement never came and it is retried
after the server restarted and after its channel stored more events than it keeps.
"""

import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

import orjson

from eventhub.brokers.idempotency import KEY_AGE, event_digest
from eventhub.brokers.nats.answers import NO_MESSAGE, JetStreamError
from eventhub.brokers.nats.link import NatsLink
from eventhub.brokers.nats.message import decode_api, new_stamp
from eventhub.brokers.nats.streams import NatsStream, NatsStreams
from eventhub.brokers.nats.subjects import Subjects
from eventhub.errors import BrokerUnavailable, IdempotencyConflict
from eventhub.events.event import NewEvent, Position, Receipt

WRONG_LAST_SEQUENCE = 10071
ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class KeyClaim:
    """The record of an event's key, written now or found.

    `record` is the record's sequence. `position` is set once the event is known to be stored.
    """

    subject: str
    record: int
    digest: str
    time: int
    stamp: int
    id: str
    position: Position | None = None

    @property
    def receipt(self) -> Receipt | None:
        """The first event's receipt, once it is known."""
        return None if self.position is None else Receipt(self.position, self.time, replayed=True)


class IdempotencyKeys:
    """The idempotency keys, over one link."""

    def __init__(
        self, link: NatsLink, streams: NatsStreams, subjects: Subjects, clock: Callable[[], int]
    ) -> None:
        self._link = link
        self._streams = streams
        self._subjects = subjects
        self._clock = clock

    async def claim(self, event: NewEvent) -> KeyClaim:
        """Claim the event's key, or find the claim of the first event.

        Raises IdempotencyConflict, JetStreamError, BrokerUnavailable.
        """
        assert event.key is not None
        stream = await self._streams.of_keys()
        digest = event_digest(event).hex()
        claim = KeyClaim(
            self._subjects.key(event.channel, event.key),
            0,
            digest,
            event.time,
            new_stamp(),
            secrets.token_hex(8),
        )
        previous_record = 0
        for _ in range(ATTEMPTS):
            try:
                return await self._write(stream, claim, previous_record)
            except JetStreamError as error:
                if error.code != WRONG_LAST_SEQUENCE:
                    raise
            if (known := await self._read(stream, claim.subject)) is None:
                previous_record = 0
            elif known.time < self._clock() - KEY_AGE:
                previous_record = known.record
            elif known.digest != digest:
                raise IdempotencyConflict(None if known.position is None else str(known.position))
            else:
                return known
        raise BrokerUnavailable("many publishers use the idempotency key at the same time")

    async def stored(self, claim: KeyClaim, position: Position) -> None:
        """Record that the event is stored, so that a retry need not publish it.

        Raises JetStreamError, BrokerUnavailable.
        """
        stream = await self._streams.of_keys()
        await self._write(stream, replace(claim, position=position), claim.record)

    async def holder(self, event: NewEvent) -> Position | None:
        """The event that holds this event's key, if it is known by now.

        Raises JetStreamError, BrokerUnavailable.
        """
        assert event.key is not None
        subject = self._subjects.key(event.channel, event.key)
        known = await self._read(await self._streams.of_keys(), subject)
        return None if known is None else known.position

    async def take_turn(self, subject: str) -> bool:
        """Write the record of a turn. False if another one has it.

        A turn that nobody ends lasts as long as keys do. Raises JetStreamError, BrokerUnavailable.
        """
        stream = await self._streams.of_keys()
        headers = {
            "Nats-Expected-Stream": stream.name,
            "Nats-Expected-Last-Subject-Sequence": "0",
        }
        try:
            await self._link.store_one(subject, b"null", headers)
        except JetStreamError as error:
            if error.code == WRONG_LAST_SEQUENCE:
                return False
            raise
        return True

    async def end_turn(self, subject: str) -> None:
        """Delete the record of a turn. Does not raise because of NATS."""
        with suppress(JetStreamError, BrokerUnavailable):
            stream = await self._streams.of_keys()
            await self._link.request(f"STREAM.PURGE.{stream.name}", {"filter": subject})

    async def _write(self, stream: NatsStream, claim: KeyClaim, previous_record: int) -> KeyClaim:
        """Write a record in the place of `previous_record`; 0 where there is none."""
        record = [
            claim.digest,
            claim.time,
            claim.stamp,
            claim.id,
            claim.position and list(claim.position),
        ]
        headers = {
            "Nats-Expected-Stream": stream.name,
            "Nats-Expected-Last-Subject-Sequence": str(previous_record),
        }
        answer = await self._link.store_one(claim.subject, orjson.dumps(record), headers)
        return replace(claim, record=answer["seq"])

    async def _read(self, stream: NatsStream, subject: str) -> KeyClaim | None:
        try:
            answer = await self._link.request(
                f"STREAM.MSG.GET.{stream.name}", {"last_by_subj": subject}
            )
        except JetStreamError as error:
            if error.code == NO_MESSAGE:
                return None
            raise
        message = decode_api(answer["message"])
        try:
            digest, time, stamp, message_id, position = orjson.loads(message.data)
            first = None if position is None else Position(*position)
            return KeyClaim(subject, message.sequence, digest, time, stamp, message_id, first)
        except (ValueError, TypeError):
            raise BrokerUnavailable(
                "the record of the idempotency key in NATS cannot be read; use a new key"
            ) from None
