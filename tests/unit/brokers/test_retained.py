"""brokers/retained.py."""

from hypothesis import given
from hypothesis import strategies as st

from eventhub.brokers.retained import SPARE, RetainedEvents
from eventhub.events.event import Event


def event(offset: int, time: int = 0) -> Event:
    return Event("a", "e", offset, offset - 1, time, b"1")


def offsets(events: RetainedEvents) -> list[int]:
    return [events[index].offset for index in range(len(events))]


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=40))
def test_what_is_added_is_there_in_order_until_it_is_forgotten(
    turns: list[tuple[int, int]],
) -> None:
    events, model, number = RetainedEvents(), list[int](), 0
    for added, forgotten in turns:
        new = range(number, number + added)
        number += added
        events.extend(map(event, new))
        model.extend(new)
        gone = [gone.offset for gone in events.pop_oldest(min(forgotten, len(model)))]
        assert gone == model[:forgotten]
        del model[: len(gone)]
        assert offsets(events) == model


def test_places_of_forgotten_events_are_given_up() -> None:
    events = RetainedEvents()
    for number in range(100_000):
        events.extend([event(number)])
        if number >= 10:
            events.pop_oldest(1)
    assert offsets(events) == list(range(99_990, 100_000))
    assert len(events._places) <= 2 * SPARE


def test_forgotten_events_are_not_kept_alive() -> None:
    events = RetainedEvents()
    events.extend(map(event, range(SPARE)))
    events.pop_oldest(SPARE - 1)
    assert [place for place in events._places if place is not None] == [events[0]]


def test_places_are_kept_until_more_than_the_spare_ones_and_half_are_empty() -> None:
    events = RetainedEvents()
    events.extend(map(event, range(2 * SPARE + 2)))
    events.pop_oldest(SPARE + 1)
    assert len(events._places) == 2 * SPARE + 2
    events.pop_oldest(1)
    assert len(events._places) == SPARE
    few = RetainedEvents()
    few.extend(map(event, range(SPARE)))
    few.pop_oldest(SPARE)
    assert len(few._places) == SPARE


@given(st.lists(st.integers(0, 50), max_size=60), st.integers(0, 50))
def test_the_first_event_of_an_age(times: list[int], since: int) -> None:
    events = RetainedEvents()
    events.extend(event(number, time) for number, time in enumerate(sorted(times)))
    assert events.first_since(since) == sum(time < since for time in times)


@given(st.lists(st.integers(0, 50), max_size=60), st.integers(0, 50))
def test_when_a_clock_was_set_back_none_of_the_newest_is_left_out(
    times: list[int], since: int
) -> None:
    events = RetainedEvents()
    events.extend(event(number, time) for number, time in enumerate(times))
    newest_older = max((number for number, time in enumerate(times) if time < since), default=-1)
    assert events.first_since(since) <= newest_older + 1
