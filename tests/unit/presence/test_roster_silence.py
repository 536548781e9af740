"""presence/roster.py, rule 3: which nodes are silent, and since when."""

import orjson
import pytest

from eventhub.presence.broadcasts import NODE_LENGTH
from eventhub.presence.member_data import PresenceChange
from eventhub.presence.roster import DEAF, HEARTBEAT, SILENCE, Roster

STEP = DEAF // 2


def _knows_ana_of_n1() -> Roster:
    roster = Roster("n0")
    roster.on_message(_message("n1", number=0, part=0, last=True, rooms={"chat.a": ["ana"]}), 0)
    return roster


def _message(node: str, **fields: object) -> bytes:
    return orjson.dumps({"node": node, **fields})


def test_a_node_that_only_asks_is_not_silent() -> None:
    roster = _knows_ana_of_n1()
    for now in range(STEP, 3 * SILENCE, STEP):
        roster.on_message(_message("n1", ask="n2"), now)
        assert list(roster.expire(now)) == []
    assert roster.members("chat.a") == ["ana"]


def test_a_question_does_not_make_a_silent_node_known_again() -> None:
    roster = _knows_ana_of_n1()
    for now in range(STEP, SILENCE + HEARTBEAT, STEP):
        roster.on_message(_message("n0", number=0), now)  # its own
    assert list(roster.expire(now)) == [PresenceChange("chat.a", "ana", b"", None)]
    roster.on_message(_message("n1", ask=None), now)
    assert roster.nodes == set()


def test_a_node_is_gone_after_the_time_that_the_documentation_says() -> None:
    assert SILENCE == 7_000


def test_a_node_begins_with_a_question_to_all_and_its_number() -> None:
    first, second = Roster("n1").messages(0)
    assert orjson.loads(first) == {"node": "n1", "ask": None}
    assert orjson.loads(second) == {"node": "n1", "number": 0}


def test_a_node_that_was_not_asked_says_nothing_before_its_next_heartbeat() -> None:
    roster = Roster("n1")
    list(roster.messages(0))
    roster.on_message(_message("n2", ask="n3"), 0)
    assert list(roster.messages(HEARTBEAT - 1)) == []
    assert len(list(roster.messages(HEARTBEAT))) == 1


@pytest.mark.parametrize(("silent", "gone"), [(SILENCE, []), (SILENCE + 1, ["ana"])])
def test_a_node_is_gone_when_it_is_silent_for_longer_than_the_bound(
    silent: int, gone: list[str]
) -> None:
    roster = _knows_ana_of_n1()
    for now in (DEAF, 2 * DEAF, silent):
        roster.on_message(_message("n0", number=0), now)
    assert [change.member for change in roster.expire(silent)] == gone


@pytest.mark.parametrize(("deaf", "gone"), [(DEAF, ["ana"]), (DEAF + 1, [])])
def test_a_node_that_hears_nothing_itself_takes_no_other_for_silent(
    deaf: int, gone: list[str]
) -> None:
    roster, own = _knows_ana_of_n1(), _message("n0", number=0)
    end = SILENCE + 1
    for now in range(HEARTBEAT, end - deaf, HEARTBEAT):
        roster.on_message(own, now)
    roster.on_message(own, end - deaf)
    assert [change.member for change in roster.expire(end)] == gone


def test_a_whole_list_takes_out_whom_it_does_not_name_and_keeps_no_empty_channel() -> None:
    roster = _knows_ana_of_n1()
    changes = roster.on_message(_message("n1", number=1, part=0, last=True, rooms={}), 1)
    assert changes == [PresenceChange("chat.a", "ana", b"", None)]
    assert roster._others["n1"].members == {}


@pytest.mark.parametrize("node", ["n", "n" * NODE_LENGTH])
def test_the_shortest_and_the_longest_name_of_a_node_are_taken(node: str) -> None:
    roster = Roster("n0")
    roster.on_message(_message(node, number=0), 0)
    assert roster.nodes == {node}
