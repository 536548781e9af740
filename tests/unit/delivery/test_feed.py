"""Each race of a feed as a plain sequence. What a reader was told is written as short lines, see
`Reader.told`.
"""

from functools import partial

import orjson
import pytest

from eventhub.delivery import fanout as fanout_module
from eventhub.delivery import recent as recent_module
from eventhub.delivery.encoding import EVENT_STREAM, LINES, WEBSOCKET
from eventhub.delivery.fanout import DeliveryCounters
from eventhub.delivery.feed import Feed
from eventhub.delivery.subscriber import Subscriber, SubscriberState, SubscriptionStart
from eventhub.errors import SlowConsumer
from eventhub.events.channel_types import SlowReaderPolicy
from eventhub.events.event import Age, Earliest, Event, Last, Latest, Position, Since
from eventhub.events.schema import ModelSchema
from tests.harness.builders import CHAT, READING, FeedDesk, ModelLog, channel_type
from tests.harness.wire import Wire

CHANNEL = "chat.lobby"
STARTED = ["subscribed a-0, head a-0"]


class Reader:
    """A subscriber with its writer."""

    def __init__(self, node: "Node", since: Since, wire: Wire) -> None:
        self.node = node
        self.wire = wire
        self.subscriber = Subscriber(CHANNEL, since, wire, self._started)

    @property
    def state(self) -> SubscriberState:
        return self.subscriber.state

    def told(self) -> list[str]:
        """What was written up to the end of this tick, see `_brief`."""
        self.node.desk.flush()
        return [_brief(orjson.loads(line)) for line in b"".join(self.wire.data).splitlines()]

    def news(self) -> list[str]:
        """What was written since `told` or `news` was asked last."""
        told = self.told()
        self.wire.data.clear()
        return told

    def congest(self) -> None:
        """Its buffer is full, and its owner says so."""
        self.wire.full = True
        self.node.feed.congested(self.subscriber)

    def drain(self, room: int = 1_000_000) -> None:
        """Its buffer has room again, for `room` writes, and its owner says so."""
        self.wire.full = False
        self.wire.room = len(self.wire.data) + room
        self.node.feed.drained(self.subscriber)

    def _started(self, subscriber: Subscriber, start: SubscriptionStart) -> None:
        fields = {"channel": subscriber.channel, **start.as_dict()}
        self.wire.write(self.wire.encoding.message("subscribed", fields, start.position))


class Node:
    """One feed, the log behind it and the reads under way."""

    def __init__(
        self,
        slow: SlowReaderPolicy = SlowReaderPolicy.DROP,
        *,
        keep: int = 1000,
        schema: ModelSchema = READING,
        opened: bool = True,
        past: int = 0,
    ) -> None:
        self.log = ModelLog(CHANNEL, keep=keep)
        self.desk = FeedDesk()
        self.counters = DeliveryCounters()
        self.feed = Feed(CHANNEL, channel_type(slow, schema), self.counters, self.desk)
        self.lose(past)
        if opened:
            self.feed.opened(self.log.end)

    def publish(
        self, count: int = 1, *, step: int = 1, data: bytes = b"{}", subject: str | None = None
    ) -> Event:
        """Store and announce."""
        for _ in range(count):
            event = self.log.publish(data, step=step, subject=subject)
            self.feed.deliver(event)
            self.desk.end()
        return event

    def lose(self, count: int = 1) -> list[Event]:
        """Store without announcing."""
        return [self.log.publish() for _ in range(count)]

    def join(self, since: Since | None = None, wire: Wire | None = None) -> Reader:
        reader = Reader(self, since or Latest(), wire or Wire())
        self.feed.join(reader.subscriber)
        return reader

    def leave(self, reader: Reader) -> None:
        self.feed.leave(reader.subscriber)

    def look(self, limit: int = 1000) -> None:
        """The broker takes the page for the oldest read under way."""
        self.desk.reads[0].look(self.log, limit)

    def answer(self, limit: int = 1000) -> None:
        """The oldest read under way is answered: with what `look` saw, or else with the log as it
        is now.
        """
        read = self.desk.reads.pop(0)
        if read.piece is None:
            read.look(self.log, limit)
        read.answer()

    def settle(self, limit: int = 1000) -> None:
        """Answer reads until there is none. A feed that reads for ever fails here."""
        for _ in range(100):
            if not self.desk.reads:
                self.desk.end()
                return
            self.answer(limit)
        raise AssertionError("the feed reads without end")

    @property
    def reads(self) -> list[str]:
        """Where the reads under way begin."""
        return [str(read.since) for read in self.desk.reads]


def _brief(message: dict[str, str]) -> str:
    """`a-7`, `subscribed position, head end`, or `gap after < before @position reason skipped`."""
    match message["type"]:
        case "event":
            return message["id"]
        case "subscribed":
            recovered = "" if message["recovered"] else ", not recovered"
            return f"subscribed {message['position']}, head {message['head']}{recovered}"
        case _:
            assert message["channel"] == CHANNEL
            skipped = f" {message['skipped']}" if "skipped" in message else ""
            return (
                f"gap {message['after']} < {message['before']} "
                f"@{message['position']} {message['reason']}{skipped}"
            )


def at(offset: int, epoch: str = "a") -> Position:
    return Position(epoch, offset)


def ids(first: int, last: int) -> list[str]:
    return [f"a-{offset}" for offset in range(first, last + 1)]


def gap(after: str, before: str, position: str, reason: str) -> str:
    return f"gap {after} < {before} @{position} {reason}"


# Live: duplicates and holes


def test_a_live_reader_gets_each_event_once_and_in_order() -> None:
    node = Node()
    ana = node.join()
    event = node.publish(3)
    node.feed.deliver(event)
    assert ana.told() == [*STARTED, *ids(1, 3)]
    assert node.desk.asked == 0


def test_an_old_announcement_that_comes_again_is_ignored() -> None:
    node = Node()
    ana = node.join()
    first = node.publish()
    node.publish(2)
    node.feed.deliver(first)
    node.publish()
    assert ana.told() == [*STARTED, *ids(1, 4)]
    assert node.desk.asked == 0


def test_offsets_that_skip_numbers_are_no_hole() -> None:
    node = Node()
    ana = node.join()
    node.publish(step=7)
    node.publish(step=3)
    assert ana.told() == [*STARTED, "a-7", "a-10"]
    assert node.desk.asked == 0


