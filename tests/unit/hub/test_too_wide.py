"""hub/too_wide.py: the readers of a pattern that covers too many channels, and when they return."""

import asyncio

import pytest

from eventhub.errors import TooManySubscriptions
from eventhub.hub import too_wide as module
from eventhub.hub.too_wide import TooWide
from tests.harness.virtual_time import in_virtual_time
from tests.unit.hub.hub_node import Node, run, until
from tests.unit.hub.test_patterns import Reader


def error(text: str = "too wide") -> TooManySubscriptions:
    return TooManySubscriptions(text)


def test_every_reader_is_told_and_one_that_comes_back_at_once_is_refused() -> None:
    async def scenario(node: Node) -> None:
        node.hub.patterns.most_channels = 2
        readers = [Reader(node, "drop.*") for _ in range(3)]
        others = Reader(node, "latest.*")
        await until(lambda: all(reader.ready for reader in [*readers, others]))
        for name in "abcd":
            await node.publish(f"drop.{name}", "1")
        told = ["too_many_subscriptions"]
        await until(lambda: all(reader.failed == told for reader in readers))
        with pytest.raises(TooManySubscriptions, match=r"'drop\.\*' covers more than 2 channels"):
            Reader(node, "drop.*")
        assert node.hub.feeds.get("drop.a") is None
        await node.publish("latest.x", "1")
        await until(lambda: others.got == ["latest.x=1"])

    run(scenario)


def test_a_subscriber_of_the_channel_that_was_too_much_is_served() -> None:
    async def scenario(node: Node) -> None:
        node.hub.patterns.most_channels = 1
        reader = Reader(node, "drop.*")
        await until(lambda: reader.ready)
        await node.publish("drop.a", "1")
        wire = node.subscribe("drop.b")
        await until(lambda: wire.told("subscribed") == 1)
        await node.publish("drop.b", "2")
        await until(lambda: reader.failed == ["too_many_subscriptions"])
        await until(lambda: wire.told("event") == 1)
        await node.publish("drop.b", "3")
        await until(lambda: wire.told("event") == 2)

    run(scenario)


@in_virtual_time
async def test_a_pattern_is_tried_again_after_its_time() -> None:
    patterns = TooWide(60.0)
    patterns.check("iot.*")
    patterns.add("iot.*", error("covers too many"))
    await asyncio.sleep(59)
    with pytest.raises(TooManySubscriptions, match="covers too many"):
        patterns.check("iot.*")
    patterns.check("chat.*")
    await asyncio.sleep(1)
    patterns.check("iot.*")


@in_virtual_time
async def test_the_oldest_pattern_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 2)
    patterns = TooWide(60.0)
    for pattern in ("a.*", "b.*", "c.*"):
        patterns.add(pattern, error())
    patterns.check("a.*")
    for pattern in ("b.*", "c.*"):
        with pytest.raises(TooManySubscriptions):
            patterns.check(pattern)


@in_virtual_time
async def test_a_pattern_that_was_tried_again_counts_from_then_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MOST", 2)
    patterns = TooWide(60.0)
    patterns.add("a.*", error())
    await asyncio.sleep(60)
    patterns.check("a.*")
    for pattern in ("b.*", "a.*", "c.*"):
        patterns.add(pattern, error())
    patterns.check("b.*")
    with pytest.raises(TooManySubscriptions) as refused:
        patterns.check("a.*")
    assert refused.value.limit == "pattern_channels"
