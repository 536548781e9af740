"""brokers/redis/channel_list.py: names from sorted sets of many slots, and their summaries."""

import asyncio
from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest

from eventhub.brokers.redis import channel_list
from eventhub.brokers.redis.channel_list import NAMES_OF_A_SLOT, SETS, RedisChannelList
from eventhub.brokers.redis.codec import CHANNELS, NAMES, SLOTS, KeyNames, slot
from eventhub.common.channel_pattern import ChannelPattern
from eventhub.common.sorted_names import SCAN
from eventhub.errors import UnknownChannel
from eventhub.events.channel_types import Retention
from eventhub.events.event import ChannelPage, ChannelSummary, Position

NOW = 100_000


@cache
def cluster() -> KeyNames:
    """Their tags take a while."""
    return KeyNames("p", 0, cluster=True)


class Servers:
    """Names by slot, and summaries. Some slots have moved: only their own tag finds them."""

    def __init__(self, keys: KeyNames, summaries: Mapping[str, list[Any]]) -> None:
        self.keys, self.summaries = keys, summaries
        self.sets: dict[str, list[str]] = {}
        for name in sorted(summaries):
            self.sets.setdefault(keys.channels(name), []).append(name)
        self.moved: set[str] = set()
        self.asked: list[tuple[Any, ...]] = []

    async def request(self, channel: str, *command: Any) -> Any:
        self.asked.append((channel, *command))
        _, sha, number, first, *rest = command
        if sha == CHANNELS.sha:
            name = rest[-1]
            names = self.keys
            expected = names.metadata, names.log, names.epoch, names.channels
            assert [first, *rest[:-1]] == [key(name) for key in expected]
            assert (number, channel) == (4, name)
            return self.summaries[name]
        assert (sha, number) == (NAMES.sha, 1)
        assert first == self.keys.channels_of(channel)
        low, high, most, *others = rest
        assert high.endswith("\x7f")
        found: list[str] = []
        reached: list[str] = []
        elsewhere = []
        for place, key in enumerate([first, *others], 1):
            if others and key in self.moved:
                elsewhere.append(place)
                continue
            fitting = [name for name in self.sets.get(key, []) if fits(name, low, high)][:most]
            found += fitting
            reached += fitting[most - 1 :]
        return [*map(encoded, (found, reached)), elsewhere]

    def reader(self, events: int = 10, age: int | None = None) -> RedisChannelList:
        def retention(channel: str) -> Retention:
            if channel.startswith("gone."):
                raise UnknownChannel(channel)
            return Retention(events, age)

        return RedisChannelList(self.keys, self.request, retention)

    def read(self, pattern: str = ">", after: str = "", limit: int = 1000) -> ChannelPage:
        return asyncio.run(self.reader().read(ChannelPattern(pattern), after, limit, NOW))

    def names(self, pattern: str = ">", limit: int = 1000) -> list[str]:
        found: list[str] = []
        after: str | None = ""
        while after is not None:
            page = self.read(pattern, after, limit)
            assert page.next is None or page.next > after
            found += [summary.channel for summary in page.channels]
            after = page.next
        return found


def fits(name: str, low: str, high: str) -> bool:
    begins = low == "-" or (name > low[1:] if low[0] == "(" else name >= low[1:])
    return begins and name < high[1:]


def encoded(names: list[str]) -> list[bytes]:
    return [name.encode() for name in names]


def summary(offset: int = 7, time: int = NOW, events: int = 3) -> list[Any]:
    return [b"e", b"%d-%d" % (offset, time), events]


def servers(*names: str, keys: KeyNames | None = None) -> Servers:
    return Servers(keys or cluster(), {name: summary() for name in names})


def test_names_of_all_slots_of_a_cluster_are_one_list() -> None:
    channels = [f"iot.c{number:04d}" for number in range(3000)]
    found = servers(*channels)
    assert len(found.sets) > 1000
    assert found.names() == channels
    assert found.names(limit=700) == channels
    assert found.names("iot.*.x") == []
    scripts = [asked for asked in found.asked if asked[2] == NAMES.sha]
    assert {asked[7] for asked in scripts} == {NAMES_OF_A_SLOT}
    assert max(len(asked) for asked in scripts) == 7 + SETS


