"""brokers/nats/births.py: which events may be the first that their channels retain."""

import pytest

from eventhub.brokers.base import BIRTH_SECONDS
from eventhub.brokers.nats import births
from eventhub.brokers.nats.births import KnownChannels
from eventhub.events.channel_types import Retention

NOW, AGE = 100_000_000, 5000


def known(events: int = 10, age: int | None = None) -> KnownChannels:
    return KnownChannels(lambda _: Retention(events, age))


def test_the_first_event_in_a_stream_and_channel_is_a_birth_and_no_later_one() -> None:
    channels = known()
    assert channels.is_birth("s1", "log.a", NOW)
    assert channels.is_birth("s1", "log.a", NOW), "it was not stored"
    channels.stored("s1", "log.a", NOW)
    assert not channels.is_birth("s1", "log.a", NOW + 10**12)
    assert channels.is_birth("s1", "log.b", NOW)
    assert channels.is_birth("s2", "log.a", NOW)


def test_an_event_after_the_last_one_has_expired_is_a_birth() -> None:
    channels = known(age=AGE)
    channels.stored("s", "log.a", NOW)
    births = [channels.is_birth("s", "log.a", NOW + after) for after in (0, AGE, AGE + 1, -1)]
    assert births == [False, False, True, True], "a clock that was set back proves nothing"
    channels.stored("s", "log.a", NOW + AGE)
    assert not channels.is_birth("s", "log.a", NOW + 2 * AGE)


def test_a_channel_without_history_is_born_again_and_again() -> None:
    channels, pause = known(events=0, age=1), BIRTH_SECONDS * 1000
    channels.stored("s", "log.a", NOW)
    for after in range(0, pause + 1, pause // 2):
        assert not channels.is_birth("s", "log.a", NOW + after)
        channels.stored("s", "log.a", NOW + after)
    assert channels.is_birth("s", "log.a", NOW + pause + 1), "it counts from the last birth"


def test_the_channel_that_was_not_used_for_longest_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(births, "KNOWN", 2)
    channels = known()
    for name in ("a", "b", "a", "c"):
        channels.stored("s", name, NOW)
    assert [channels.is_birth("s", name, NOW) for name in "abc"] == [False, True, False]
