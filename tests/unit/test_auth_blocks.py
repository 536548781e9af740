"""auth/blocks.py: who is shut out, until when."""

import pytest

from eventhub.auth.blocks import BLOCKS, Blocks, Target
from eventhub.auth.grants import NOTHING
from eventhub.auth.principal import ANYONE, STRANGER, Kind, Principal
from eventhub.errors import Revoked

ANA = Principal(Kind.TOKEN, "ana", NOTHING, token="t1")
ANA_WITHOUT_ID = Principal(Kind.TOKEN, "ana", NOTHING)
KEY_ANA = Principal(Kind.KEY, "ana", NOTHING)
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
        (Target("subject", "ana"), [ANA, ANA_WITHOUT_ID]),
        (Target("key", "ana"), [KEY_ANA]),
        (Target("token", "t1"), [ANA]),
        (Target("token", "ana"), []),
        (Target("subject", ""), []),
        (Target("key", ""), []),
        (Target("subject", "Ana"), []),
    ],
)
def test_a_target_means_those_of_its_kind_and_no_others(target: Target, meant: list[Principal]) -> None:
    blocks = Blocks()
    blocks.add(target, 1000)
    assert blocked(blocks, 999) == meant
    assert [principal for principal in EVERYONE if target.fits(principal)] == meant
    assert blocked(blocks, 1000) == []


def test_whoever_is_shut_out_is_told_by_what() -> None:
    blocks = Blocks()
    blocks.add(Target("token", "t1"), 1000)
    with pytest.raises(Revoked, match="an operator has shut out the token 't1'"):
        blocks.check(ANA, 0)


def test_to_shut_out_again_never_shortens_it() -> None:
    blocks = Blocks()
    for until in (1000, 500, 2000):
        blocks.add(Target("key", "ana"), until)
    assert dict(blocks.items()) == {Target("key", "ana"): 2000}


def test_what_has_run_out_is_forgotten() -> None:
    blocks = Blocks()
    for until in (1000, 2000, 3000):
        blocks.add(Target("key", str(until)), until)
    blocks.expire(2000)
    assert list(blocks.items()) == [Target("key", "3000")]


def test_there_is_a_bound_and_what_ends_first_goes() -> None:
    blocks = Blocks()
    for number in range(BLOCKS + 1):
        blocks.add(Target("subject", str(number)), 1000 + (number - 500) ** 2)
    assert len(blocks) == BLOCKS
    assert Target("subject", "500") not in blocks.items()
    assert Target("subject", "499") in blocks.items()
