"""presence/member_data.py: which of several values is shown."""

import pytest

from eventhub.presence.member_data import (
    LAST_VERSION,
    NOTHING,
    Data,
    MemberData,
    Place,
    member_json,
)

PLACE: Place = ("chat.a", "ana")
NOON = 1_795_377_960_000


def test_a_member_that_gave_no_data_has_none_and_no_entry() -> None:
    data = MemberData("n1")
    data.drop_own(PLACE, "tab")
    data.set_elsewhere(PLACE, "n2", NOTHING)
    assert (data.shown(PLACE), data.own(PLACE), len(data)) == (b"", NOTHING, 0)


def test_of_two_subscriptions_the_one_that_was_set_last_is_shown_until_it_ends() -> None:
    data = MemberData("n1")
    data.set_own(PLACE, "laptop", b'{"at":1}', NOON)
    data.set_own(PLACE, "phone", b'{"at":2}', NOON)
    assert data.shown(PLACE) == b'{"at":2}'
    data.set_own(PLACE, "laptop", b'{"at":3}', NOON)
    assert data.shown(PLACE) == b'{"at":3}'
    data.drop_own(PLACE, "laptop")
    assert data.shown(PLACE) == b'{"at":2}'
    data.drop_own(PLACE, "phone")
    assert (data.shown(PLACE), len(data)) == (b"", 0)


def test_removed_data_is_newer_than_the_data_before_it() -> None:
    data = MemberData("n1")
    data.set_own(PLACE, "laptop", b'{"at":1}', NOON)
    data.set_own(PLACE, "phone", b"", NOON)
    assert data.shown(PLACE) == b""
    assert data.own(PLACE) > NOTHING


@pytest.mark.parametrize("behind", [0, 3_600_000])
def test_an_update_is_newer_than_what_was_seen_even_if_the_clock_is_behind(behind: int) -> None:
    data = MemberData("n1")
    data.set_elsewhere(PLACE, "other", Data(NOON, "n2", b'{"at":1}'))
    data.set_own(PLACE, "tab", b'{"at":2}', NOON - behind)
    assert data.shown(PLACE) == b'{"at":2}'
    assert data.own(PLACE).version == NOON + 1


def test_what_was_seen_of_one_member_counts_for_all() -> None:
    data = MemberData("n1")
    data.set_elsewhere(("chat.b", "rui"), "other", Data(NOON, "n2", b"{}"))
    data.set_own(PLACE, "tab", b"{}", 5)
    assert data.own(PLACE).version == NOON + 1


def test_of_two_nodes_the_later_clock_wins_whatever_comes_first() -> None:
    early, late = Data(NOON, "n3", b'{"at":1}'), Data(NOON + 1, "n2", b'{"at":2}')
    for first, second in ((early, late), (late, early)):
        data = MemberData("n1")
        data.set_elsewhere(PLACE, first.node, first)
        data.set_elsewhere(PLACE, second.node, second)
        assert data.shown(PLACE) == b'{"at":2}'


def test_all_nodes_show_the_same_of_two_values_with_one_version() -> None:
    shown = set()
    for own, other in (("n1", "n2"), ("n2", "n1")):
        data = MemberData(own)
        data.set_own(PLACE, "tab", own.encode(), NOON)
        data.set_elsewhere(PLACE, other, Data(NOON, other, other.encode()))
        shown.add(data.shown(PLACE))
    assert shown == {b"n2"}


def test_a_node_that_says_none_has_none() -> None:
    data = MemberData("n1")
    data.set_elsewhere(PLACE, "n2", Data(NOON, "n2", b"{}"))
    data.set_elsewhere(PLACE, "n2", NOTHING)
    assert (data.shown(PLACE), len(data)) == (b"", 0)


def test_no_version_is_later_than_the_last() -> None:
    data = MemberData("n1")
    data.set_elsewhere(PLACE, "n2", Data(LAST_VERSION, "n2", b"{}"))
    data.set_own(PLACE, "tab", b"{}", NOON)
    assert data.own(PLACE).version == LAST_VERSION, "other nodes refuse a later one"


def test_a_member_is_written_with_its_data_if_it_has_any() -> None:
    assert member_json('a"é', b"") == '{"id":"a\\"é"}'.encode()
    assert member_json("ana", b'{"x":1}') == b'{"id":"ana","data":{"x":1}}'


def test_what_is_set_here_is_newer_than_all_that_was_heard_before() -> None:
    data = MemberData("n1")
    data.set_elsewhere(PLACE, "n2", Data(NOON + 9, "n2", b'{"at":1}'))
    data.set_elsewhere(PLACE, "n3", Data(NOON + 2, "n3", b'{"at":2}'))
    assert len(data) == 1
    data.set_own(PLACE, "laptop", b'{"at":3}', NOON)
    assert data.own(PLACE).version == NOON + 10
    assert data.shown(PLACE) == b'{"at":3}'
    assert len(data) == 2
