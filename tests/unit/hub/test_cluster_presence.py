"""cluster.py: when presence is broadcast, told to watchers and forgotten."""

import asyncio
from typing import Any

import pytest

from eventhub.errors import BrokerUnavailable
from eventhub.hub.cluster import GATHER_SECONDS, PRESENCE_SECONDS, REST, TURN_SECONDS
from eventhub.presence.roster import SILENCE
from tests.harness.virtual_time import in_virtual_time, turns
from tests.harness.wire import Wire
from tests.unit.hub.cluster_node import LIST, Node, subscriber


@in_virtual_time
async def test_the_changes_of_a_moment_are_broadcast_together() -> None:
    node = Node()
    async with node.running():
        await asyncio.sleep(PRESENCE_SECONDS)
        await turns()
        assert [message.get("ask", "no question") for message in node.presence()] == [
            None,
            "no question",
        ]
        ana = subscriber(member="ana")
        for each in (ana, subscriber(member="bob"), subscriber(member="bob"), subscriber()):
            node.cluster.join(each)
        await asyncio.sleep(PRESENCE_SECONDS * 0.9)
        assert node.presence() == []
        await asyncio.sleep(PRESENCE_SECONDS * 0.2)
        (joined,) = node.presence()
        assert joined["news"] == [["chat.a", "ana", True], ["chat.a", "bob", True]]
        assert node.cluster.members("chat.a") == ["ana", "bob"]
        node.cluster.leave(subscriber())
        node.cluster.leave(subscriber(member="bob"))
        node.cluster.leave(ana)
        await asyncio.sleep(PRESENCE_SECONDS)
        (left,) = node.presence()
        assert left["news"] == [["chat.a", "ana", False]]
        assert node.cluster.members("chat.a") == ["bob"]


@in_virtual_time
async def test_a_broker_that_is_away_is_tried_again_and_any_other_error_ends_it() -> None:
    node = Node()
    node.failure = BrokerUnavailable("away")
    async with node.running() as attending:
        await asyncio.sleep(3 * PRESENCE_SECONDS)
        assert node.sent == []
        node.failure = None
        node.cluster.join(subscriber(member="ana"))
        await asyncio.sleep(1.1 * PRESENCE_SECONDS)
        assert [message["news"] for message in node.presence() if "news" in message] == [
            [["chat.a", "ana", True]]
        ]
        node.failure = ZeroDivisionError()
        node.cluster.join(subscriber(member="bob"))
        await asyncio.sleep(2 * PRESENCE_SECONDS)
        assert isinstance(attending.exception(), ZeroDivisionError)


