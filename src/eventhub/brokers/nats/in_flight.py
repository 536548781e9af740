"""Events that are sent one after the other, without waiting for each other's acknowledgement."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from eventhub.brokers.nats.answers import Answer
from eventhub.brokers.nats.idempotency_keys import KeyClaim
from eventhub.brokers.nats.message import OVERHEAD, encode, new_stamp, offset_of
from eventhub.brokers.nats.session import NatsSession
from eventhub.brokers.nats.streams import NatsStream
from eventhub.errors import PayloadTooLarge
from eventhub.events.event import NewEvent, Position, Receipt


@dataclass(slots=True)
class SentEvent:
    """An event on its way. `answered` is called when its answer arrives."""

    index: int
    stream: NatsStream
    stamp: int
    time: int
    answered: Callable[[], None]
    token: str = ""
    answer: Answer | None = None

    def on_answer(self, answer: Answer) -> None:
        """The answer has arrived."""
        self.answer = answer
        self.answered()

    @property
    def result(self) -> Receipt | Exception | None:
        """None while nothing is known."""
        if self.answer is None or isinstance(self.answer, Exception):
            return self.answer
        place = (self.stream.epoch, offset_of(self.answer["seq"], self.stamp))
        row = (tuple.__new__(Position, place), self.time, "duplicate" in self.answer)
        return tuple.__new__(Receipt, row)  # a third of the time of `Receipt()`


class InFlight:
    """Events sent one after the other, each into its channel's stream."""

    def __init__(self, session: NatsSession, streams: Mapping[str, NatsStream]) -> None:
        self.sent: list[SentEvent] = []
        self._session = session
        self._streams = streams
        self._left = 0
        self._on_all: Callable[[], None] | None = None

    async def send(
        self, index: int, event: NewEvent, claim: KeyClaim | None, after: int | None
    ) -> PayloadTooLarge | None:
        """As `send_now`, when the window has room."""
        await self._session.link.room(len(event.data))
        return self.send_now(index, event, claim, after)

    def send_now(
        self, index: int, event: NewEvent, claim: KeyClaim | None = None, after: int | None = None
    ) -> PayloadTooLarge | None:
        """Send an event. Returns the error when it is too large.

        Raises JetStreamError when the connection is lost.
        """
        link, stream = self._session.link, self._streams[event.channel]
        stamp, time = (new_stamp(), event.time) if claim is None else (claim.stamp, claim.time)
        headers = encode(stamp, time, event.attributes)
        if len(event.data) + sum(map(len, headers.values())) + OVERHEAD > link.max_payload:
            return PayloadTooLarge(
                f"the event has {len(event.data)} bytes of data; the NATS server takes messages of "
                f"at most {link.max_payload} bytes"
            )
        headers["Nats-Expected-Stream"] = stream.name
        if claim is not None:
            headers["Nats-Msg-Id"] = claim.id
        if after is not None:
            headers["Nats-Expected-Last-Subject-Sequence"] = str(after)
        sent = SentEvent(index, stream, stamp, time, self._answered)
        subject = self._session.subjects.log(event.channel)
        sent.token = link.store_now(subject, event.data, headers, sent.on_answer)
        self._left += 1
        self.sent.append(sent)
        return None

    async def wait(self) -> None:
        """Wait for all answers."""
        answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.when_answered(lambda: None if answered.done() else answered.set_result(None))
        await answered

    def when_answered(self, act: Callable[[], None]) -> None:
        """Call `act` when all answers have arrived, which may be now."""
        self._on_all = act
        if not self._left:
            act()

    def end(self) -> list[Receipt | Exception | None]:
        """Stop waiting. Returns the results: None where nothing is known."""
        for sent in self.sent:
            if sent.answer is None:
                self._session.link.forget(sent.token)
        return [sent.result for sent in self.sent]

    def _answered(self) -> None:
        self._left -= 1
        if not self._left and self._on_all is not None:
            self._on_all()
