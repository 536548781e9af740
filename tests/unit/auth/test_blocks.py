"""auth/blocks.py: who is blocked, and until when."""

from itertools import permutations

import pytest

from eventhub.auth.blocks import (
    BLOCKS,
    LATEST,
    NAME_LENGTH,
    BlockDecision,
    Blocks,
    BlockTarget,
)
from eventhub.auth.grants import NOTHING
from eventhub.auth.principal import ANYONE, STRANGER, CredentialKind, Principal
from eventhub.errors import Revoked
from eventhub.events.event import format_time

ANA = Principal(CredentialKind.TOKEN, "ana", NOTHING, token="t1")
ANA_WITHOUT_ID = Principal(CredentialKind.TOKEN, "ana", NOTHING)
KEY_ANA = Principal(CredentialKind.KEY, "ana", NOTHING)
EVERYONE = (ANA, ANA_WITHOUT_ID, KEY_ANA, STRANGER, ANYONE)


def blocked(blocks: Blocks, now: int) -> list[Principal]:
    found = []
    for principal in EVERYONE:
        try:
            blocks.check(principal, now)
        except Revoked:
            found.append(principal)
    return found


@pytest.mark.parametrize(
    ("target", "meant"),
    [
        (BlockTarget("subject", "ana"), [ANA, ANA_WITHOUT_ID]),
        (BlockTarget("key", "ana"), [KEY_ANA]),
        (BlockTarget("token", "t1"), [ANA]),
        (BlockTarget("token", "ana"), []),
        (BlockTarget("subject", ""), []),
        (BlockTarget("key", ""), []),
        (BlockTarget("subject", "Ana"), []),
    ],
)
def test_a_target_means_those_of_its_kind_and_no_others(
    target: BlockTarget, meant: list[Principal]
) -> None:
    blocks = Blocks()
    blocks.decide(target, 0, 1000)
    assert blocked(blocks, 999) == meant
    assert [principal for principal in EVERYONE if target.fits(principal)] == meant
    assert blocked(blocks, 1000) == []


def test_whoever_is_shut_out_is_told_by_what() -> None:
    blocks = Blocks()
    blocks.decide(BlockTarget("token", "t1"), 0, 1000)
    with pytest.raises(Revoked, match="an operator has blocked the token 't1'"):
        blocks.check(ANA, 0)


def test_to_shut_out_again_never_shortens_it() -> None:
    blocks = Blocks()
    for until, longest in ((1000, 1000), (500, 1000), (2000, 2000), (1500, 2000)):
        blocks.decide(BlockTarget("key", "ana"), 0, until)
        assert [decision.until for decision in blocks] == [longest]


def test_to_lift_a_block_twice_keeps_the_decision_as_long_as_the_block_would_have_lasted() -> None:
    blocks = Blocks()
    target = BlockTarget("key", "ana")
    blocks.decide(target, 0, 1000)
    for now in (1, 2):
        lifted = blocks.decide(target, now, now)
        assert (lifted.blocked, lifted.until) == (False, 1000)


def test_what_has_run_out_is_forgotten() -> None:
    blocks = Blocks()
    for until in (1000, 2000, 3000):
        blocks.decide(BlockTarget("key", str(until)), 0, until)
    blocks.expire(2000)
    assert [decision.target for decision in blocks] == [BlockTarget("key", "3000")]


def test_there_is_a_bound_and_what_ends_first_goes() -> None:
    blocks = Blocks()
    for number in range(BLOCKS + 1):
        blocks.decide(BlockTarget("subject", str(number)), 0, 1000 + (number - 500) ** 2)
    assert len(blocks) == BLOCKS
    known = {decision.target.value for decision in blocks}
    assert "500" not in known
    assert "499" in known


# Decisions of several nodes