def test_a_slot_with_many_names_makes_pages_short_and_loses_none() -> None:
    crowded = [f"a.{number:02d}" for number in range(50)]
    found = servers("b.1", "c.1", *crowded)
    found.sets = {cluster().channels_of(cluster().tags[5]): [*crowded, "c.1"]}
    found.sets[cluster().channels_of(cluster().tags[9000])] = ["b.1"]
    page = found.read(limit=1000)
    assert [each.channel for each in page.channels] == crowded[:NAMES_OF_A_SLOT]
    assert page.next == crowded[NAMES_OF_A_SLOT - 1]
    assert found.names() == [*crowded, "b.1", "c.1"]


def test_a_slot_that_has_moved_is_asked_for_by_itself() -> None:
    found = servers("iot.a", "iot.b", "iot.c")
    found.moved = {cluster().channels("iot.b")}
    assert found.names() == ["iot.a", "iot.b", "iot.c"]
    tag = cluster().tags[slot("iot.b")]
    assert [asked[0] for asked in found.asked if len(asked) == 8] == [tag]


def test_a_single_server_is_asked_once_for_a_page() -> None:
    keys = KeyNames("p", 0)
    found = servers(*(f"iot.{number:04d}" for number in range(20)), keys=keys)
    assert len(found.names("iot.*")) == 20
    (asked,) = [asked for asked in found.asked if asked[2] == NAMES.sha]
    assert asked[4:] == ("p:channels", "[iot.", "(iot.\x7f", SCAN + 1)


@pytest.mark.parametrize(
    ("pattern", "after", "low"),
    [
        (">", "", "-"),
        (">", "a", "(a"),
        ("b.>", "", "[b."),
        ("b.>", "a", "[b."),
        ("b.>", "b.5", "(b.5"),
        ("b.>", "c", "(c"),
    ],
)
def test_names_are_read_from_the_later_of_prefix_and_after(
    pattern: str, after: str, low: str
) -> None:
    found = servers("a.1", "b.5", "b.6", "c.1", keys=KeyNames("p", 0))
    page = found.read(pattern, after)
    assert found.asked[0][5] == low
    covers = ChannelPattern(pattern).covers
    expected = [name for name in ("a.1", "b.5", "b.6", "c.1") if name > after and covers(name)]
    assert [each.channel for each in page.channels] == expected


def test_a_page_that_looked_at_enough_names_says_where_it_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(channel_list, "SCAN", 3)
    found = servers("a.x", "b.y", "c.x", "d.x", "e.x", keys=KeyNames("p", 0))
    page = found.read("*.x")
    assert ([each.channel for each in page.channels], page.next) == (["a.x", "c.x"], "c.x")
    assert found.names("*.x") == ["a.x", "c.x", "d.x", "e.x"]


def test_a_summary_has_the_newest_event_and_as_many_as_are_retained() -> None:
    found = Servers(KeyNames("p", 0), {"a.b": summary(12, 55, 11)})
    assert found.read().channels == [ChannelSummary("a.b", Position("e", 12), 55, 10)]


@pytest.mark.parametrize(
    ("channel", "answer", "events", "age"),
    [
        ("a.b", [], 10, None),
        ("a.b", [b"e", b"", 0], 10, None),
        ("a.b", summary(), 0, None),
        ("gone.b", summary(), 10, None),
        ("a.b", summary(time=NOW - 51), 10, 50),
    ],
)
def test_channels_without_retained_events_have_no_summary(
    channel: str, answer: list[Any], events: int, age: int | None
) -> None:
    found = Servers(KeyNames("p", 0), {channel: answer})
    page = asyncio.run(found.reader(events, age).read(ChannelPattern(">"), "", 10, NOW))
    assert page == ChannelPage([], None)


def test_an_event_that_is_just_young_enough_is_retained() -> None:
    found = Servers(KeyNames("p", 0), {"a.b": summary(time=NOW - 50)})
    page = asyncio.run(found.reader(10, 50).read(ChannelPattern(">"), "", 10, NOW))
    assert [each.time for each in page.channels] == [NOW - 50]


def test_each_slot_of_a_cluster_has_a_set() -> None:
    assert len({cluster().channels_of(tag) for tag in cluster().tags}) == SLOTS
    for channel in ("chat.a", "iot.b"):
        tag = cluster().channels(channel).partition("{")[2].rstrip("}")
        assert slot(tag) == slot(channel)