@in_virtual_time
async def test_the_members_of_a_silent_node_are_forgotten_in_turns_that_are_short() -> None:
    node = Node()
    wire = Wire()
    watcher = subscriber(wire=wire)
    node.cluster.watch(watcher)
    members = [f"m{number}" for number in range(10)]
    node.hear("n2", **LIST, rooms={"chat.a": members})
    assert sorted(node.cluster.members("chat.a")) == members
    async with node.running():
        for _ in range(SILENCE // 1000 + 1):
            await asyncio.sleep(1)
            node.hear("n1", number=0)  # its own
        await turns()
        await asyncio.sleep(2 * PRESENCE_SECONDS)
    assert node.cluster.members("chat.a") == []
    assert node.cluster.others == set()
    assert (wire.told("join"), wire.told("leave")) == (10, 10)


@in_virtual_time
async def test_others_have_their_turn_while_many_members_are_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    node = Node()
    left: list[str] = []

    def on_change(change: Any) -> None:
        left.append(change.member)
        node.spent += TURN_SECONDS / 2 + 0.0001

    node.hear("n2", **LIST, rooms={"chat.a": ["a", "b", "c", "d", "e"]})
    node.spent = SILENCE / 1000 + 1
    node.hear("n1", number=0)
    # its own message showed that this node had heard nothing, so the time begins anew
    for _ in range(4):
        node.spent += 2
        node.hear("n1", number=0)
    monkeypatch.setattr(node.cluster._watchers, "on_change", on_change)
    seen: list[int] = []
    async with node.running():
        await asyncio.sleep(PRESENCE_SECONDS)
        for _ in range(50):
            seen.append(len(left))
            await asyncio.sleep(0)
    assert len(left) == 5
    assert {2, 4, 5} <= set(seen)
    assert not {1, 3} & set(seen)


@in_virtual_time
async def test_watchers_are_told_a_moment_after_the_first_change_of_all_since() -> None:
    node = Node()
    wire = Wire()
    node.cluster.watch(subscriber(wire=wire))
    async with node.running():
        await turns()
        node.cluster.join(subscriber(member="ana"))
        await asyncio.sleep(GATHER_SECONDS * 0.9)
        node.cluster.join(subscriber(member="bob"))
        assert wire.data == []
        await asyncio.sleep(GATHER_SECONDS * 0.2)
        assert [len(wire.data), wire.told("join")] == [1, 2]
        await asyncio.sleep(GATHER_SECONDS * 5)
        assert len(wire.data) == 1
        node.cluster.leave(subscriber(member="ana"))
        await asyncio.sleep(2 * GATHER_SECONDS)
    assert wire.messages[-1] == {"type": "leave", "channel": "chat.a", "member": {"id": "ana"}}


@in_virtual_time
async def test_a_watcher_that_left_is_told_nothing_and_one_that_was_full_is_told_all() -> None:
    node = Node()
    wires = [Wire(), Wire()]
    gone, full = (subscriber(wire=wire) for wire in wires)
    for each in (gone, full):
        node.cluster.watch(each)
    wires[1].full = True
    async with node.running():
        node.cluster.unwatch(gone)
        node.cluster.join(subscriber(member="ana"))
        await asyncio.sleep(2 * GATHER_SECONDS)
        assert wires[0].data == wires[1].data == []
        wires[1].full = False
        node.cluster.drained(full)
        await asyncio.sleep(2 * GATHER_SECONDS)
    assert wires[0].data == []
    assert wires[1].told("presence") == 1


class Heavy(Wire):
    """A writer that keeps its process busy."""

    def __init__(self, node: Node, seconds: float) -> None:
        super().__init__()
        self.node = node
        self.seconds = seconds
        self.at = 0.0

    def write(self, data: bytes) -> None:
        super().write(data)
        self.at = self.node.loop.time()
        self.node.spent += self.seconds


@in_virtual_time
async def test_after_much_work_for_watchers_most_of_the_time_is_left_to_others() -> None:
    node = Node()
    wires = [Heavy(node, seconds) for seconds in (TURN_SECONDS / 2, 2 * TURN_SECONDS, 0.0)]
    for number, wire in enumerate(wires):
        node.cluster.watch(subscriber(f"chat.{number}", wire=wire))
    async with node.running():
        await turns()
        for number in range(3):
            node.cluster.join(subscriber(f"chat.{number}", "ana"))
        await asyncio.sleep(1)
    assert wires[1].at == wires[0].at, "the first took less than a turn"
    assert wires[2].at - wires[1].at == pytest.approx(REST * 2.5 * TURN_SECONDS)


@in_virtual_time
async def test_an_error_over_watchers_is_a_fault_and_the_next_change_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    node = Node()
    wire = Wire()
    node.cluster.watch(subscriber(wire=wire))
    async with node.running():
        with monkeypatch.context() as patched:
            patched.setattr(node.cluster._watchers, "_tell_each", lambda *_: 1 / 0)
            node.cluster.join(subscriber(member="ana"))
            await asyncio.sleep(2 * GATHER_SECONDS)
        assert node.faults.noted == [("watchers", "ZeroDivisionError", {})]
        node.cluster.join(subscriber(member="bob"))
        await asyncio.sleep(2 * GATHER_SECONDS)
    assert wire.told("join") == 2


class Broken(Wire):
    """A writer that always fails."""

    def write(self, data: bytes) -> None:
        raise ZeroDivisionError


@in_virtual_time
async def test_a_watcher_that_cannot_be_written_to_is_ended() -> None:
    node = Node()
    broken = subscriber(wire=Broken())
    node.cluster.watch(broken)
    async with node.running():
        node.cluster.join(subscriber(member="ana"))
        await asyncio.sleep(2 * GATHER_SECONDS)
    assert node.failed == [broken]
    assert node.faults.noted == []
