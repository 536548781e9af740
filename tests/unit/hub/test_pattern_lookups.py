"""What patterns cost: counts of look-ups, with a thousand patterns on a running hub."""

from itertools import product

import pytest

from eventhub.common.channel_pattern import ChannelPattern
from eventhub.common.pattern_index import PatternIndex
from eventhub.delivery.encoding import LineEncoding
from eventhub.delivery.feed import Feed
from eventhub.delivery.pattern_audience import PatternAudience
from eventhub.events.event import Event
from tests.unit.hub.hub_node import Node, run, until
from tests.unit.hub.test_patterns import Reader

DEEP = "drop." + ".".join("x" * 10)
"""A channel that more than a thousand patterns cover."""
COVERING = ["drop." + ".".join(tokens) for tokens in product("x*", repeat=10)][:1000]
OTHERS = [f"drop.other-{number}.>" for number in range(1000)]


class Counted:
    """Counts calls while a test runs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.index = self.fitting = self.delivered = 0
        covering, covers = PatternIndex.covering, ChannelPattern.covers
        deliver = PatternAudience.deliver

        def counted_covering(index: PatternIndex[object], channel: str) -> list[object]:
            self.index += 1
            return covering(index, channel)

        def counted_covers(pattern: ChannelPattern, other: str) -> bool:
            self.fitting += 1
            return covers(pattern, other)

        def counted_deliver(audience: PatternAudience, feed: Feed, event: object) -> None:
            self.delivered += 1
            deliver(audience, feed, event)  # type: ignore[arg-type]  # it is an event

        monkeypatch.setattr(PatternIndex, "covering", counted_covering)
        monkeypatch.setattr(ChannelPattern, "covers", counted_covers)
        monkeypatch.setattr(PatternAudience, "deliver", counted_deliver)

    def take(self) -> tuple[int, int, int]:
        """Look-ups in the tree of patterns, tests of one pattern, and audiences given an event."""
        found = self.index, self.fitting, self.delivered
        self.index = self.fitting = self.delivered = 0
        return found


class CountedFeeds(dict[str, Feed]):
    """The feeds of a node by channel."""

    asked = 0

    def get(self, channel: str, default: object = None) -> Feed | None:  # type: ignore[override]
        self.asked += 1
        return super().get(channel)


def test_a_thousand_patterns_that_cover_a_channel_cost_one_look_up_an_event(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario(node: Node) -> None:
        await node.publish(DEEP, "before")
        readers = [Reader(node, pattern) for pattern in COVERING]
        await until(lambda: all(reader.ready for reader in readers))
        feeds = node.hub.feeds
        feeds._feeds = counted = CountedFeeds(feeds._feeds)
        calls = Counted(monkeypatch)
        for number in range(3):
            counted.asked = 0
            await node.publish(DEEP, f"{number}")
            assert counted.asked == 1, "the feed of its channel"
        assert calls.take() == (0, 0, 3 * 1000), "no pattern is looked for, and each gets the event"
        await until(lambda: all(len(reader.got) == 3 for reader in readers))

    run(scenario)


def test_patterns_that_do_not_cover_a_channel_cost_neither_an_event_nor_a_birth_anything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario(node: Node) -> None:
        readers = [Reader(node, pattern) for pattern in OTHERS]
        mine = Reader(node, "drop.mine.*")
        await until(lambda: all(reader.ready for reader in [*readers, mine]))
        calls = Counted(monkeypatch)
        await node.publish("drop.alone", "1")
        await node.publish("drop.alone", "2")
        assert calls.take() == (1, 0, 0), "its birth is looked up once, and no pattern is tested"
        await node.publish("drop.mine.a", "1")
        await until(lambda: len(mine.got) == 1)
        births, tests, delivered = calls.take()
        assert (births <= 3, tests, delivered) == (True, 0, 1)
        await node.publish("drop.mine.a", "2", "3")
        await until(lambda: len(mine.got) == 3)
        assert calls.take() == (0, 0, 2)

    run(scenario)


def test_an_event_is_encoded_once_for_all_patterns_that_cover_its_channel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encoded: list[bytes] = []
    encode = LineEncoding.event

    def counted(encoding: LineEncoding, event: Event) -> bytes:
        encoded.append(event.data)
        return encode(encoding, event)

    async def scenario(node: Node) -> None:
        await node.publish(DEEP, "before")
        readers = [Reader(node, pattern) for pattern in COVERING[:100]]
        await until(lambda: all(reader.ready for reader in readers))
        monkeypatch.setattr(LineEncoding, "event", counted)
        await node.publish(DEEP, "1", "2")
        await until(lambda: all(len(reader.got) == 2 for reader in readers))
        await node.publish(DEEP, "2")
        await until(lambda: all(len(reader.got) == 3 for reader in readers))
        assert encoded == [b'"1"', b'"2"', b'"2"']

    run(scenario)