def test_what_was_decided_last_holds_at_all_nodes_in_whatever_order_it_comes() -> None:
    first, second = Blocks(), Blocks()
    block = first.decide(BlockTarget("subject", "ana"), 0, 1000)
    assert second.merge([block]) == [BlockTarget("subject", "ana")]
    move_query_token = second.decide(BlockTarget("subject", "ana"), 100, 100)
    assert (move_query_token.blocked, move_query_token.until) == (False, 1000)
    assert first.merge([move_query_token]) == []
    assert first.merge([block]) == second.merge([block]) == [], (
        "a node that missed the lift repeats what it knows"
    )
    assert blocked(first, 200) == blocked(second, 200) == []


def test_a_clock_that_is_behind_decides_last_all_the_same() -> None:
    ahead, behind = Blocks(), Blocks()
    behind.merge([ahead.decide(BlockTarget("subject", "ana"), 5000, 9000)])
    assert ahead.merge([behind.decide(BlockTarget("subject", "ana"), 1000, 1000)]) == []
    assert blocked(ahead, 6000) == []


def test_who_was_let_in_can_be_shut_out_anew_for_a_shorter_time() -> None:
    blocks = Blocks()
    target = BlockTarget("key", "ana")
    blocks.decide(target, 0, 10_000)
    blocks.decide(target, 1, 1)
    blocks.decide(target, 2, 500)
    assert blocked(blocks, 499) == [KEY_ANA]
    assert blocked(blocks, 500) == []


def test_of_two_decisions_at_the_same_moment_all_nodes_keep_the_same() -> None:
    target = BlockTarget("key", "ana")
    block, longer, lift = (
        BlockDecision(target, 5, until, blocked)
        for until, blocked in ((500, True), (900, True), (900, False))
    )
    for order in permutations((block, longer, lift)):
        blocks = Blocks()
        for decision in order:
            blocks.merge([decision])
        assert list(blocks) == [longer]


def test_a_decision_that_is_known_hides_none_that_comes_with_it() -> None:
    blocks = Blocks()
    ana, bob = (
        BlockDecision(BlockTarget("key", name), 0, 500, blocked=True) for name in ("ana", "bob")
    )
    assert blocks.merge([ana]) == [ana.target]
    assert blocks.merge([ana, bob]) == [bob.target]
    assert list(blocks) == [ana, bob]


@pytest.mark.parametrize(
    "decision",
    [
        BlockDecision(BlockTarget("token", "é"), 1, 2, blocked=True),
        BlockDecision(BlockTarget("subject", "a" * NAME_LENGTH), 0, 0, blocked=False),
        BlockDecision(BlockTarget("key", "a"), LATEST - 1, LATEST - 1, blocked=True),
    ],
)
def test_decisions_survive_the_wire(decision: BlockDecision) -> None:
    assert BlockDecision.of_row(decision.as_row()) == decision


def test_the_latest_time_that_another_node_may_tell_can_be_shown_and_decided_after() -> None:
    blocks = Blocks()
    blocks.merge([BlockDecision.of_row(["key", "ana", LATEST - 1, LATEST - 1, True])])
    move_query_token = blocks.decide(BlockTarget("key", "ana"), 1, 1)
    assert format_time(move_query_token.since) == "9999-01-01T00:00:00.000Z"
    assert not move_query_token.blocked


@pytest.mark.parametrize(
    "row",
    [
        [],
        None,
        1,
        ["subject", "a", 1, 2],
        ["zzz", "a", 1, 2, True],
        ["subject", 1, 1, 2, True],
        ["key", "a", "x", 2, True],
        ["key", "a", 1e300, 1e300, True],
        ["key", "a", 1, 2.0, True],
        ["key", "a", 1, LATEST, True],
        ["key", "a", -1, 2, True],
        ["key", "a", True, 2, True],
        ["key", "a", 1, 2, 1],
        ["key", "a" * 201, 1, 2, True],
    ],
)
def test_a_row_that_no_node_wrote_is_refused(row: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        BlockDecision.of_row(row)
