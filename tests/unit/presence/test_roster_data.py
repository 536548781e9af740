"""presence/roster.py, rule 5: all nodes agree on the data of members."""

import random

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from eventhub.presence.member_data import PresenceChange
from eventhub.presence.roster import HEARTBEAT, SILENCE, Roster
from tests.unit.presence.nodes import Nodes

PLACE = ("chat.a", "ana")
NOON = 1_795_377_960_000
HERE, AWAY = b'{"status":"here"}', b'{"status":"away"}'


def come(roster: Roster, data: bytes, tab: str = "tab", time: int = NOON) -> None:
    roster.join(*PLACE)
    roster.set_data(PLACE, tab, data, time)


def states(nodes: Nodes) -> list[bytes | None]:
    return [roster.state(PLACE) for roster in nodes.rosters.values()]


def test_data_is_the_same_on_all_nodes_and_each_change_is_reported_once() -> None:
    nodes = Nodes(3)
    come(nodes.rosters["n0"], HERE)
    nodes.tick(100)
    assert states(nodes) == [HERE] * 3
    assert nodes.rosters["n0"].set_data(PLACE, "tab", AWAY, NOON) == [
        PresenceChange(*PLACE, HERE, AWAY)
    ]
    nodes.tick(100)
    assert nodes.rosters["n0"].leave(*PLACE, "tab") == [PresenceChange(*PLACE, AWAY, None)]
    nodes.tick(100)
    assert nodes.changes["n1"] == [
        PresenceChange(*PLACE, None, HERE),
        PresenceChange(*PLACE, HERE, AWAY),
        PresenceChange(*PLACE, AWAY, None),
    ]


def test_data_that_is_set_again_is_no_change_for_watchers_and_newer_for_nodes() -> None:
    nodes = Nodes()
    come(nodes.rosters["n0"], HERE)
    nodes.tick(100)
    come(nodes.rosters["n1"], AWAY)
    nodes.tick(100)
    assert states(nodes) == [AWAY] * 2
    changes = nodes.rosters["n0"].set_data(PLACE, "tab", HERE, NOON)
    assert changes == [PresenceChange(*PLACE, AWAY, HERE)]
    nodes.tick(100)
    assert states(nodes) == [HERE] * 2
    assert nodes.rosters["n0"].set_data(PLACE, "tab", HERE, NOON) == []


def test_a_member_of_two_nodes_has_the_data_of_the_other_when_one_leaves_or_is_lost() -> None:
    for lost in (False, True):
        nodes = Nodes(3)
        come(nodes.rosters["n0"], HERE)
        nodes.tick(100)
        come(nodes.rosters["n1"], AWAY)
        nodes.tick(100)
        assert states(nodes) == [AWAY] * 3
        if lost:
            del nodes.rosters["n1"]
            nodes.pass_by(SILENCE + HEARTBEAT)
        else:
            nodes.rosters["n1"].leave(*PLACE, "tab")
            nodes.tick(100)
        assert set(states(nodes)) == {HERE}
        assert nodes.changes["n2"][-1] == PresenceChange(*PLACE, AWAY, HERE)


def test_a_subscription_without_data_does_not_change_that_of_its_member() -> None:
    nodes = Nodes()
    come(nodes.rosters["n0"], HERE)
    nodes.tick(100)
    assert nodes.rosters["n1"].join(*PLACE) == []
    nodes.tick(100)
    assert states(nodes) == [HERE] * 2


def test_removed_data_is_removed_on_all_nodes() -> None:
    nodes = Nodes()
    come(nodes.rosters["n0"], HERE)
    nodes.tick(100)
    nodes.rosters["n0"].set_data(PLACE, "tab", b"", NOON)
    nodes.tick(100)
    assert states(nodes) == [b""] * 2


def test_several_updates_between_two_messages_are_one_row() -> None:
    nodes = Nodes()
    come(nodes.rosters["n0"], HERE)
    for number in range(100):
        nodes.rosters["n0"].set_data(PLACE, "tab", b'{"n":%d}' % number, NOON)
    (message,) = nodes.rosters["n0"].messages(nodes.now)
    assert orjson.loads(message)["data"] == [[*PLACE, NOON + 100, {"n": 99}]]


