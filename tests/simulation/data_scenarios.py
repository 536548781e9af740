"""Scenarios for rules of the data of members (`presence/member_data.py`)."""

from tests.simulation.client import Client
from tests.simulation.scenario import Scenario
from tests.simulation.scenarios import DROP


def clock_behind() -> Scenario:
    """A clock is behind. What is said at its node is newer than what was heard there."""

    def act(world: Scenario) -> None:
        second = _two_of_one_member(world, -60_000)
        second.update(DROP)
        world.pass_by(1.0)
        _check_last_word(world)

    return Scenario(act)


def words_of_two_sides() -> Scenario:
    """Two nodes do not hear each other. Of a member that is on both, the last word wins."""

    def act(world: Scenario) -> None:
        second, (one, other) = _two_of_one_member(world, 0), world.nodes
        one.broker.unheard.add(other.name)
        other.broker.unheard.add(one.name)
        for _ in range(8):
            world.clients[1].update(DROP)
        world.pass_by(1.0)
        second.update(DROP)
        world.pass_by(1.0)
        one.broker.heal()
        other.broker.heal()
        world.pass_by(5.0)
        _check_last_word(world)

    return Scenario(act)


def words_of_a_lost_node() -> Scenario:
    """The node dies where the newest word of a member was said. The one before it is shown."""

    def act(world: Scenario) -> None:
        _two_of_one_member(world, 0)
        first = min(world.words.told, key=world.words.age)
        world.nodes[1].die()
        world.clients[4].unsubscribe(DROP)
        world.clients[4].disconnect()
        world.pass_by(10.0)
        shown = dict(world.nodes[0].hub.nodes.listed(DROP))["m1"]
        assert shown == first, f"{shown!r} is that of a dead node"

    return Scenario(act)


def _two_of_one_member(world: Scenario, skew: int) -> Client:
    """A member is on two nodes, the second of which has a wrong clock. Returns its client there."""
    world.words.spoken = True
    world.connect(1, DROP)
    other = world.node()
    other.skew, other.skewed = skew, skew != 0
    world.nodes[0].stopping = True
    second = world.connect(4, DROP)
    world.nodes[0].stopping = False
    world.pass_by(1.0)
    assert second.line is not None
    assert (second.line.node, second.member) == (other, world.clients[1].member)
    return second


def _check_last_word(world: Scenario) -> None:
    last = max(world.words.told, key=world.words.age)
    for node in world.nodes:
        shown = dict(node.hub.nodes.listed(DROP))["m1"]
        assert shown == last, f"{node.name} shows {shown!r}, not {last!r}"


DATA_SCENARIOS = [clock_behind, words_of_two_sides, words_of_a_lost_node]
