"""Publishing without a task: the server's acknowledgements call back."""

from collections.abc import Callable, Sequence

from eventhub.brokers.base import OnStored
from eventhub.brokers.nats.answers import NO_RESPONDERS, JetStreamError
from eventhub.brokers.nats.in_flight import InFlight
from eventhub.brokers.nats.publish_batch import PublishBatch
from eventhub.brokers.nats.session import NatsSession
from eventhub.brokers.nats.streams import NatsStream, purpose_of
from eventhub.common.time_limit import TimeLimit
from eventhub.errors import BrokerUnavailable, EventHubError
from eventhub.events.event import NewEvent, Receipt


class LaterCall:
    """The events of one call, which are sent. `done` gets the outcome, once."""

    __slots__ = ("_batch", "_flight", "_session", "_streams", "done")

    def __init__(
        self,
        session: NatsSession,
        streams: dict[str, NatsStream],
        events: Sequence[NewEvent],
        done: OnStored,
    ) -> None:
        self.done = done
        self._session, self._streams = session, streams
        self._batch = PublishBatch(events)
        self._flight = InFlight(session, streams)
        for index, event in enumerate(events):
            self._batch.results[index] = self._flight.send_now(index, event)

    @property
    def sent(self) -> bool:
        """Whether any event was sent, so that answers come."""
        return bool(self._flight.sent)

    def wait(self, answered: Callable[["LaterCall"], None]) -> None:
        """Call `answered` when all answers have arrived."""
        self._flight.when_answered(lambda: answered(self))

    def outcome(
        self, late: BrokerUnavailable
    ) -> Sequence[Receipt | EventHubError] | Exception | None:
        """What `publish` returns or raises. None: nothing is stored, and all may be sent again.

        `late` is the result of an event without an answer.
        """
        results = self._flight.end()
        self._batch.take_results(self._session, self._streams, self._flight, results)
        if results and all(
            isinstance(result, JetStreamError) and result.code == NO_RESPONDERS
            for result in results
        ):
            return None
        self._batch.fail(late)
        try:
            return self._batch.answers()
        except BrokerUnavailable as error:
            return error


class LaterPublisher:
    """The calls under way, which may take `seconds` each."""

    def __init__(self, seconds: float) -> None:
        self._late = f"no answer from NATS within {seconds:g} seconds"
        self._time_limit = TimeLimit[LaterCall](seconds, self._end)

    def publish(self, session: NatsSession, events: Sequence[NewEvent], done: OnStored) -> bool:
        """Send the events now. False if they need more steps."""
        streams = _streams(session, events)
        if not streams or not session.link.has_room(events):
            return False
        try:
            call = LaterCall(session, streams, events, done)
        except JetStreamError:  # the connection is lost: nothing is sent
            return False
        if not call.sent:  # each event is too large
            return False
        self._time_limit.begin(call)
        call.wait(self._answered)
        return True

    def _answered(self, call: LaterCall) -> None:
        self._time_limit.end(call)
        self._end(call)

    def _end(self, call: LaterCall) -> None:
        call.done(call.outcome(BrokerUnavailable(self._late)))


def _streams(session: NatsSession, events: Sequence[NewEvent]) -> dict[str, NatsStream]:
    """The stream of each channel. Empty if these events need more steps than being sent."""
    streams: dict[str, NatsStream] = {}
    for event in events:
        if event.key is not None or event.expected is not None:
            return {}
        if event.channel in streams:
            continue
        stream = session.streams.known.get(purpose_of(event.channel))
        if (
            stream is None
            or session.keeps_states(event.channel)
            or session.known.is_birth(stream.name, event.channel, event.time)
        ):
            return {}
        streams[event.channel] = stream
    return streams
