"""presence/roster.py: members by the number of their subscriptions, and how nodes agree on them."""

import random
from collections import Counter
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from eventhub.hub.cluster import UNREADABLE
from eventhub.presence.broadcasts import BATCH
from eventhub.presence.member_data import PresenceChange
from eventhub.presence.other_node import ASK_AGAIN
from eventhub.presence.roster import HEARTBEAT, MEMBER_LENGTH, SILENCE, Roster
from tests.unit.presence.nodes import Nodes


def test_a_channel_without_joins_has_no_members() -> None:
    assert Roster("n1").members("chat.lobby") == []


def test_only_the_first_subscription_of_a_member_is_a_join() -> None:
    roster = Roster("n1")
    assert roster.join("chat.lobby", "ana")
    assert not roster.join("chat.lobby", "ana")
    assert roster.members("chat.lobby") == ["ana"]


def test_only_the_end_of_the_last_subscription_is_a_leave() -> None:
    roster = Roster("n1")
    roster.join("chat.lobby", "ana")
    roster.join("chat.lobby", "ana")
    assert not roster.leave("chat.lobby", "ana")
    assert roster.members("chat.lobby") == ["ana"]
    assert roster.leave("chat.lobby", "ana")
    assert roster.members("chat.lobby") == []


def test_members_are_listed_in_the_order_of_their_arrival() -> None:
    roster = Roster("n1")
    for member in ("cem", "ana", "bob", "cem"):
        roster.join("chat.lobby", member)
    assert roster.members("chat.lobby") == ["cem", "ana", "bob"]


def test_a_member_that_returns_is_listed_last() -> None:
    roster = Roster("n1")
    for member in ("ana", "bob"):
        roster.join("chat.lobby", member)
    roster.leave("chat.lobby", "ana")
    assert roster.join("chat.lobby", "ana")
    assert roster.members("chat.lobby") == ["bob", "ana"]


def test_channels_have_separate_members() -> None:
    roster = Roster("n1")
    assert roster.join("chat.a", "ana")
    assert roster.join("chat.b", "ana")
    assert roster.leave("chat.a", "ana")
    assert roster.members("chat.b") == ["ana"]


def test_a_returned_list_is_a_copy() -> None:
    roster = Roster("n1")
    roster.join("chat.lobby", "ana")
    roster.members("chat.lobby").clear()
    assert roster.members("chat.lobby") == ["ana"]


def test_a_channel_that_all_members_left_uses_no_memory() -> None:
    roster = Roster("n1")
    for number in range(100):
        roster.join(f"chat.{number}", "ana")
        roster.leave(f"chat.{number}", "ana")
    assert roster._members == roster._own == {}


def test_the_longest_member_id_is_that_of_the_protocol() -> None:
    assert MEMBER_LENGTH == 64


CHANNELS, MEMBERS = st.sampled_from(["chat.a", "chat.b"]), st.sampled_from(["ana", "bob", "cem"])


class Comings(RuleBasedStateMachine):
    """A roster, compared with a plain count."""

    def __init__(self) -> None:
        super().__init__()
        self.roster = Roster("n1")
        self.count = Counter[tuple[str, str]]()

    @rule(channel=CHANNELS, member=MEMBERS)
    def join(self, channel: str, member: str) -> None:
        self.count[channel, member] += 1
        assert bool(self.roster.join(channel, member)) == (self.count[channel, member] == 1)

    @precondition(lambda self: self.count.total() > 0)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        channel, member = data.draw(st.sampled_from(sorted(self.count)))
        self.count[channel, member] -= 1
        assert bool(self.roster.leave(channel, member)) == (self.count[channel, member] == 0)
        self.count += Counter()  # forget zeros

    @invariant()
    def members_are_those_with_a_subscription(self) -> None:
        for channel in ("chat.a", "chat.b"):
            assert set(self.roster.members(channel)) == {
                member for room, member in self.count if room == channel
            }


TestComings = Comings.TestCase
TestComings.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)


