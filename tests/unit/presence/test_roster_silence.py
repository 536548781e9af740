"""presence/roster.py, rule 3: which nodes are silent, and since when."""

import orjson

from eventhub.presence.roster import DEAF, HEARTBEAT, SILENCE, PresenceChange, Roster

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
    assert list(roster.expire(now)) == [PresenceChange("chat.a", "ana", joined=False)]
    roster.on_message(_message("n1", ask=None), now)
    assert roster.nodes == set()