def test_an_announcement_whose_previous_is_unknown_waits_until_history_has_closed_the_hole() -> (
    None
):
    node = Node()
    ana = node.join()
    node.publish()
    node.lose(2)
    node.publish()
    assert ana.told() == [*STARTED, "a-1"]
    assert node.reads == ["a-1"]
    node.answer()
    assert ana.told() == [*STARTED, *ids(1, 4)]
    assert node.reads == []


def test_a_gap_of_the_broker_is_mended_from_history_though_no_announcement_follows() -> None:
    node = Node()
    ana = node.join()
    node.publish()
    node.lose(2)
    node.feed.gap()
    node.settle()
    assert ana.told() == [*STARTED, *ids(1, 3)]
    node.publish()
    assert ana.told() == [*STARTED, *ids(1, 4)]
    assert node.desk.asked == 1


def test_a_gap_of_the_broker_without_loss_tells_nobody_anything() -> None:
    node = Node()
    ana = node.join()
    node.publish()
    node.feed.gap()
    node.feed.gap()
    assert node.reads == ["a-1"]
    node.settle()
    node.publish()
    assert ana.told() == [*STARTED, *ids(1, 2)]


def test_an_announcement_that_follows_a_gap_of_the_broker_seamlessly_goes_out_at_once() -> None:
    node = Node()
    ana = node.join()
    node.publish()
    node.feed.gap()
    node.publish()
    assert ana.told() == [*STARTED, *ids(1, 2)]
    node.settle()
    node.publish()
    assert ana.told() == [*STARTED, *ids(1, 3)]


def test_an_announcement_repeated_after_a_gap_of_the_broker_is_not_written_again() -> None:
    node = Node()
    ana = node.join()
    event = node.publish(2)
    node.feed.gap()
    node.feed.deliver(event)
    node.publish()
    node.settle()
    assert ana.told() == [*STARTED, *ids(1, 3)]


def test_after_a_broker_gap_announcements_go_on_and_a_page_ends_the_unverified_state() -> None:
    node = Node()
    ana = node.join()
    node.publish()
    node.feed.gap()
    node.publish(2)
    node.look()
    node.publish()
    assert ana.told() == [*STARTED, *ids(1, 4)]
    node.settle()
    assert ana.told() == [*STARTED, *ids(1, 4)]
    assert node.reads == []


def test_a_hole_is_mended_page_by_page() -> None:
    node = Node()
    ana = node.join()
    node.lose(7)
    node.publish(2)
    node.answer(limit=3)
    assert node.reads == ["a-3"]
    node.settle(limit=3)
    assert ana.told() == [*STARTED, *ids(1, 9)]


def test_announcements_while_history_is_read_are_passed_on_behind_it() -> None:
    node = Node()
    ana = node.join()
    node.lose()
    node.publish(2)
    node.look()
    node.publish(2)
    node.answer()
    assert ana.told() == [*STARTED, *ids(1, 5)]
    assert node.desk.asked == 1


def test_the_line_waits_for_room_and_goes_on_from_the_recent_events_then_from_history(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fanout_module, "QUEUED_BYTES", 5)
    monkeypatch.setattr(recent_module, "RECENT_EVENTS", 2)
    node = Node()
    ana = node.join()
    node.publish(3)
    assert not node.feed.behind
    node.publish(2)
    assert node.feed.behind
    assert (node.feed.continuity.delivered, node.feed.continuity.head) == (at(3), at(5))
    assert b"a-1" not in b"".join(ana.wire.data), "nothing is written by a push"
    late = node.join()
    resumed = node.join(at(1))
    assert ana.told() == [*STARTED, *ids(1, 5)]
    assert late.told() == ["subscribed a-3, head a-3", *ids(4, 5)]
    assert node.reads == ["a-1"], "the line needed no history"
    node.answer()
    assert resumed.told() == ["subscribed a-1, head a-5", *ids(2, 5)]
    node.publish(6)
    assert ana.news()[-3:] == ids(6, 8)
    assert node.reads == ["a-8"], "the tail reaches back to a-10"
    node.settle()
    assert [ana.news(), late.news()[-3:], resumed.news()[-3:]] == [ids(9, 11)] * 3
    assert node.feed.continuity.delivered == node.feed.continuity.head == at(11)


def test_what_history_no_longer_has_when_there_is_room_again_is_a_gap(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fanout_module, "QUEUED_BYTES", 1)
    monkeypatch.setattr(recent_module, "RECENT_EVENTS", 1)
    node = Node(keep=2)
    ana = node.join()
    node.publish(6)
    assert ana.told() == [*STARTED, "a-1"]
    node.answer()
    assert ana.told() == [*STARTED, "a-1", gap("a-1", "a-5", "a-4", "expired")]
    node.settle()
    ana.told()
    node.settle()
    assert ana.told()[-2:] == ids(5, 6)


def test_a_second_hole_while_history_is_read_is_mended_too() -> None:
    node = Node()
    ana = node.join()
    node.lose()
    node.publish()
    node.look()
    node.lose(2)
    node.publish()
    node.answer()
    assert node.reads == ["a-2"]
    node.settle()
    assert ana.told() == [*STARTED, *ids(1, 5)]


def test_a_page_asked_for_before_the_gap_does_not_say_where_the_log_ends() -> None:
    node = Node()
    ana = node.join()
    node.feed.gap()
    node.look()
    node.lose()
    node.feed.gap()  # announcing works again from here on; the page was taken before
    node.answer()
    node.settle()
    assert ana.told() == [*STARTED, "a-1"]


def test_the_events_of_an_old_page_are_used() -> None:
    node = Node()
    ana = node.join()
    node.lose(2)
    node.feed.gap()
    node.look()
    node.feed.gap()
    node.answer()
    assert ana.told() == [*STARTED, *ids(1, 2)]
    assert node.reads == ["a-2"]


def test_a_late_announcement_behind_a_gap_of_the_broker_does_not_hide_what_was_lost() -> None:
    node = Node()
    ana = node.join()
    late, _lost = node.lose(2)
    node.feed.gap()
    node.feed.deliver(late)  # follows the line, but says nothing about what was lost after it
    node.settle()
    assert ana.told() == [*STARTED, *ids(1, 2)]


def test_a_repeated_announcement_behind_a_gap_of_the_broker_does_not_make_an_old_page_do() -> None:
    node = Node()
    ana = node.join()
    event = node.publish()
    node.feed.gap()
    node.look()
    node.lose()
    node.feed.gap()
    node.feed.deliver(event)
    node.answer()
    node.settle()
    assert ana.told() == [*STARTED, *ids(1, 2)]


