"""brokers/nats/stream_watch.py: when announcements may be missing, by what leaders say."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from eventhub.brokers.nats import stream_watch
from eventhub.brokers.nats.answers import NOT_FOUND, JetStreamError
from eventhub.brokers.nats.log import NatsLog
from eventhub.brokers.nats.message import StreamMessage
from eventhub.brokers.nats.sequence_tracker import SequenceTracker
from eventhub.brokers.nats.stream_watch import StreamWatch
from eventhub.brokers.nats.streams import NatsStream, NatsStreams
from eventhub.errors import BrokerUnavailable
from tests.harness.loop import in_loop

STREAM = NatsStream("log-log", "s", "e")


@dataclass
class Leaders:
    """The streams' leaders, and the logs of their channels, as a test says."""

    known: dict[str, NatsStream] = field(default_factory=lambda: {"log-log": STREAM})
    answer: Mapping[str, Any] | Exception = field(default_factory=dict)
    newest: dict[str, int | Exception] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    trackers: list[SequenceTracker] = field(default_factory=list)

    def say(self, last: int, leader: str | None = "n0") -> None:
        cluster = {} if leader is None else {"cluster": {"leader": leader}}
        self.answer = {"state": {"last_seq": last}, **cluster}

    def announce(self, channel: str, sequence: int) -> SequenceTracker:
        """Announce a channel from this sequence on."""
        tracker = SequenceTracker(channel, "s", "e")
        tracker.open(sequence, sequence * 65536)
        self.trackers.append(tracker)
        return tracker

    def forget(self, stream: NatsStream) -> None:
        del self.known[stream.purpose]

    async def state(self, stream: NatsStream) -> Mapping[str, Any]:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def log(self, channel: str) -> NatsLog:
        self.asked.append(channel)
        return cast(NatsLog, NewestOnly(self.newest.get(channel, 0)))

    def watch(self) -> StreamWatch:
        def trackers(name: str) -> list[SequenceTracker]:
            return [tracker for tracker in self.trackers if tracker.stream == name]

        return StreamWatch(cast(NatsStreams, self), self.log, trackers)


@dataclass
class NewestOnly:
    """A log whose newest message is asked for."""

    sequence: int | Exception

    async def newest(self) -> StreamMessage | None:
        if isinstance(self.sequence, Exception):
            raise self.sequence
        if not self.sequence:
            return None
        return StreamMessage(self.sequence, self.sequence * 65536, 0, b"1", None)


@in_loop
async def test_a_stream_that_goes_on_with_its_announcements_is_in_no_doubt() -> None:
    leaders = Leaders()
    leaders.announce("log.a", 5)
    watch = leaders.watch()
    for last in (5, 5):
        leaders.say(last)
        assert await watch.tick() == ([], None)


@pytest.mark.parametrize(
    ("before", "after", "doubt"),
    [
        ((5, "n0"), (5, "n1"), True),
        ((5, "n0"), (4, "n0"), True),
        ((5, "n0"), (6, "n0"), False),
        ((5, None), (5, None), False),
        ((5, None), (5, "n1"), False),
        ((5, "n0"), (5, None), True),
    ],
)
@in_loop
async def test_a_new_leader_and_a_stream_that_went_back_put_all_channels_in_doubt_once(
    before: tuple[int, str | None],
    after: tuple[int, str | None],
    doubt: bool,  # noqa: FBT001
) -> None:
    leaders = Leaders()
    leaders.announce("log.a", 9)
    leaders.announce("log.b", 9)
    leaders.newest = {"log.a": 9, "log.b": 9}
    watch = leaders.watch()
    leaders.say(*before)
    assert await watch.tick() == ([], None)
    leaders.say(*after)
    assert await watch.tick() == (["log.a", "log.b"] if doubt else [], None)
    assert await watch.tick() == ([], None)


@in_loop
async def test_a_question_that_failed_puts_all_in_doubt_once_the_leader_answers() -> None:
    leaders = Leaders()
    leaders.announce("log.a", 5)
    watch = leaders.watch()
    leaders.say(5)
    await watch.tick()
    for error in (BrokerUnavailable("away"), JetStreamError(503, "away")):
        leaders.answer = error
        assert await watch.tick() == ([], "the JetStream stream 's' cannot be used: away")
        assert leaders.known
    leaders.say(5)
    assert await watch.tick() == (["log.a"], None)
    assert await watch.tick() == ([], None)


@in_loop
async def test_a_stream_that_is_gone_is_forgotten_and_one_of_its_name_begins_anew() -> None:
    leaders = Leaders()
    leaders.announce("log.a", 5)
    watch = leaders.watch()
    leaders.say(5, "n0")
    await watch.tick()
    leaders.answer = JetStreamError(NOT_FOUND, "gone")
    assert await watch.tick() == ([], "the JetStream stream 's' cannot be used: gone")
    assert leaders.known == {}
    assert await watch.tick() == ([], None)
    leaders.known = {"log-log": STREAM}
    leaders.say(0, "n1")
    assert await watch.tick() == ([], None)


@in_loop
async def test_a_lost_announcement_that_none_follows_is_found_by_the_newest_message() -> None:
    leaders = Leaders()
    silent, current = leaders.announce("log.a", 5), leaders.announce("log.b", 5)
    leaders.newest = {"log.a": 6, "log.b": 5}
    watch = leaders.watch()
    leaders.say(7)
    assert await watch.tick() == ([], None), "its announcement may still be under way"
    assert leaders.asked == []
    assert await watch.tick() == (["log.a"], None)
    assert (silent.complete_up_to, current.complete_up_to) == (7, 7)
    leaders.asked.clear()
    assert await watch.tick() == ([], None)
    assert leaders.asked == [], "all is known up to where the stream stands"


@in_loop
async def test_a_channel_that_cannot_be_asked_is_asked_again() -> None:
    leaders = Leaders()
    leaders.announce("log.a", 5)
    leaders.newest = {"log.a": BrokerUnavailable("slow")}
    watch = leaders.watch()
    leaders.say(7)
    for _ in range(3):
        assert await watch.tick() == ([], None)
    leaders.newest = {"log.a": 6}
    assert await watch.tick() == (["log.a"], None)
    assert leaders.asked == ["log.a"] * 3


@in_loop
async def test_only_so_many_channels_are_asked_about_in_a_tick(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stream_watch, "CHECKS", 2)
    leaders = Leaders()
    for name in "abc":
        leaders.announce(f"log.{name}", 5)
    watch = leaders.watch()
    leaders.say(7)
    await watch.tick()
    await watch.tick()
    assert leaders.asked == ["log.a", "log.b"]
    await watch.tick()
    assert leaders.asked == ["log.a", "log.b", "log.c"]
