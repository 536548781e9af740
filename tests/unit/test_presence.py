"""presence.py: who is where, by the number of their subscriptions."""

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from eventhub.presence import MEMBER_LENGTH, Roster


def test_nobody_is_in_a_channel_that_nobody_joined() -> None:
    assert Roster().members("chat.lobby") == []


def test_the_first_subscription_of_a_member_is_an_arrival_and_the_next_is_not() -> None:
    roster = Roster()
    assert roster.join("chat.lobby", "ana") is True
    assert roster.join("chat.lobby", "ana") is False
    assert roster.members("chat.lobby") == ["ana"]


def test_only_the_last_subscription_of_a_member_is_a_departure() -> None:
    roster = Roster()
    roster.join("chat.lobby", "ana")
    roster.join("chat.lobby", "ana")
    assert roster.leave("chat.lobby", "ana") is False
    assert roster.members("chat.lobby") == ["ana"]
    assert roster.leave("chat.lobby", "ana") is True
    assert roster.members("chat.lobby") == []


def test_members_are_listed_in_the_order_of_their_arrival() -> None:
    roster = Roster()
    for member in ("cem", "ana", "bob", "cem"):
        roster.join("chat.lobby", member)
    assert roster.members("chat.lobby") == ["cem", "ana", "bob"]


def test_who_comes_back_comes_last() -> None:
    roster = Roster()
    for member in ("ana", "bob"):
        roster.join("chat.lobby", member)
    roster.leave("chat.lobby", "ana")
    assert roster.join("chat.lobby", "ana") is True
    assert roster.members("chat.lobby") == ["bob", "ana"]


def test_channels_know_nothing_of_each_other() -> None:
    roster = Roster()
    assert roster.join("chat.a", "ana") is True
    assert roster.join("chat.b", "ana") is True
    assert roster.leave("chat.a", "ana") is True
    assert roster.members("chat.b") == ["ana"]


def test_the_list_is_the_readers_own() -> None:
    roster = Roster()
    roster.join("chat.lobby", "ana")
    roster.members("chat.lobby").clear()
    assert roster.members("chat.lobby") == ["ana"]


def test_a_channel_that_all_have_left_holds_nothing() -> None:
    roster = Roster()
    for number in range(100):
        roster.join(f"chat.{number}", "ana")
        roster.leave(f"chat.{number}", "ana")
    assert roster._rooms == {}


def test_an_id_is_as_long_as_the_protocol_says() -> None:
    assert MEMBER_LENGTH == 64


CHANNELS, MEMBERS = st.sampled_from(["chat.a", "chat.b"]), st.sampled_from(["ana", "bob", "cem"])


class Comings(RuleBasedStateMachine):
    """The roster beside a plain count."""

    def __init__(self) -> None:
        super().__init__()
        self.roster = Roster()
        self.count = Counter[tuple[str, str]]()

    @rule(channel=CHANNELS, member=MEMBERS)
    def join(self, channel: str, member: str) -> None:
        self.count[channel, member] += 1
        assert self.roster.join(channel, member) == (self.count[channel, member] == 1)

    @precondition(lambda self: self.count.total() > 0)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        channel, member = data.draw(st.sampled_from(sorted(self.count)))
        self.count[channel, member] -= 1
        assert self.roster.leave(channel, member) == (self.count[channel, member] == 0)
        self.count += Counter()  # forget zeros

    @invariant()
    def members_are_those_with_a_subscription(self) -> None:
        for channel in ("chat.a", "chat.b"):
            assert set(self.roster.members(channel)) == {member for room, member in self.count if room == channel}


TestComings = Comings.TestCase
TestComings.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