def test_a_late_announcement_behind_a_gap_of_the_broker_does_not_make_an_old_page_do() -> None:
    node = Node()
    ana = node.join()
    node.feed.gap()
    node.look()
    late, _lost = node.lose(2)
    node.feed.gap()
    node.feed.deliver(late)
    node.answer()
    node.settle()
    assert ana.told() == [*STARTED, *ids(1, 2)]


def test_a_gap_of_the_broker_is_mended_though_events_never_pause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recent_module, "RECENT_EVENTS", 1)
    node = Node(past=3)
    ana, bob = node.join(), node.join(Earliest())
    node.feed.gap()
    node.answer(limit=1)  # bob's page: it waits for the mending
    for _ in range(20):
        if node.reads:
            node.look()
            # no page is answered before there is more, and each event drives one out of the tail
            node.publish()
            node.answer()
    assert node.reads == []
    assert ana.told()[1:] == bob.told()[4:]
    assert bob.state is SubscriberState.LIVE


def test_a_page_beyond_the_announcements_makes_them_duplicates() -> None:
    node = Node()
    ana = node.join()
    node.feed.gap()
    late = node.lose(2)
    node.answer()
    for event in late:
        node.feed.deliver(event)
    node.publish()
    assert ana.told() == [*STARTED, *ids(1, 3)]
    assert node.desk.asked == 1


# Opening


def test_announcements_before_the_opening_are_kept() -> None:
    node = Node(opened=False)
    ana = node.join(Earliest())
    bob = node.join()
    node.publish(2)
    assert ana.told() == bob.told() == []
    node.feed.opened(at(0))
    assert bob.told() == ["subscribed a-2, head a-2"]
    node.settle()
    node.publish()
    assert ana.told() == ["subscribed a-0, head a-2", *ids(1, 3)]
    assert bob.told() == ["subscribed a-2, head a-2", "a-3"]


def test_announcements_older_than_the_opening_are_not_news() -> None:
    node = Node(opened=False)
    ana = node.join()
    late = node.lose(3)
    node.feed.deliver(late[0])  # announced for an earlier subscription of this node
    node.feed.opened(at(3))
    node.settle()
    node.publish()
    assert ana.told() == ["subscribed a-3, head a-3", "a-4"]


def test_the_last_announcement_before_the_opening_may_be_where_it_opens() -> None:
    node = Node(opened=False)
    ana = node.join()
    node.publish(2)
    node.feed.opened(at(2))
    node.publish()
    assert ana.told() == ["subscribed a-2, head a-2", "a-3"]
    assert node.desk.asked == 0


def test_announcements_before_the_opening_that_do_not_join_it_are_mended() -> None:
    node = Node(opened=False)
    ana, bob = node.join(at(0)), node.join()
    node.lose(2)
    node.publish()
    node.feed.opened(at(0))
    assert node.reads == ["a-0"]
    node.settle()
    node.publish()
    assert ana.told() == ["subscribed a-0, head a-3", *ids(1, 4)]
    assert bob.told() == ["subscribed a-3, head a-3", "a-4"]


def test_a_gap_between_subscribing_and_the_opening_is_mended() -> None:
    node = Node(opened=False)
    ana, bob = node.join(at(0)), node.join()
    node.lose(2)
    node.feed.gap()
    node.feed.opened(at(0))
    assert node.reads == ["a-0"]
    node.settle()
    node.publish()
    assert ana.told() == ["subscribed a-0, head a-2", *ids(1, 3)]
    assert bob.told() == ["subscribed a-2, head a-2", "a-3"]


def test_an_announcement_behind_a_gap_before_the_opening_does_not_hide_what_was_lost() -> None:
    node = Node(opened=False)
    ana = node.join(at(0))
    event = node.publish()
    node.lose()
    node.feed.gap()
    node.feed.deliver(event)
    node.feed.opened(at(0))
    node.settle()
    assert ana.told() == ["subscribed a-0, head a-2", *ids(1, 2)]


def test_an_opening_without_a_gap_needs_no_history() -> None:
    node = Node(past=3)
    ana = node.join()
    assert ana.told() == ["subscribed a-3, head a-3"]
    assert node.desk.asked == 0


# Gaps


def test_events_that_history_no_longer_has_are_told_to_live_readers_as_one_gap() -> None:
    node = Node(keep=2)
    ana = node.join()
    node.publish()
    node.lose(4)
    node.feed.gap()
    node.settle()
    node.publish()
    assert ana.told() == [*STARTED, "a-1", gap("a-1", "a-4", "a-3", "expired"), *ids(4, 6)]


def test_a_log_lost_is_told_to_live_readers_as_one_gap_with_both_ends() -> None:
    node = Node()
    ana, bob = node.join(), node.join()
    node.publish(2)
    node.log.reset("b")
    node.publish()
    node.feed.gap()
    node.settle()
    node.publish()
    assert (
        ana.told()
        == bob.told()
        == [*STARTED, *ids(1, 2), gap("a-2", "b-1", "b-0", "reset"), "b-1", "b-2"]
    )
    assert node.counters.gaps == {"reset": 2}


def test_an_empty_log_after_a_loss_is_told_with_the_end_it_will_go_on_from() -> None:
    node = Node()
    ana = node.join()
    node.publish()
    node.log.reset("b")
    node.feed.gap()
    node.settle()
    assert ana.told() == [*STARTED, "a-1", gap("a-1", "b-1", "b-0", "reset")]
    node.publish()
    assert ana.news()[-1] == "b-1"


def test_a_late_announcement_of_the_lost_log_does_not_go_out_in_the_new_one() -> None:
    node = Node()
    ana = node.join()
    node.publish()
    [late] = node.lose()
    node.log.reset("b")
    node.feed.gap()
    node.settle()
    node.publish()
    node.feed.deliver(late)
    node.publish()
    node.settle()
    assert ana.told() == [*STARTED, "a-1", gap("a-1", "b-1", "b-0", "reset"), "b-1", "b-2"]


def test_a_late_announcement_of_the_lost_log_goes_out_before_the_gap() -> None:
    node = Node()
    ana = node.join()
    node.publish()
    [late] = node.lose()
    node.log.reset("b")
    node.feed.deliver(late)
    node.publish()
    node.settle()
    assert ana.told() == [*STARTED, *ids(1, 2), gap("a-2", "b-1", "b-0", "reset"), "b-1"]


