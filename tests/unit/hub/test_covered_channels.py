"""hub/covered_channels.py on a running hub: a reader that asks for too much is refused itself."""

import pytest

from eventhub.errors import EventHubError, TooManyChannels, TooManySubscriptions
from eventhub.events.event import Position
from eventhub.hub import patterns as patterns_module
from eventhub.hub.covered_channels import CoveredChannels
from tests.unit.hub.hub_node import Node, run, until
from tests.unit.hub.test_patterns import Reader


def names(*made_up: str) -> dict[str, Position]:
    return {f"drop.{name}": Position("k3x9", 1) for name in made_up}


def refused(node: Node, since: dict[str, Position]) -> EventHubError:
    with pytest.raises(EventHubError) as caught:
        Reader(node, "drop.*", since)
    return caught.value


def test_a_reader_that_names_too_many_channels_is_refused_and_nobody_else() -> None:
    async def scenario(node: Node) -> None:
        node.hub.patterns.most_channels = 3
        reader = Reader(node, "drop.*")
        await until(lambda: reader.ready)
        error = refused(node, names("a", "b", "c", "d"))
        assert isinstance(error, TooManySubscriptions)
        assert error.limit == "pattern_channels"
        assert "names 4 channels of 'drop.*'" in error.message
        assert node.hub.feeds.get("drop.a") is None
        await node.publish("drop.x", "1")
        await until(lambda: reader.got == ["drop.x=1"])

    run(scenario)


def test_a_refused_reader_leaves_no_audience_behind() -> None:
    async def scenario(node: Node) -> None:
        node.hub.patterns.most_channels = 1
        refused(node, names("a", "b"))
        assert not list(node.hub.patterns)

    run(scenario)


def test_channels_that_many_readers_make_up_do_not_count_as_channels_with_events() -> None:
    async def scenario(node: Node) -> None:
        node.hub.patterns.most_channels = 3
        first = Reader(node, "drop.*", names("a", "b", "c"))
        second = Reader(node, "drop.*", names("d", "e", "f"))
        third = Reader(node, "drop.*", names("f", "a"))
        error = refused(node, names("g"))
        assert isinstance(error, TooManyChannels)
        assert error.retry_after == 2 * patterns_module.LIST_SECONDS
        await node.publish("drop.x", "1")
        await node.publish("drop.y", "2")
        await node.publish("drop.a", "3")
        for reader in (first, second, third):
            await until(lambda reader=reader: len(reader.got) == 3)  # type: ignore[misc]
            assert sorted(reader.got) == ["drop.a=3", "drop.x=1", "drop.y=2"]

    run(scenario)


def test_channels_with_subscribers_and_without_events_do_not_count() -> None:
    async def scenario(node: Node) -> None:
        node.hub.patterns.most_channels = 1
        reader = Reader(node, "drop.*")
        await until(lambda: reader.ready)
        wires = [node.subscribe(f"drop.{number}") for number in range(3)]
        await until(lambda: all(wire.told("subscribed") for wire in wires))
        await node.publish("drop.2", "1")
        await until(lambda: reader.got == ["drop.2=1"])
        await until(lambda: wires[2].told("event") == 1)

    run(scenario)


def test_a_channel_that_a_reader_named_counts_from_its_first_event() -> None:
    async def scenario(node: Node) -> None:
        node.hub.patterns.most_channels = 2
        reader = Reader(node, "drop.*", names("a", "b"))
        await until(lambda: reader.ready)
        await node.publish("drop.a", "1")
        await node.publish("drop.b", "2")
        await until(lambda: len(reader.got) == 2)
        await node.publish("drop.c", "3")
        await until(lambda: reader.failed == ["too_many_subscriptions"])

    run(scenario)


def test_names_of_types_that_are_not_declared_take_no_room() -> None:
    async def scenario(node: Node) -> None:
        node.hub.patterns.most_channels = 1
        for number in range(4):
            Reader(node, ">", {f"nothing.{number}": Position("k3x9", 1)})
        Reader(node, ">", names("a"))

    run(scenario)


def test_channels_that_were_let_go_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns_module, "LIST_SECONDS", 0.0)

    async def scenario(node: Node) -> None:
        node.hub.patterns.most_channels = 1
        reader = Reader(node, "drop.*", names("a"))
        Reader(node, "drop.*", names("b"))
        await until(lambda: reader.ready)
        refused(node, names("c"))
        await until(lambda: node.hub.feeds.get("drop.a") is None)
        await until(lambda: node.hub.feeds.get("drop.b") is None)
        Reader(node, "drop.*", names("c"))

    run(scenario)


def test_a_named_channel_that_gets_an_event_makes_room_for_another_name() -> None:
    channels = CoveredChannels("drop.*", 2, 60.0)
    channels.name(["drop.a", "drop.b"])
    channels.name(["drop.c", "drop.d"])
    channels.name(["drop.d", "drop.a"])  # they count already
    with pytest.raises(TooManyChannels):
        channels.name(["drop.e"])
    channels.has_event("drop.a")
    channels.name(["drop.e"])
    with pytest.raises(TooManyChannels) as refused:
        channels.name(["drop.f"])
    assert refused.value.limit == "pattern_channels"


def test_with_one_channel_too_many_the_pattern_covers_too_much() -> None:
    channels = CoveredChannels("drop.*", 2, 60.0)
    for name in ("drop.a", "drop.b", "drop.a"):
        channels.born(name)
    with pytest.raises(TooManySubscriptions, match="covers more than 2 channels") as refused:
        channels.born("drop.c")
    assert refused.value.limit == "pattern_channels"
    channels.let_go("drop.a")
    channels.has_event("drop.c")