def test_a_member_without_data_costs_no_byte_more_on_the_wire() -> None:
    nodes = Nodes()
    nodes.rosters["n0"].join(*PLACE)
    (message,) = nodes.rosters["n0"].messages(nodes.now)
    assert message == b'{"node":"n0","number":1,"news":[["chat.a","ana",true]]}'


def test_a_node_that_starts_later_gets_all_data_in_bounded_parts() -> None:
    nodes = Nodes(1)
    for number in range(200):
        place = "chat.a", f"m{number}"
        nodes.rosters["n0"].join(*place)
        nodes.rosters["n0"].set_data(place, "tab", b'{"n":"%b"}' % (b"x" * 1000), NOON)
    nodes.rosters["late"], nodes.changes["late"] = Roster("late"), []
    nodes.exchange()
    assert nodes.rosters["late"].listed("chat.a") == nodes.rosters["n0"].listed("chat.a")


def test_all_that_is_gone_leaves_no_data_behind() -> None:
    nodes = Nodes()
    come(nodes.rosters["n0"], HERE)
    come(nodes.rosters["n1"], AWAY)
    nodes.exchange()
    nodes.rosters["n0"].leave(*PLACE, "tab")
    nodes.exchange()
    del nodes.rosters["n1"]
    nodes.pass_by(SILENCE + HEARTBEAT)
    assert len(nodes.rosters["n0"]._data) == 0


def test_what_changes_between_two_messages_of_one_broadcast_is_told_the_next_time() -> None:
    sender, hearer = Roster("n0"), Roster("n1")
    for roster in (sender, hearer):
        list(roster.messages(0))
    for member in ("rui", "zoe"):
        sender.join("chat.a", member)
    sender.on_message(b'{"node":"n1","ask":null}', 0)
    told = sender.messages(0)
    hearer.on_message(next(told), 0)
    come(sender, HERE)  # while the first message is on its way
    for message in told:
        hearer.on_message(message, 0)
    sender.leave(*PLACE, "tab")
    for message in sender.messages(10):
        hearer.on_message(message, 10)
    assert hearer.members("chat.a") == ["rui", "zoe"]


def _steps(chance: random.Random, nodes: Nodes, clocks: dict[str, int], lost: float) -> None:
    """Tabs come, say something and go, on nodes whose clocks differ, and messages are lost."""
    tabs: list[tuple[str, str]] = []
    said = 0
    for number in range(chance.randrange(1, 60)):
        what = chance.random()
        if what < 0.3 or not tabs:
            tabs.append((chance.choice(list(nodes.rosters)), f"tab{number}"))
            nodes.rosters[tabs[-1][0]].join(*PLACE)
        elif what < 0.7:
            name, tab = chance.choice(tabs)
            said += 1
            data = b'{"n":%d}' % said if chance.random() < 0.9 else b""
            roster, time = nodes.rosters[name], nodes.now + clocks[name]
            nodes.changes[name] += roster.set_data(PLACE, tab, data, time)
            assert roster.state(PLACE) == data, "older than what was seen"
        else:
            name, tab = tabs.pop(chance.randrange(len(tabs)))
            nodes.rosters[name].leave(*PLACE, tab)
        if chance.random() < 0.7:
            nodes.tick(chance.choice([10, 300, 3000]), lost, chance)


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32), lost=st.sampled_from([0.0, 0.1, 0.5]))
def test_whatever_is_lost_all_nodes_agree_and_an_update_that_all_hear_of_is_shown(
    seed: int, lost: float
) -> None:
    chance = random.Random(seed)
    nodes = Nodes(3)
    clocks = {name: chance.choice([0, 50, 3_600_000]) for name in nodes.rosters}
    _steps(chance, nodes, clocks, lost)
    for _ in range(12):
        nodes.tick(HEARTBEAT)
    assert len(set(states(nodes))) == 1
    for name, roster in nodes.rosters.items():
        roster.join(*PLACE)
        roster.set_data(PLACE, "last", b'{"by":"%b"}' % name.encode(), nodes.now + clocks[name])
        nodes.tick(100)
        assert set(states(nodes)) == {b'{"by":"%b"}' % name.encode()}