def test_a_gap_comes_behind_the_events_that_were_pending() -> None:
    node = Node(keep=1)
    ana = node.join()
    node.publish()
    node.lose(2)
    node.feed.gap()
    node.answer()
    assert ana.told() == [*STARTED, "a-1", gap("a-1", "a-3", "a-2", "expired"), "a-3"]


def test_a_gap_is_told_only_to_those_who_miss_something() -> None:
    node = Node(keep=2)
    ana = node.join()
    bob = node.join(Earliest())
    node.look()
    node.publish()
    node.lose(3)
    node.feed.gap()
    node.settle()
    assert ana.told() == [*STARTED, "a-1", gap("a-1", "a-3", "a-2", "expired"), *ids(3, 4)]
    assert bob.told() == [
        "subscribed a-0, head a-0",
        gap("a-0", "a-3", "a-2", "expired"),
        *ids(3, 4),
    ]
    cid = node.join(Last(2))
    node.settle()
    assert cid.told() == ["subscribed a-2, head a-4", *ids(3, 4)]


def test_without_retention_live_readers_get_everything_announced() -> None:
    node = Node(keep=0)
    ana = node.join()
    node.publish(3)
    assert ana.told() == [*STARTED, *ids(1, 3)]
    assert node.desk.asked == 0


def test_without_retention_a_hole_is_a_gap() -> None:
    node = Node(keep=0)
    ana = node.join()
    node.publish()
    node.lose()
    node.publish()
    node.settle()
    node.publish()
    assert ana.told() == [*STARTED, "a-1", gap("a-1", "a-4", "a-3", "expired"), "a-4"]


@pytest.mark.parametrize("since", [Earliest(), Last(5), Age(1000)])
def test_without_retention_history_is_empty(since: Since) -> None:
    node = Node(keep=0, past=3)
    ana = node.join(since)
    node.settle()
    node.publish()
    assert ana.told() == ["subscribed a-3, head a-3", "a-4"]


def test_without_retention_a_reader_resumes_at_the_end_and_has_a_gap_before_it() -> None:
    node = Node(keep=0, past=3)
    ana, bob = node.join(at(3)), node.join(at(1))
    node.settle()
    node.publish()
    assert ana.told() == ["subscribed a-3, head a-3", "a-4"]
    assert bob.told() == [
        "subscribed a-1, head a-3, not recovered",
        gap("a-1", "a-4", "a-3", "expired"),
        "a-4",
    ]


# Held


@pytest.mark.parametrize(
    ("since", "position", "first"),
    [
        (at(2), 2, 3),
        (Earliest(), 0, 1),
        (Last(2), 3, 4),
        (Last(50), 0, 1),
        (at(0), 0, 1),
        (at(5), 5, 6),
    ],
)
def test_a_reader_begins_where_it_asked(since: Since, position: int, first: int) -> None:
    node = Node(past=5)
    ana = node.join(since)
    node.settle()
    node.publish()
    assert ana.told() == [f"subscribed a-{position}, head a-5", *ids(first, 6)]
    assert ana.state is SubscriberState.LIVE


def test_a_reader_catching_up_goes_page_by_page_and_is_told_only_then_that_it_has_begun() -> None:
    node = Node(past=5)
    ana = node.join(Earliest())
    assert ana.told() == []
    node.answer(limit=2)
    assert ana.told() == ["subscribed a-0, head a-5", *ids(1, 2)]
    assert node.reads == ["a-2"]
    node.answer(limit=2)
    node.answer(limit=2)
    assert node.reads == []
    assert ana.state is SubscriberState.LIVE
    assert ana.told() == ["subscribed a-0, head a-5", *ids(1, 5)]


def test_events_replayed_are_counted() -> None:
    node = Node(past=2)
    node.join(Earliest())
    node.look()
    node.publish(3)
    node.answer()
    assert node.counters.delivered == 5


def test_a_tail_that_ends_before_a_page_is_not_used_again() -> None:
    node = Node()
    node.join()
    node.lose()
    node.publish()
    node.lose(2)
    node.answer()
    ana = node.join(at(1))
    node.settle()
    assert ana.told() == ["subscribed a-1, head a-4", *ids(2, 4)]


def test_a_reader_catching_up_takes_the_rest_from_the_recent_events() -> None:
    node = Node(past=2)
    ana = node.join(Earliest())
    node.look()
    node.publish(3)
    node.answer()
    assert ana.told() == ["subscribed a-0, head a-2", *ids(1, 5)]
    assert ana.state is SubscriberState.LIVE
    assert node.desk.asked == 1


def test_a_position_the_recent_events_reach_back_to_needs_no_history() -> None:
    node = Node(past=2)
    node.join(Earliest())
    node.publish(3)
    ana = node.join(at(3))
    assert ana.told() == ["subscribed a-3, head a-5", *ids(4, 5)]
    assert node.desk.asked == 1
    assert node.counters.resumed == 1


def test_the_recent_events_are_forgotten_when_nobody_catches_up() -> None:
    node = Node(past=2)
    node.join(Earliest())
    node.publish()
    node.settle()
    assert not node.feed.continuity.recent.events
    node.publish(3)
    bob = node.join(at(3))
    assert bob.told() == []
    assert node.reads == ["a-3"]
    node.settle()
    assert bob.told() == ["subscribed a-3, head a-6", *ids(4, 6)]


def test_a_tail_left_over_from_mending_is_not_taken_for_the_end_of_the_log() -> None:
    node = Node()
    node.join()
    node.lose()
    node.publish()
    node.settle()
    node.publish(2)
    ana = node.join(at(1))
    node.settle()
    assert ana.told() == ["subscribed a-1, head a-4", *ids(2, 4)]


def test_a_position_of_another_log_is_reset() -> None:
    node = Node(past=2)
    ana = node.join(at(7, "old"))
    node.settle()
    node.publish()
    assert ana.told() == [
        "subscribed old-7, head a-2, not recovered",
        gap("old-7", "a-1", "a-0", "reset"),
        *ids(1, 3),
    ]


def test_a_position_ahead_of_the_log_is_reset() -> None:
    node = Node(past=2)
    ana = node.join(at(9))
    node.settle()
    node.publish()
    assert ana.told() == [
        "subscribed a-9, head a-2, not recovered",
        gap("a-9", "a-1", "a-0", "reset"),
        *ids(1, 3),
    ]


