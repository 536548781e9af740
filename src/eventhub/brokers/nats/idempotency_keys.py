"""Idempotency keys: what was first published under each.

A stream of its own keeps one record per key. It is written before the event, only where none is (or only a forgotten one), and holds all
of the receipt but the sequence: digest, time, stamp, and an id under which the server stores the event once however often it is published.
So whoever retries, on any node, publishes the same message; and the receipt can be given again when the event itself has expired. Once
the event is stored, its position is added to the record, which outlasts the server's memory of message ids.

The bound of this: an event whose acknowledgement never came, which is retried after the server restarted and after its channel stored more
events than it keeps, is stored again.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b

import orjson

from eventhub.brokers.nats.link import JetStreamError, NatsLink
from eventhub.brokers.nats.message import decode_api, new_stamp
from eventhub.brokers.nats.streams import NatsStream, NatsStreams, Subjects
from eventhub.errors import BrokerUnavailable, IdempotencyConflict
from eventhub.events.event import NewEvent, Position, Receipt

KEY_AGE = 600_000
"""Milliseconds for which an idempotency key is known."""
WRONG_LAST_SEQUENCE, NO_MESSAGE = 10071, 10037
ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class KeyClaim:
    """An event's key, taken or found. `position` once the event is known to be stored."""

    subject: str
    record: int
    digest: str
    time: int
    stamp: int
    id: str
    position: Position | None = None

    @property
    def receipt(self) -> Receipt | None:
        """The first event's receipt, when it is known."""
        return None if self.position is None else Receipt(self.position, self.time, replayed=True)


class IdempotencyKeys:
    """The idempotency keys, over one link."""

    def __init__(
        self, link: NatsLink, streams: NatsStreams, names: Subjects, clock: Callable[[], int]
    ) -> None:
        self._link = link
        self._streams = streams
        self._names = names
        self._clock = clock

    async def claim(self, event: NewEvent) -> KeyClaim:
        """Take the event's key, or find who did. Raises IdempotencyConflict, JetStreamError, BrokerUnavailable."""
        assert event.key is not None
        stream = await self._streams.of_keys()
        digest = blake2b(event.data, digest_size=16).hexdigest()
        claim = KeyClaim(
            self._names.key(event.channel, event.key),
            0,
            digest,
            event.time,
            new_stamp(),
            secrets.token_hex(8),
        )
        follows = 0
        for _ in range(ATTEMPTS):
            try:
                return await self._write(stream, claim, follows)
            except JetStreamError as error:
                if error.code != WRONG_LAST_SEQUENCE:
                    raise
            if (known := await self._read(stream, claim.subject)) is None:
                follows = 0
            elif known.time < self._clock() - KEY_AGE:
                follows = known.record
            elif known.digest != digest:
                raise IdempotencyConflict(None if known.position is None else str(known.position))
            else:
                return known
        raise BrokerUnavailable("the idempotency key is being used by many publishers at once")

    async def stored(self, claim: KeyClaim, position: Position) -> None:
        """The event is stored: whoever comes next need not publish it. Raises JetStreamError, BrokerUnavailable."""
        stream = await self._streams.of_keys()
        await self._write(
            stream,
            KeyClaim(claim.subject, 0, claim.digest, claim.time, claim.stamp, claim.id, position),
            claim.record,
        )

    async def holder(self, event: NewEvent) -> Position | None:
        """Which event has the key of this one, if that is known by now. Raises JetStreamError, BrokerUnavailable."""
        assert event.key is not None
        known = await self._read(
            await self._streams.of_keys(), self._names.key(event.channel, event.key)
        )
        return None if known is None else known.position

    async def _write(self, stream: NatsStream, claim: KeyClaim, follows: int) -> KeyClaim:
        record = [
            claim.digest,
            claim.time,
            claim.stamp,
            claim.id,
            claim.position and list(claim.position),
        ]
        headers = {
            "Nats-Expected-Stream": stream.name,
            "Nats-Expected-Last-Subject-Sequence": str(follows),
        }
        answer = await self._link.store_one(claim.subject, orjson.dumps(record), headers)
        return KeyClaim(
            claim.subject,
            answer["seq"],
            claim.digest,
            claim.time,
            claim.stamp,
            claim.id,
            claim.position,
        )

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
            digest, time, stamp, ident, position = orjson.loads(message.data)
            return KeyClaim(
                subject,
                message.sequence,
                digest,
                time,
                stamp,
                ident,
                None if position is None else Position(*position),
            )
        except (ValueError, TypeError):
            raise BrokerUnavailable(
                "what NATS holds of the idempotency key cannot be read; use a new key"
            ) from None
