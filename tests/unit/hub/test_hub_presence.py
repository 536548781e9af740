"""A hub's members, its watchers, and messages of other nodes."""

import orjson
import pytest

from eventhub.presence.notifier import PresenceWatchers
from eventhub.presence.roster import Roster
from tests.unit.hub.hub_node import Node, fault, run, until


def test_readers_that_are_disconnected_together_all_leave_presence() -> None:
    async def scenario(node: Node) -> None:
        wires = [node.subscribe("disconnect.a", member=f"m{number}") for number in range(3)]
        await until(lambda: all(wire.told("subscribed") for wire in wires))
        for wire in wires:
            wire.full = True
            node.hub.congested(wire.subscribers[0])
        await node.publish("disconnect.a", "1")
        await until(lambda: all(wire.failed for wire in wires))
        assert [wire.failed for wire in wires] == [["slow_consumer"]] * 3
        assert node.hub.members("disconnect.a") == []
        node.hub.congested(wires[0].subscribers[0])
        node.hub.drained(wires[0].subscribers[0])

    run(scenario)


def test_watchers_are_sent_joins_and_leaves() -> None:
    async def scenario(node: Node) -> None:
        ana = node.subscribe("drop.a", member="ana")
        assert orjson.loads(orjson.dumps(node.hub.watch(ana.subscribers[0]))) == {
            "count": 1,
            "members": [{"id": "ana"}],
        }
        tabs = [node.subscribe("drop.a", member="bob") for _ in range(2)]
        node.subscribe("drop.a")  # only watches
        assert node.hub.members("drop.a") == ["ana", "bob"]
        await until(lambda: ana.told("join") == 1)
        node.hub.unsubscribe(tabs[0].subscribers[0])
        assert not node.hub.nodes._watchers.due, "bob is still there"
        node.hub.unsubscribe(tabs[1].subscribers[0])
        assert node.hub.members("drop.a") == ["ana"]
        await until(lambda: ana.told("leave") == 1)

    run(scenario)


def test_a_watcher_whose_writer_is_full_gets_the_members_when_it_has_drained() -> None:
    async def scenario(node: Node) -> None:
        stuck, ana = (
            node.subscribe("drop.a", member="stuck"),
            node.subscribe("drop.a", member="ana"),
        )
        for wire in (stuck, ana):
            wire.subscribers[0].watching = True
            node.hub.watch(wire.subscribers[0])
        stuck.full = True
        node.subscribe("drop.a", member="bob")
        await until(lambda: ana.told("join") == 1)
        assert (stuck.told("join"), stuck.told("presence"), stuck.failed) == (0, 0, [])
        stuck.full = False
        node.hub.drained(stuck.subscribers[0])
        await until(lambda: stuck.told("presence") == 1)

    run(scenario)


def test_an_error_for_the_watchers_of_one_channel_costs_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario(node: Node) -> None:
        bad, good = node.subscribe("drop.a"), node.subscribe("drop.b")
        for wire in (bad, good):
            node.hub.watch(wire.subscribers[0])
        await until(lambda: bad.told("subscribed") == good.told("subscribed") == 1)
        monkeypatch.setattr(bad, "write", fault)
        node.subscribe("drop.a", member="ana")
        node.subscribe("drop.b", member="ana")
        await until(lambda: good.told("join") == 1)

    run(scenario)


@pytest.mark.parametrize(
    "fault",
    [
        OverflowError("too large"),
        ValueError("of another version"),
        ZeroDivisionError("a fault of ours"),
    ],
)
def test_whatever_a_listener_raises_the_hub_goes_on(fault: Exception) -> None:
    def hear(_: bytes) -> None:
        raise fault

    async def scenario(node: Node) -> None:
        node.hub.nodes.listen(b"topic", hear)
        node.hub.nodes.on_message(b"topic other 1")

    run(scenario)


def test_whatever_reading_a_roster_raises_the_hub_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(node: Node) -> None:
        monkeypatch.setattr(Roster, "on_message", fault)
        node.hub.nodes.on_message(
            b'{"node":"n2","number":1,"part":0,"last":true,"rooms":{"drop.a":["ana"]}}'
        )
        assert node.hub.members("drop.a") == []

    run(scenario)


def test_an_error_over_members_of_other_nodes_does_not_end_the_hub(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario(node: Node) -> None:
        monkeypatch.setattr(PresenceWatchers, "on_change", fault)
        node.hub.nodes.on_message(
            b'{"node":"n2","number":1,"part":0,"last":true,"rooms":{"drop.a":["ana"]}}'
        )
        assert node.hub.members("drop.a") == ["ana"]

    run(scenario)


@pytest.mark.parametrize(
    "message",
    [
        b"nonsense",
        b"[]",
        b'{"node":["x"]}',
        b'{"node":"x","number":1,"rooms":3,"part":0,"last":true}',
        b'"x"',
    ],
)
def test_a_broadcast_that_no_node_sent_is_ignored(message: bytes) -> None:
    async def scenario(node: Node) -> None:
        node.hub.nodes.on_message(message)
        wire = node.subscribe("drop.a")
        await until(lambda: wire.told("subscribed") == 1)

    run(scenario)
