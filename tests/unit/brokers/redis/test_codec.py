"""brokers/redis/codec.py: names of keys, and what is written and read."""

from eventhub.brokers.records import RecordReader
from eventhub.brokers.redis.announcement import announce
from eventhub.brokers.redis.codec import (
    DAY,
    PUBLISH,
    SLOTS,
    KeyNames,
    lifetimes,
    publish_arguments,
    read_page,
    slot,
)
from eventhub.events.channel_types import Retention
from eventhub.events.event import Event, NewEvent, Position


def test_slots_are_those_of_redis() -> None:
    assert (slot("123456789"), slot("chat.lobby")) == (
        12739,
        slot("chat.lobby"),
    )  # 0x31C3: the specification's own example


def test_everything_of_a_channel_is_in_its_slot() -> None:
    names = KeyNames("p", 0)
    named = (names.metadata("a.b"), names.log("a.b"), names.key("a.b", "k{x}"), names.topic("a.b"))
    assert {name[name.index("{") + 1 : name.index("}")] for name in named} == {"a.b"}


def test_all_channels_begin_with_one_epoch_and_in_a_cluster_with_that_of_their_slot() -> None:
    assert {KeyNames("p", 0).epoch(channel) for channel in ("a.b", "c.d")} == {"p:epoch"}
    names = KeyNames("p", 0, cluster=True)
    channels = [f"a.{number}" for number in range(500)]
    for channel in channels:
        key = names.epoch(channel)
        assert slot(key[key.index("{") + 1 : key.index("}")]) == slot(channel)
    assert (
        len({names.epoch(channel) for channel in channels})
        == len({slot(channel) for channel in channels})
        < SLOTS
    )


def test_metadata_outlive_the_log_and_what_is_kept_for_ever_never_expires() -> None:
    for age in (0, 1000, 10**9):
        log, metadata = lifetimes(Retention(10, age))
        assert age < log < metadata
        assert metadata > DAY
    assert lifetimes(Retention(10, None)) == (0, 0)
    assert lifetimes(Retention(0, None))[1] > 0


def test_an_announcement_is_as_many_events() -> None:
    events: list[Event] = []
    announce("c", b'abc 7 1000 50 16 51 4\n{"source":"s"}\n1\n"n"', events.append)
    assert events == [
        Event("c", "abc", 1000, 7, 50, b"1", {"source": "s"}),
        Event("c", "abc", 1001, 1000, 51, b'"n"', None),
    ]


def test_a_page_names_predecessors_across_a_jump() -> None:
    page = read_page(
        "c",
        [
            b"abc",
            1001,
            6,
            b"",
            b"7-50",
            b"\n1",
            b"",
            b"1000-51",
            b"\n2",
            b"7",
            b"1001-52",
            b"\n3",
            b"",
        ],
        RecordReader("redis"),
    )
    assert [(event.offset, event.previous, event.time) for event in page.events] == [
        (7, 6, 50),
        (1000, 7, 51),
        (1001, 1000, 52),
    ]
    assert (page.start, page.end, page.lost) == (Position("abc", 6), Position("abc", 1001), None)


def test_keys_are_declared_to_the_script() -> None:
    events = [NewEvent("c", b"1", 5, None, "k"), NewEvent("c", b"2", 6)]
    script, count, *rest = publish_arguments(
        KeyNames("p", 0), "c", events, Retention(3, None), 9, "PUBLISH"
    )
    assert script == PUBLISH.sha
    assert (count, *rest[4:6], rest[6:10]) == (6, "p:channels", "p:key:{c}:k", [9, 3, -1, 0])
    assert rest[-3:] == [6, b"\n2", ""]