def test_a_member_of_one_node_is_present_on_all() -> None:
    nodes = Nodes(3)
    nodes.rosters["n0"].join("chat.a", "ana")
    nodes.tick(100)
    assert nodes.members() == [{"ana"}] * 3
    assert nodes.changes == {
        "n0": [],
        "n1": [PresenceChange("chat.a", "ana", None, b"")],
        "n2": [PresenceChange("chat.a", "ana", None, b"")],
    }


def test_a_member_on_two_nodes_joins_once_and_leaves_with_the_last() -> None:
    nodes = Nodes()
    assert nodes.rosters["n0"].join("chat.a", "ana")
    nodes.tick(100)
    assert not nodes.rosters["n1"].join("chat.a", "ana")
    nodes.tick(100)
    assert not nodes.rosters["n0"].leave("chat.a", "ana")
    nodes.tick(100)
    assert nodes.members() == [{"ana"}] * 2
    assert nodes.rosters["n1"].leave("chat.a", "ana")
    nodes.tick(100)
    assert nodes.members() == [set()] * 2
    assert nodes.changes["n0"] == [PresenceChange("chat.a", "ana", b"", None)]


def test_a_member_that_joins_and_leaves_between_two_messages_is_not_sent() -> None:
    nodes = Nodes()
    nodes.rosters["n0"].join("chat.a", "ana")
    nodes.rosters["n0"].leave("chat.a", "ana")
    before = nodes.sent
    nodes.tick(1)
    assert nodes.sent == before


def test_a_node_that_starts_later_gets_all_members() -> None:
    nodes = Nodes()
    for number in range(2 * BATCH + 1):
        nodes.rosters["n0"].join(f"chat.{number % 3}", f"m{number}")
    nodes.exchange()
    nodes.rosters["late"], nodes.changes["late"] = Roster("late"), []
    nodes.exchange()
    assert [len(nodes.rosters["late"].members(f"chat.{number}")) for number in range(3)] == [
        167,
        167,
        167,
    ]


def test_the_next_message_reveals_a_lost_one_and_it_is_repaired() -> None:
    nodes = Nodes()
    nodes.rosters["n0"].join("chat.a", "ana")
    list(nodes.rosters["n0"].messages(nodes.now))  # no node receives it
    assert nodes.members() == [{"ana"}, set()]
    nodes.exchange()
    assert nodes.members() == [{"ana"}] * 2


def test_members_of_a_silent_node_vanish_within_the_bound() -> None:
    nodes = Nodes()
    nodes.rosters["n0"].join("chat.a", "ana")
    nodes.exchange()
    del nodes.rosters["n0"]
    nodes.pass_by(SILENCE - HEARTBEAT)
    assert nodes.members() == [{"ana"}]
    nodes.pass_by(HEARTBEAT + 250)
    assert nodes.members() == [set()]
    assert nodes.changes["n1"][-1] == PresenceChange("chat.a", "ana", b"", None)