def test_a_position_that_has_expired_is_told_with_both_ends() -> None:
    node = Node(past=6, keep=2)
    ana = node.join(at(1))
    node.settle()
    assert ana.told() == [
        "subscribed a-1, head a-6, not recovered",
        gap("a-1", "a-5", "a-4", "expired"),
        *ids(5, 6),
    ]
    assert node.counters.gaps == {"expired": 1}
    assert node.counters.resumed == 0


def test_a_reader_catching_up_slower_than_retention_is_told_what_it_missed() -> None:
    node = Node(past=4)
    ana = node.join(Earliest())
    node.answer(limit=2)
    node.log.trim(1)
    node.settle()
    assert ana.told() == [
        "subscribed a-0, head a-4",
        *ids(1, 2),
        gap("a-2", "a-4", "a-3", "expired"),
        "a-4",
    ]


def test_what_retention_removed_is_still_read_from_the_recent_events() -> None:
    node = Node(past=2)
    ana = node.join(Earliest())
    node.look()
    node.publish(3)
    node.log.trim(0)
    node.answer()
    assert ana.told() == ["subscribed a-0, head a-2", *ids(1, 5)]


def test_readers_catching_up_do_not_hold_up_live_ones() -> None:
    node = Node(past=1)
    ana = node.join()
    node.join(Earliest())
    node.publish(2)
    assert ana.told() == ["subscribed a-1, head a-1", *ids(2, 3)]


def test_a_reader_catching_up_waits_for_the_history_and_misses_nothing() -> None:
    node = Node(past=2)
    ana = node.join(Earliest())
    node.look()
    node.lose()
    node.publish()
    node.answer()
    assert ana.told() == ["subscribed a-0, head a-2", *ids(1, 2)]
    node.settle()
    node.publish()
    assert ana.told() == ["subscribed a-0, head a-2", *ids(1, 5)]


def test_a_reader_catching_up_that_has_read_ahead_of_the_live_ones_is_not_given_events_twice() -> (
    None
):
    node = Node(past=1)
    ana = node.join(Earliest())
    bob = node.join()
    late = node.lose(2)
    node.answer()
    assert ana.told() == ["subscribed a-0, head a-3", *ids(1, 3)]
    for event in late:
        node.feed.deliver(event)
    node.settle()
    node.publish()
    assert ana.told() == ["subscribed a-0, head a-3", *ids(1, 4)]
    assert bob.told() == ["subscribed a-1, head a-1", *ids(2, 4)]


def test_a_reader_that_finds_the_log_beyond_the_head_shows_that_announcements_were_lost() -> None:
    node = Node(past=1)
    bob = node.join()
    node.lose()
    ana = node.join(Last(1))
    node.settle()
    assert ana.told() == ["subscribed a-1, head a-2", "a-2"]
    assert bob.told() == ["subscribed a-1, head a-1", "a-2"]
    assert ana.state is SubscriberState.LIVE
    node.publish()
    assert bob.told()[-1] == ana.told()[-1] == "a-3"


def test_a_reader_that_finds_another_log_shows_that_it_was_reset() -> None:
    node = Node(past=1)
    bob = node.join()
    node.log.reset("b")
    node.lose()
    ana = node.join(Earliest())
    node.settle()
    assert ana.told() == ["subscribed b-0, head b-1", "b-1"]
    assert bob.told() == ["subscribed a-1, head a-1", gap("a-1", "b-1", "b-0", "reset"), "b-1"]
    node.publish()
    assert bob.told()[-1] == ana.told()[-1] == "b-2"


def test_a_reader_that_finds_the_log_where_the_head_is_reads_once() -> None:
    node = Node(past=1)
    node.join(Earliest())
    node.settle()
    assert node.desk.asked == 1


def test_a_reader_catching_up_is_told_of_a_log_lost_while_it_read() -> None:
    node = Node(past=3)
    ana = node.join(Earliest())
    node.answer(limit=2)
    node.log.reset("b")
    node.publish()
    node.feed.gap()
    node.settle()
    assert ana.told() == [
        "subscribed a-0, head a-3",
        *ids(1, 2),
        gap("a-2", "b-1", "b-0", "reset"),
        "b-1",
    ]
    assert ana.state is SubscriberState.LIVE


def test_recent_events_that_overflow_are_read_from_history_instead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recent_module, "RECENT_EVENTS", 2)
    node = Node(past=1)
    ana = node.join(Earliest())
    node.look()
    node.publish(4)
    node.answer()
    assert ana.told() == ["subscribed a-0, head a-1", "a-1"]
    assert node.reads == ["a-1"]
    node.settle()
    assert ana.told() == ["subscribed a-0, head a-1", *ids(1, 5)]


def test_the_bytes_of_events_that_left_the_recent_events_no_longer_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recent_module, "RECENT_BYTES", 20)
    node = Node()
    node.join(Earliest())
    node.publish(9, data=b"[1234]")
    assert node.join(at(6)).told() == ["subscribed a-6, head a-9", *ids(7, 9)]
    node.settle()
    node.join(Earliest())
    node.publish(3, data=b"[1234]")
    assert node.join(at(9)).told() == ["subscribed a-9, head a-12", *ids(10, 12)]


def test_the_recent_events_are_bounded_in_bytes_but_keep_the_newest_event(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recent_module, "RECENT_BYTES", 10)
    node = Node(past=1)
    ana = node.join(Earliest())
    node.look()
    node.publish(4, data=b"[1234]")
    bob, cid = node.join(at(4)), node.join(at(3))
    assert bob.told() == ["subscribed a-4, head a-5", "a-5"]
    assert cid.told() == []
    node.publish(data=b"[1234567890]")
    dan = node.join(at(5))
    assert dan.told() == ["subscribed a-5, head a-6", "a-6"]
    node.settle()
    assert ana.told() == ["subscribed a-0, head a-1", *ids(1, 6)]


def test_recent_events_that_overflow_while_the_feed_reads_history_do_not_turn_the_head_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recent_module, "RECENT_EVENTS", 2)
    node = Node()
    ana = node.join()
    node.lose()
    node.publish()  # shows the hole
    node.look()
    node.publish(4)  # all announced, but the tail holds two
    node.answer()
    node.settle()
    assert ana.told() == [*STARTED, *ids(1, 6)]


def test_latest_begins_at_the_delivered_position_while_the_feed_reads_history() -> None:
    node = Node()
    node.join()
    node.publish()
    node.lose()
    node.publish()
    ana = node.join()
    assert ana.told() == ["subscribed a-1, head a-1"]
    assert ana.state is SubscriberState.LIVE
    node.settle()
    assert ana.told() == ["subscribed a-1, head a-1", *ids(2, 3)]
    assert node.desk.asked == 1


