"""A channel's state: the newest event of each key. The rules that all brokers share.

1. The entries of a state are in the order of their offsets. A page has those after a position; a
   reader that has read up to there has the newest event of every key whose newest event is not
   after it. So it may go on with the next page, or with the log, at any time.
2. A deletion is an entry, too, as readers of later pages must see it. The newest DELETIONS are
   kept.
3. `forgotten` is the highest offset of an entry that left without a newer one of its key. A reader
   at a position before it holds a key that is gone, or an old event of it. It gets the whole state
   again (`expired`).
"""

from typing import NamedTuple

from eventhub.errors import PreconditionFailed
from eventhub.events.event import ABSENT, Position, State

DELETIONS = 1000
"""Deletions that a state keeps."""


class StateBegin(NamedTuple):
    """Where a page of a state begins. Deletions up to offset `begun` are left out."""

    after: int
    begun: int
    lost: str | None


def begin_of(since: State, end: Position, forgotten: int, *, known: bool = True) -> StateBegin:
    """Where to read. `known`: the log of this epoch has given the position."""
    position = since.position
    if position is None:
        return StateBegin(0, end.offset, None)
    if position.epoch != end.epoch or position.offset > end.offset:
        return StateBegin(0, end.offset, "reset")
    if position.offset < forgotten or not known:
        return StateBegin(0, end.offset, "expired")
    return StateBegin(position.offset, since.begun, None)


def precondition_failed(expected: Position, newest: Position | None) -> PreconditionFailed:
    """The error for an event whose key's newest event is another than the expected one."""
    wanted = "no event" if expected == ABSENT else f"event {expected}"
    found = "it has none" if newest is None else f"its newest is {newest}"
    error = PreconditionFailed(f"the key was expected to have {wanted} as its newest; {found}")
    error.id = None if newest is None else str(newest)
    return error


def is_expected(expected: Position, newest: Position | None) -> bool:
    """Whether the newest event of a key is the one that a publisher expects."""
    return expected == (ABSENT if newest is None else newest)