def test_members_stay_while_the_broker_is_away_and_departed_ones_vanish_within_the_bound() -> None:
    nodes = Nodes(3)
    for name, roster in nodes.rosters.items():
        roster.join("chat.a", name)
    nodes.exchange()
    told = {name: len(changes) for name, changes in nodes.changes.items()}
    dead = nodes.rosters.pop("n0")
    for _ in range(4 * SILENCE // 250):
        nodes.tick(250, lost=1, chance=random.Random())
    assert nodes.members() == [set(dead.nodes) | {"n0"}] * 2
    nodes.pass_by(SILENCE - HEARTBEAT)
    assert {name: len(nodes.changes[name]) for name in nodes.rosters} == {
        name: told[name] for name in nodes.rosters
    }
    nodes.pass_by(2 * HEARTBEAT)
    assert [nodes.changes[name][told[name] :] for name in nodes.rosters] == [
        [PresenceChange("chat.a", "n0", b"", None)]
    ] * 2


def test_a_node_without_cpu_time_does_not_take_the_others_for_gone() -> None:
    nodes = Nodes()
    nodes.rosters["n0"].join("chat.a", "ana")
    nodes.exchange()
    told, stalled = len(nodes.changes["n1"]), nodes.now + 2 * SILENCE
    assert list(nodes.rosters["n1"].expire(stalled)) == [], (
        "waiting messages have not been read yet"
    )
    nodes.now = stalled
    nodes.pass_by(SILENCE)
    assert (nodes.members(), nodes.changes["n1"][told:]) == ([{"ana"}] * 2, [])


def test_an_idle_node_sends_few_messages_and_a_busy_one_sends_batches() -> None:
    nodes = Nodes()
    before = nodes.sent
    for _ in range(100):
        nodes.tick(HEARTBEAT // 10)
    assert nodes.sent - before <= 2 * 11
    for number in range(BATCH + 1):
        nodes.rosters["n0"].join("chat.a", f"m{number}")
    told = list(nodes.rosters["n0"].messages(nodes.now))
    assert len(told) == 2
    longest = "\x00" * MEMBER_LENGTH
    for number in range(BATCH):
        nodes.rosters["n1"].join(f"{number}.".ljust(200, "c"), longest)
    assert max(map(len, nodes.rosters["n1"].messages(nodes.now))) <= 160_000, (
        "brokers carry 256 KiB"
    )


def test_a_node_that_cannot_keep_up_asks_rarely() -> None:
    nodes = Nodes()
    hearer = nodes.rosters["n1"]
    for number in range(100):
        hearer.on_message(orjson.dumps({"node": "n9", "number": number * 2, "news": []}), nodes.now)
    questions = [message for message in hearer.messages(nodes.now) if b"ask" in message]
    assert [orjson.loads(question)["ask"] for question in questions] == ["n9"]
    hearer.on_message(orjson.dumps({"node": "n9", "number": 1}), nodes.now + ASK_AGAIN)
    assert any(b"ask" in message for message in hearer.messages(nodes.now + ASK_AGAIN))


def test_a_lost_part_leaves_no_wrong_members() -> None:
    nodes = Nodes()
    for number in range(3 * BATCH):
        nodes.rosters["n0"].join("chat.a", f"m{number}")
    nodes.rosters["n0"].on_message(orjson.dumps({"node": "n1", "ask": None}), nodes.now)
    told = list(nodes.rosters["n0"].messages(nodes.now))
    for message in [part for part in told if b'"part":1' not in part]:
        nodes.rosters["n1"].on_message(message, nodes.now)
    nodes.exchange()
    assert nodes.members()[1] == {f"m{number}" for number in range(3 * BATCH)}


def test_a_lost_node_is_forgotten_member_by_member_and_may_come_back_meanwhile() -> None:
    nodes = Nodes()
    for member in ("ana", "bob", "cem"):
        nodes.rosters["n0"].join("chat.a", member)
    nodes.exchange()
    lost, hearer = nodes.rosters.pop("n0"), nodes.rosters["n1"]
    first, begin = None, nodes.now
    while first is None:
        assert nodes.now <= begin + SILENCE + HEARTBEAT
        nodes.now += 250
        for message in hearer.messages(nodes.now):
            hearer.on_message(message, nodes.now)  # this node receives messages
        forgetting = hearer.expire(nodes.now)
        first = next(forgetting, None)
    assert set(hearer.members("chat.a")) == {"ana", "bob", "cem"} - {first.member}
    lost.on_message(orjson.dumps({"node": "n1", "ask": None}), nodes.now)
    back = [
        change
        for message in lost.messages(nodes.now)
        for change in hearer.on_message(message, nodes.now)
    ]
    assert (back, list(forgetting)) == (
        [PresenceChange("chat.a", first.member, None, b"")],
        [],
    ), "the other nodes stayed present"
    assert set(hearer.members("chat.a")) == {"ana", "bob", "cem"}


def test_no_message_takes_more_work_than_a_batch() -> None:
    nodes = Nodes()
    for number in range(4 * BATCH):
        nodes.rosters["n0"].join(f"chat.{number % 7}", f"m{number}")
    nodes.rosters["n0"].on_message(orjson.dumps({"node": "n1", "ask": None}), nodes.now)
    parts = [
        nodes.rosters["n1"].on_message(message, nodes.now)
        for message in nodes.rosters["n0"].messages(nodes.now)
    ]
    assert sum(map(len, parts)) == 4 * BATCH
    assert max(map(len, parts)) == BATCH


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32), lost=st.sampled_from([0.0, 0.1, 0.5]), steps=st.integers(1, 60))
def test_whatever_is_lost_all_nodes_agree_in_the_end_and_report_no_false_change(
    seed: int, lost: float, steps: int
) -> None:
    chance = random.Random(seed)
    nodes = Nodes(3)
    own: dict[str, Counter[str]] = {name: Counter() for name in nodes.rosters}
    for _ in range(steps):
        name = chance.choice(list(nodes.rosters))
        member = f"m{chance.randrange(4)}"
        if own[name][member] and chance.random() < 0.5:
            own[name][member] -= 1
            if nodes.rosters[name].leave("chat.a", member):
                nodes.changes[name].append(PresenceChange("chat.a", member, b"", None))
        else:
            own[name][member] += 1
            if nodes.rosters[name].join("chat.a", member):
                nodes.changes[name].append(PresenceChange("chat.a", member, None, b""))
        if chance.random() < 0.7:
            nodes.tick(chance.choice([10, 300, 3000]), lost, chance)
        if chance.random() < 0.03 and len(nodes.rosters) > 1:
            del nodes.rosters[name], own[name], nodes.changes[name]
    for _ in range(12):
        nodes.tick(HEARTBEAT)
    present = {member for counter in own.values() for member, count in counter.items() if count}
    assert nodes.members() == [present] * len(nodes.rosters)
    for name in nodes.rosters:
        there: set[str] = set()
        for _, member, _, after in nodes.changes[name]:
            joined = after is not None
            assert (member in there) != joined, (
                "a join of a present member, or a leave of an absent one"
            )
            (there.add if joined else there.remove)(member)
        assert there == present