def test_a_position_waits_while_the_feed_reads_history() -> None:
    node = Node()
    node.join()
    node.publish()
    node.lose()
    node.publish()
    ana = node.join(at(1))
    assert ana.told() == []
    assert len(node.reads) == 1
    node.settle()
    assert ana.told()[0] == "subscribed a-1, head a-3"
    assert ana.told()[1:] == ids(2, 3)


def test_paused_replay_reads_nothing_while_the_writer_is_full() -> None:
    node = Node(past=6)
    ana = node.join(Earliest(), Wire(room=2))  # full with the first page
    node.answer(limit=2)
    assert ana.told() == ["subscribed a-0, head a-6", *ids(1, 2)]
    assert node.reads == []
    node.publish(2)
    assert node.reads == []
    ana.drain()
    assert node.reads == ["a-2"]
    node.settle(limit=2)
    assert ana.told() == ["subscribed a-0, head a-6", *ids(1, 8)]


def test_a_reader_that_joins_with_a_full_writer_is_served_when_it_has_drained() -> None:
    node = Node(past=2)
    wire = Wire()
    wire.full = True
    ana = node.join(Earliest(), wire)
    assert node.reads == []
    ana.drain()
    node.settle()
    assert ana.told() == ["subscribed a-0, head a-2", *ids(1, 2)]


def test_draining_while_a_page_is_under_way_asks_for_no_second_one() -> None:
    node = Node(past=2)
    ana = node.join(Earliest())
    ana.drain()
    assert len(node.reads) == 1


def test_replay_never_disconnects() -> None:
    node = Node(SlowReaderPolicy.DISCONNECT, past=6)
    ana = node.join(Earliest(), Wire(room=1))
    node.answer(limit=2)
    ana.congest()
    node.publish(3)
    assert ana.state is SubscriberState.CATCHING_UP
    assert ana.wire.errors == []


# Joining and leaving


def test_events_before_joining_are_not_written_to_who_joins() -> None:
    node = Node()
    ana = node.join()
    node.publish()
    bob = node.join()
    node.publish()
    assert ana.told() == [*STARTED, *ids(1, 2)]
    assert bob.told() == ["subscribed a-1, head a-1", "a-2"]


def test_a_reader_that_turns_live_from_the_recent_events_gets_no_pending_event_twice() -> None:
    node = Node(past=1)
    ana, bob = node.join(), node.join(Earliest())
    node.look()
    node.publish()
    node.answer()
    node.publish()
    assert ana.told() == ["subscribed a-1, head a-1", *ids(2, 3)]
    assert bob.told() == ["subscribed a-0, head a-1", *ids(1, 3)]


def test_pending_events_are_joined_into_one_write() -> None:
    node = Node()
    ana = node.join()
    node.publish(3)
    assert list(node.desk.unwritten) == [node.feed]
    assert node.desk.woken == 1
    assert len(ana.wire.data) == 1
    ana.told()
    assert len(ana.wire.data) == 2
    assert node.counters.delivered == 3


def test_writers_of_several_encodings_get_the_same_events() -> None:
    node = Node()
    wires = [Wire(encoding) for encoding in (LINES, WEBSOCKET, EVENT_STREAM, LINES)]
    readers = [node.join(wire=wire) for wire in wires]
    assert len(node.feed.live) == 4
    for wire in wires:
        wire.data.clear()
    event = node.publish()
    node.desk.flush()
    assert [wire.data for wire in wires] == [[wire.encoding.event(event)] for wire in wires]
    assert node.counters.delivered == 4
    node.leave(readers[1])
    node.leave(readers[0])
    event = node.publish()
    node.desk.flush()
    assert [len(wire.data) for wire in wires] == [1, 1, 2, 2]
    assert len(node.feed.live) == 2


def test_a_gap_is_told_in_each_encoding() -> None:
    node = Node()
    wires = [Wire(encoding) for encoding in (LINES, WEBSOCKET, EVENT_STREAM)]
    for wire in wires:
        node.join(wire=wire)
    node.log.reset("b")
    node.feed.gap()
    node.settle()
    node.desk.flush()
    told = {
        "channel": CHANNEL,
        "after": "a-0",
        "before": "b-1",
        "position": "b-0",
        "reason": "reset",
    }
    assert [wire.data[-1] for wire in wires] == [
        wire.encoding.message("gap", told, at(0, "b")) for wire in wires
    ]


def test_a_reader_that_left_live_gets_nothing_more() -> None:
    node = Node()
    ana = node.join()
    node.publish()
    node.leave(ana)
    node.leave(ana)
    node.publish()
    assert ana.told() == STARTED
    assert len(node.feed) == 0


def test_a_reader_that_left_while_catching_up_gets_nothing_of_the_page_under_way() -> None:
    node = Node(past=2)
    ana = node.join(Earliest())
    node.leave(ana)
    node.settle()
    assert ana.told() == []
    assert node.desk.asked == 1
    assert len(node.feed) == 0


def test_a_reader_that_left_while_lagging_gets_nothing_when_it_has_drained() -> None:
    node = Node()
    ana = node.join()
    ana.congest()
    node.publish()
    node.leave(ana)
    ana.drain()
    assert ana.told() == STARTED
    assert len(node.feed) == 0


def test_the_last_to_leave_takes_nothing_from_who_joins_next() -> None:
    node = Node()
    ana = node.join()
    node.publish()
    node.leave(ana)
    bob = node.join()
    node.publish()
    assert bob.told() == ["subscribed a-1, head a-1", "a-2"]


def test_subscribers_are_counted_in_every_state() -> None:
    node = Node(past=1)
    held, lagging, _live = node.join(Earliest()), node.join(), node.join()
    lagging.congest()
    assert (held.state, lagging.state) == (SubscriberState.CATCHING_UP, SubscriberState.LAGGING)
    assert len(node.feed) == 3
    assert len(node.feed.live) == 1


# Lagging


@pytest.mark.parametrize("slow", list(SlowReaderPolicy))
def test_a_writer_that_drains_before_there_is_more_to_send_missed_nothing(
    slow: SlowReaderPolicy,
) -> None:
    node = Node(slow)
    ana = node.join()
    node.publish()
    ana.congest()
    ana.drain()
    node.publish()
    assert ana.told() == [*STARTED, *ids(1, 2)]
    assert ana.wire.errors == []
    assert ana.state is SubscriberState.LIVE


