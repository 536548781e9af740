"""The accounts of clients under faults: every acknowledged event compared with what each follower
got.
"""

from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True)
class Books:
    """What a trial shows. Everything after `gaps` should be 0."""

    acknowledged: int
    faults: int
    followers: int
    gaps: int
    lost: int
    doubled: int
    disorder: int

    @property
    def clean(self) -> bool:
        return not (self.gaps or self.lost or self.doubled or self.disorder)


def books_of(
    acknowledged: set[tuple[str, str]],
    followers: dict[str, list[tuple[str, str]]],
    gaps: int,
    *,
    faults: int,
    kills: int,
) -> Books:
    """The accounts. After each of its `kills`, the follower "worker" may get an event again."""
    doubled = {name: Counter(found) for name, found in followers.items()}
    return Books(
        acknowledged=len(acknowledged),
        faults=faults,
        followers=len(followers),
        gaps=gaps,
        lost=sum(len(acknowledged - set(found)) for found in followers.values()),
        doubled=sum(
            max(0, sum(counts.values()) - len(counts) - (kills if name == "worker" else 0))
            for name, counts in doubled.items()
        ),
        disorder=sum(map(_disorder, followers.values())),
    )


def _disorder(found: list[tuple[str, str]]) -> int:
    """New events that came after a later one of the same publisher and channel."""
    last: dict[tuple[str, str], list[int]] = {}
    wrong = 0
    for channel, data in dict.fromkeys(found):
        name, _, number = data.partition(" ")
        if number:
            at = [int(part) for part in number.split(".")]
            wrong += at < last.get((channel, name), [-1])
            last[channel, name] = at
    return wrong