@pytest.mark.parametrize(
    "fields",
    [
        {"node": 5, "number": 1},
        {"node": "", "number": 1},
        {"node": "n" * 65, "number": 1},
        {"node": ["n2"], "ask": None},
        {"node": "n2", "number": "1"},
        {"node": "n2", "number": 1.5},
        {"node": "n2"},
        {"node": "n2", "number": 1, "news": [["chat.a", "ana", True], ["chat.a", 5, True]]},
        {"node": "n2", "number": 1, "news": [["chat.a", "ana", 2]]},
        {"node": "n2", "number": 1, "news": [["chat.a", "ana"]]},
        {"node": "n2", "number": 1, "part": 0, "last": True, "rooms": {"chat.a": ["ana", 5]}},
        {"node": "n2", "number": 1, "part": 0, "last": True, "rooms": {"chat.a": [["ana"]]}},
    ],
)
def test_a_message_that_no_node_wrote_changes_nothing(fields: dict[str, object]) -> None:
    roster = Roster("n1")
    with pytest.raises((ValueError, LookupError, TypeError, AttributeError)):
        roster.on_message(orjson.dumps(fields), 0)
    assert roster.nodes == set()
    assert roster.members("chat.a") == []


HALF = [
    {"rooms": {"chat.a": ["eve"]}},
    {"rooms": {"chat.a": ["eve"]}, "part": 0},
    {"rooms": {"chat.a": ["eve"]}, "part": 0, "last": None},
    {"rooms": {"chat.a": ["eve"]}, "part": "0", "last": True},
    {"rooms": {"chat.a": ["eve"]}, "part": -1, "last": True},
    {"rooms": {"chat.a": ["eve"], "chat.b": 7}, "part": 0, "last": True},
    {"rooms": {"chat.a": "eve"}, "part": 0, "last": True},
    {"rooms": {"chat.a": {"eve": 1}}, "part": 0, "last": True},
    {"rooms": ["chat.a"], "part": 0, "last": True},
    {"news": [["chat.a", "eve", True], ["chat.a", 7, True]]},
    {"news": [["chat.a", "eve", 1]]},
    {"news": 7},
]
"""Messages whose fault follows a valid member."""


@pytest.mark.parametrize("fields", HALF)
def test_a_malformed_message_changes_nothing(fields: dict[str, Any]) -> None:
    roster = Roster("n1")
    with pytest.raises(UNREADABLE):
        roster.on_message(orjson.dumps({"node": "n9", "number": 1, **fields}), 0)
    assert roster.members("chat.a") == []
    assert roster.nodes == set()
