"""The worlds of test_feed_properties.py, where most readers have a filter.

Each one gets exactly the events that match, in order, once, or a gap. Its cursor follows: history
ends with a position, and fewer than QUIET_EVENTS live events are left out in a row without one.
EVENTHUB_LONG=1 looks for longer.
"""

from collections.abc import Callable, Iterator

import orjson
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from eventhub.delivery import filtering as filtering_module
from eventhub.delivery.feed import Feed
from eventhub.delivery.subscriber import SubscriberState
from eventhub.events.event import Event, Position, Since
from eventhub.filters.event_filter import EventFilter
from eventhub.filters.registry import Filters
from tests.unit.delivery.test_feed_properties import (
    LONG,
    Channel,
    Promise,
    Script,
    World,
    _bounds,  # noqa: F401  # puts the bounds back
    _position,
)

Outcome = bool | None
"""Whether an event matches. None: the filter fails."""

FILTERS: dict[str, Callable[[int, str], Outcome]] = {
    'data.sensor == "x"': lambda value, sensor: sensor == "x",
    "data.value % 3 == 0": lambda value, sensor: value % 3 == 0,
    "data.value > 100": lambda value, sensor: False,
    "true": lambda value, sensor: True,
    'data.value < 4 || data[data.sensor == "z" ? "none" : "value"] > 8': (
        lambda value, sensor: value < 4 or (None if sensor == "z" else value > 8)
    ),
}


class FilteredPromise(Promise):
    """What one subscription with a filter may be told next."""

    def __init__(self, channel: Channel, feed: Feed, since: Since, text: str) -> None:
        super().__init__(channel, feed, since)
        self.expected = FILTERS[text]
        self.failed: Position | None = None
        """The event that the client was told its filter fails on."""

    def see(self, message: dict[str, object]) -> None:
        super().see(message)
        match message["type"]:
            case "position":
                self._passed(_position(str(message["position"])))
            case "filter_failed":
                self._failure(_position(str(message["id"])))

    def outcome(self, event: Event) -> Outcome:
        data = orjson.loads(event.data)
        return self.expected(data["value"], data["sensor"])

    def left_out(self) -> list[Event]:
        """Events after the subscriber's cursor."""
        return self.channel.log.after(self._cursor())

    def _passed(self, position: Position) -> None:
        assert not self.broken, "a gap was announced"
        assert not self.survivors, "some series did not come"
        assert self.channel.order(position) > self.channel.order(self._cursor())
        self._stands(position)
        self.at, self.line = position, None

    def _failure(self, position: Position) -> None:
        assert self.failed is None, "told twice"
        assert self.at is not None, "a failure before the subscription has begun"
        (event,) = [
            event for event in self.channel.log.past[position.epoch] if event.position == position
        ]
        assert self.outcome(event) is None, "the filter does not fail on it"
        self.failed = position

    def _event(self, position: Position) -> None:
        self._check_told(self._cursor(), position)
        super()._event(position)

    def _stands(self, position: Position) -> None:
        cursor = self._cursor()
        if position != cursor:
            assert position.epoch == cursor.epoch
            assert position.offset > cursor.offset
            between = self.channel.between(cursor, position)
            assert not any(map(self.outcome, between)), "an event that matches did not come"
            self._check_told(cursor, position)

    def _check_told(self, after: Position, end: Position) -> None:
        if not self.survivors and self.failed is None:
            between = self.channel.between(after, end)
            assert None not in map(self.outcome, between), "a failure was not told"

    def _next(self) -> Event | None:
        return next((event for event in self.left_out() if self.outcome(event)), None)

    def _newest(self, after: Position, end: Position) -> list[Position]:
        events = {event.position: event for event in self.channel.between(after, end)}
        newest = self.channel.newest(after, end)
        return [position for position in newest if self.outcome(events[position])]


class FilteredWorld(World):
    """A world where most readers have a filter."""

    def __init__(self, script: Script) -> None:
        super().__init__(script)
        self.filters = Filters()
        self.texts: list[str] = []

    def prepare(self) -> None:
        filtering_module.QUIET_EVENTS = self.pick([1, 2, 5, 256])
        names = list(FILTERS)
        self.texts = [self.pick(names[::-1]), self.pick(names)]
        super().prepare()

    def choose_filter(self) -> EventFilter | None:
        text = self.pick([*self.texts, *self.texts, None])
        return None if text is None else self.filters.get(text)

    def promise(
        self, channel: Channel, feed: Feed, since: Since, filter_: EventFilter | None
    ) -> Promise:
        if filter_ is None:
            return super().promise(channel, feed, since, filter_)
        return FilteredPromise(channel, feed, since, filter_.text)

    def check(self) -> None:
        super().check()
        for person in self.people:
            if (connection := person.connection) is not None and not connection.failed:
                for subscriber, promise in connection.subscriptions.values():
                    if (
                        subscriber.state is SubscriberState.CATCHING_UP
                        and subscriber.has_begun
                        and subscriber.since is promise.since  # it has not lagged
                    ):
                        assert subscriber.position == promise.at, "a position of history is missing"

    def come_to_rest(self) -> None:
        super().come_to_rest()
        for person in self.people:
            if person.connection is not None:
                for _, promise in person.connection.subscriptions.values():
                    if isinstance(promise, FilteredPromise):
                        left_out = len(promise.left_out())
                        assert left_out < filtering_module.QUIET_EVENTS, "a position is missing"


@pytest.fixture(autouse=True, scope="module")
def _filtering_bounds() -> Iterator[None]:
    before = filtering_module.QUIET_EVENTS
    yield
    filtering_module.QUIET_EVENTS = before


@pytest.mark.timeout(0 if LONG else 120)
@settings(
    max_examples=100_000 if LONG else 600, deadline=None, suppress_health_check=list(HealthCheck)
)
@given(
    st.binary(min_size=25, max_size=25),
    st.lists(st.binary(min_size=8, max_size=8), min_size=20, max_size=140),
)
def test_every_reader_gets_the_events_that_match_or_a_gap(
    setting: bytes, steps: list[bytes]
) -> None:
    script = Script()
    try:
        FilteredWorld(script).run(setting, steps)
    except Exception:
        note("\n".join(step for step in script.steps if step != "nothing "))
        raise