@pytest.mark.parametrize("slow", list(SlowReaderPolicy))
def test_pending_events_go_out_before_a_reader_lags(slow: SlowReaderPolicy) -> None:
    node = Node(slow)
    ana, bob = node.join(), node.join()
    node.publish(2)
    ana.congest()
    assert ana.told() == bob.told() == [*STARTED, *ids(1, 2)]
    assert ana.wire.errors == []


def test_disconnect_closes_when_there_is_more_to_send() -> None:
    node = Node(SlowReaderPolicy.DISCONNECT)
    ana, bob = node.join(), node.join()
    ana.congest()
    assert ana.wire.errors == []
    node.publish(2)
    assert [type(error) for error in ana.wire.errors] == [SlowConsumer]
    assert ana.state is SubscriberState.GONE
    ana.drain()
    assert ana.told() == STARTED
    assert bob.told() == [*STARTED, *ids(1, 2)]
    assert node.counters.disconnected == 1
    assert len(node.feed) == 1


def test_nobody_is_disconnected_from_inside_a_delivery() -> None:
    node = Node(SlowReaderPolicy.DISCONNECT)
    ana = node.join()
    ana.congest()
    node.feed.deliver(node.log.publish())
    assert (ana.state, ana.wire.errors, len(node.desk.failing)) == (SubscriberState.GONE, [], 1)


def test_who_is_disconnected_may_leave_from_inside_fail() -> None:
    node = Node(SlowReaderPolicy.DISCONNECT)
    ana, bob, cid = node.join(), node.join(), node.join()
    for reader in (ana, bob):
        reader.wire.on_fail = partial(node.leave, reader)
        reader.congest()
    node.publish(2)
    assert (len(ana.wire.errors), len(bob.wire.errors)) == (1, 1)
    assert cid.told() == [*STARTED, *ids(1, 2)]
    assert node.counters.disconnected == 2
    assert len(node.feed) == 1


def test_disconnect_closes_when_a_gap_is_to_be_told() -> None:
    node = Node(SlowReaderPolicy.DISCONNECT)
    ana = node.join()
    ana.congest()
    node.log.reset("b")
    node.feed.gap()
    node.settle()
    assert len(ana.wire.errors) == 1
    assert ana.told() == STARTED


def test_who_was_disconnected_resumes_and_misses_nothing() -> None:
    node = Node(SlowReaderPolicy.DISCONNECT)
    ana = node.join()
    node.publish()
    ana.congest()
    node.publish(2)
    again = node.join(at(1))
    node.settle()
    assert ana.told() == [*STARTED, "a-1"]
    assert again.told() == ["subscribed a-1, head a-3", *ids(2, 3)]


def test_drop_tells_how_much_was_skipped_once_the_writer_has_drained() -> None:
    node = Node(SlowReaderPolicy.DROP)
    ana, bob = node.join(), node.join()
    node.publish()
    ana.congest()
    node.publish(3)
    assert ana.told() == [*STARTED, "a-1"]
    ana.drain()
    node.publish()
    assert ana.told() == [*STARTED, "a-1", gap("a-1", "a-5", "a-4", "slow 3"), "a-5"]
    assert bob.told() == [*STARTED, *ids(1, 5)]
    assert node.counters.skipped == {"drop": 3}
    assert node.counters.gaps == {"slow": 1}


def test_drop_tells_a_reader_who_lagged_over_a_gap_of_both_at_once() -> None:
    node = Node(SlowReaderPolicy.DROP)
    ana = node.join()
    node.publish()
    ana.congest()
    node.log.reset("b")
    node.publish(2)
    node.settle()
    ana.drain()
    node.publish()
    assert ana.told() == [*STARTED, "a-1", gap("a-1", "b-3", "b-2", "slow 2"), "b-3"]


def test_drop_twice_counts_each_time_anew() -> None:
    node = Node(SlowReaderPolicy.DROP)
    ana = node.join()
    for _ in range(2):
        ana.congest()
        node.publish(2)
        ana.drain()
    assert ana.told() == [
        *STARTED,
        gap("a-0", "a-3", "a-2", "slow 2"),
        gap("a-2", "a-5", "a-4", "slow 2"),
    ]


def test_congestion_told_twice_counts_from_the_first() -> None:
    node = Node(SlowReaderPolicy.DROP)
    ana = node.join()
    ana.congest()
    node.publish()
    ana.congest()
    node.publish()
    ana.drain()
    assert ana.told() == [*STARTED, gap("a-0", "a-3", "a-2", "slow 2")]


def test_latest_gets_the_newest_event_of_each_sensor() -> None:
    node = Node(SlowReaderPolicy.LATEST)
    ana = node.join()
    ana.congest()
    for sensor in (b"x", b"y", b"x", b"z", b"y"):
        node.publish(data=b'{"value":1,"sensor":"%b"}' % sensor)
    ana.drain()
    node.publish()
    assert ana.told() == [
        *STARTED,
        gap("a-0", "a-6", "a-0", "conflated 2"),
        "a-3",
        "a-4",
        "a-5",
        "a-6",
    ]
    assert node.counters.skipped == {"latest": 2}


def test_latest_gets_the_newest_event_of_each_subject_and_one_of_those_without() -> None:
    node = Node(SlowReaderPolicy.LATEST, schema=CHAT)
    ana = node.join()
    ana.congest()
    for subject in ("x", None, "y", "x", None):
        node.publish(subject=subject)
    ana.drain()
    assert ana.told() == [*STARTED, gap("a-0", "a-6", "a-0", "conflated 2"), "a-3", "a-4", "a-5"]


def test_latest_gets_the_order_of_the_newest_events_not_of_the_series() -> None:
    node = Node(SlowReaderPolicy.LATEST)
    ana = node.join()
    ana.congest()
    for subject in ("x", "y", "x"):
        node.publish(subject=subject)
    ana.drain()
    assert ana.told()[-2:] == ids(2, 3)


def test_latest_gets_nothing_from_before_it_lagged() -> None:
    node = Node(SlowReaderPolicy.LATEST)
    ana, bob = node.join(), node.join()
    ana.congest()
    node.publish(subject="x")
    bob.congest()
    node.publish(2, subject="y")
    bob.drain()
    ana.drain()
    assert ana.told() == [*STARTED, gap("a-0", "a-4", "a-0", "conflated 1"), "a-1", "a-3"]
    assert bob.told() == [*STARTED, "a-1", gap("a-1", "a-4", "a-1", "conflated 1"), "a-3"]


