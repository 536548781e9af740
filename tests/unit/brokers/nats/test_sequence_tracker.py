"""brokers/nats/sequence_tracker.py: what announcements prove, without a server."""

from eventhub.brokers.nats.message import StreamMessage, offset_of
from eventhub.brokers.nats.sequence_tracker import MAX_EARLY, SequenceGap, SequenceTracker
from eventhub.events.event import Event


def message(sequence: int) -> StreamMessage:
    return StreamMessage(sequence, offset_of(sequence, 7), 0, b"1", None)


def opened(sequence: int = 10) -> SequenceTracker:
    tracker = SequenceTracker("log.a", "s", "e")
    assert tracker.open(sequence, offset_of(sequence, 7)) == []
    return tracker


def test_an_announcement_that_names_the_one_before_it_follows() -> None:
    tracker = opened()
    event = tracker.on_announcement(message(12), 10)
    assert isinstance(event, Event)
    assert (event.previous, event.offset) == (offset_of(10, 7), offset_of(12, 7))
    assert tracker.position.offset == event.offset


def test_a_lost_announcement_is_a_gap_and_the_next_one_follows() -> None:
    tracker = opened()
    assert tracker.on_announcement(message(14), 12) is SequenceGap.MISSING
    assert isinstance(tracker.on_announcement(message(15), 14), Event)


def test_one_still_on_its_way_when_the_tracker_was_opened_is_ignored() -> None:
    assert opened().on_announcement(message(10), 8) is None


def test_a_sequence_that_comes_again_is_a_gap() -> None:
    tracker = opened()
    tracker.on_announcement(message(12), 10)
    assert tracker.on_announcement(message(11), 10) is SequenceGap.MISSING


def test_one_before_which_nothing_is_stored_any_more_follows() -> None:
    event = opened().on_announcement(message(99), 0)
    assert isinstance(event, Event)
    assert event.previous == offset_of(10, 7)


def test_early_ones_are_sorted_out_when_the_position_is_known() -> None:
    tracker = SequenceTracker("log.a", "s", "e")
    for sequence, last in ((9, 7), (10, 9), (12, 10)):
        assert tracker.on_announcement(message(sequence), last) is None
    (event,) = tracker.open(10, offset_of(10, 7))
    assert isinstance(event, Event)
    assert event.offset == offset_of(12, 7)


def test_too_many_early_ones_are_a_gap() -> None:
    tracker = SequenceTracker("log.a", "s", "e")
    for sequence in range(1, MAX_EARLY + 2):
        tracker.on_announcement(message(sequence), sequence - 1)
    assert tracker.open(MAX_EARLY, offset_of(MAX_EARLY, 7)) == [SequenceGap.MISSING]


def test_a_lost_announcement_that_none_follows_is_found_by_asking() -> None:
    tracker = opened()
    assert not tracker.needs_check(0)
    assert tracker.needs_check(20)
    assert not tracker.misses_announcements(10, 10, 20)
    assert not tracker.needs_check(20), "nothing was missing"
    assert tracker.needs_check(30)
    assert tracker.misses_announcements(25, 10, 30)


def test_a_young_message_may_still_be_announced() -> None:
    tracker = opened()
    assert not tracker.misses_announcements(31, 10, 30)
    assert tracker.needs_check(30)


def test_an_answer_older_than_an_announcement_shows_nothing() -> None:
    tracker = opened()
    tracker.on_announcement(message(12), 10)
    assert not tracker.misses_announcements(10, 10, 30)


def test_a_log_that_went_back_is_found_by_asking() -> None:
    assert opened().misses_announcements(9, 10, 30)


def test_a_channel_emptied_by_age_is_no_loss() -> None:
    assert not opened().misses_announcements(0, 10, 30)