def test_latest_remembers_nothing_when_nobody_lags() -> None:
    node = Node(SlowReaderPolicy.LATEST)
    ana = node.join()
    ana.congest()
    node.publish(3, subject="x")
    ana.drain()
    assert node.feed._lagging.latest._kept == {}
    node.publish(subject="y")
    ana.news()
    ana.congest()
    node.publish(subject="z")
    ana.drain()
    assert ana.news() == [gap("a-4", "a-6", "a-4", "conflated 0"), "a-5"]


def test_conflation_interrupted_by_a_full_writer_goes_on_with_what_is_newest_then() -> None:
    node = Node(SlowReaderPolicy.LATEST)
    ana = node.join()
    ana.congest()
    for subject in ("x", "y", "z"):
        node.publish(subject=subject)
    ana.news()
    ana.drain(room=2)  # the gap and one event
    assert len(node.feed) - len(node.feed.live) == 1
    assert ana.news() == [gap("a-0", "a-4", "a-0", "conflated 0"), "a-1"]
    node.publish(subject="y")
    node.publish(subject="x")
    ana.drain()
    node.publish()
    assert ana.news() == [gap("a-1", "a-6", "a-1", "conflated 1"), *ids(3, 6)]
    assert ana.state is SubscriberState.LIVE


def test_conflation_that_fills_the_writer_with_its_last_event_needs_no_second_gap() -> None:
    node = Node(SlowReaderPolicy.LATEST)
    ana = node.join()
    ana.congest()
    node.publish(2)
    ana.news()
    ana.drain(room=2)
    ana.drain()
    node.publish()
    assert ana.news() == [gap("a-0", "a-3", "a-0", "conflated 1"), *ids(2, 3)]


def test_who_breaks_off_between_conflated_events_can_resume_from_its_cursor() -> None:
    node = Node(SlowReaderPolicy.LATEST)
    ana = node.join()
    ana.congest()
    for subject in ("x", "y", "x"):
        node.publish(subject=subject)
    ana.drain(room=2)
    assert ana.told()[-1] == "a-2"
    again = node.join(at(2))
    node.settle()
    assert again.told() == ["subscribed a-2, head a-3", "a-3"]


def test_series_beyond_the_bound_are_left_out_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent_module, "KEYS", 2)
    node = Node(SlowReaderPolicy.LATEST)
    ana = node.join()
    ana.congest()
    for subject in ("x", "y", "x", "z"):
        node.publish(subject=subject)
    ana.drain()
    assert ana.told() == [*STARTED, gap("a-0", "a-5", "a-0", "conflated 2"), *ids(3, 4)]


def test_latest_who_lagged_over_a_loss_of_the_log_stands_in_the_new_one() -> None:
    node = Node(SlowReaderPolicy.LATEST)
    ana = node.join()
    ana.congest()
    node.log.reset("b")
    node.feed.gap()
    node.settle()
    ana.drain()
    node.publish()
    assert ana.told() == [*STARTED, gap("a-0", "b-1", "b-0", "conflated 0"), "b-1"]


def test_a_reader_may_lag_while_the_feed_reads_history() -> None:
    node = Node(SlowReaderPolicy.DROP)
    ana, bob = node.join(), node.join()
    node.lose()
    node.publish()
    ana.congest()
    node.settle()
    ana.drain()
    node.publish()
    assert ana.told() == [*STARTED, gap("a-0", "a-3", "a-2", "slow 2"), "a-3"]
    assert bob.told() == [*STARTED, *ids(1, 3)]


def test_a_reader_that_turns_live_with_a_full_writer_lags_at_once() -> None:
    node = Node(SlowReaderPolicy.DROP)
    wire = Wire()
    wire.full = True  # its owner has said so before it joined
    ana = node.join(wire=wire)
    node.publish(2)
    assert ana.told() == STARTED
    ana.drain()
    assert ana.told() == [*STARTED, gap("a-0", "a-3", "a-2", "slow 2")]


def test_a_reader_catching_up_whose_full_writer_was_told_of_before_it_turns_live_lags_at_once() -> (
    None
):
    node = Node(SlowReaderPolicy.DISCONNECT, past=1)
    ana = node.join(Earliest(), Wire(room=2))
    node.lose()
    node.answer()  # shows that an announcement was lost, and fills the writer
    ana.congest()
    assert ana.state is SubscriberState.CATCHING_UP
    node.settle()  # the line comes to where the reader stands
    assert ana.wire.errors == []
    node.publish()
    assert len(ana.wire.errors) == 1
    assert ana.told() == ["subscribed a-0, head a-2", *ids(1, 2)]


# Starting


@pytest.mark.parametrize(
    "since", [Latest(), Earliest(), Last(1), at(1), at(0), at(9), at(3, "old")]
)
@pytest.mark.parametrize("held", [False, True])
def test_subscribed_comes_once_and_before_everything_else(since: Since, *, held: bool) -> None:
    node = Node(past=2, keep=1)
    if held:
        node.join(Earliest())  # keeps a tail
    node.publish()
    ana = node.join(since)
    node.publish()
    node.settle(limit=1)
    node.publish()
    told = ana.told()
    assert told[0].startswith("subscribed")
    assert [line.startswith("subscribed") for line in told].count(True) == 1
    assert told[-1] == "a-5"


def test_recovered_readers_are_counted() -> None:
    node = Node(past=3, keep=2)
    for since in (at(1), at(2), at(0), at(7), Earliest(), Latest()):
        node.join(since)
    node.settle()
    assert node.counters.resumed == 2


def test_a_page_that_comes_when_the_writer_is_full_is_asked_for_again() -> None:
    node = Node(past=3)
    ana = node.join(Earliest())
    ana.wire.full = True  # another channel's replay has filled it
    node.answer()
    assert ana.told() == []
    ana.wire.full = False
    ana.drain()
    node.settle()
    assert ana.told() == ["subscribed a-0, head a-3", *ids(1, 3)]


def test_series_kept_for_lagging_readers_are_bounded_in_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recent_module, "KEYS_BYTES", 4)
    node = Node(SlowReaderPolicy.LATEST)
    ana = node.join()
    ana.congest()
    for subject in ("x", "y", "z"):
        node.publish(subject=subject)
    ana.drain()
    assert ana.told() == [*STARTED, gap("a-0", "a-4", "a-0", "conflated 1"), *ids(2, 3)]
