"""Which principals an operator has blocked, and until when.

All nodes have the same decisions: the latest decision holds, and each node repeats what it knows.
Of two decisions at the same moment a block holds, and of two blocks the longer one.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

from eventhub.auth.principal import CredentialKind, Principal
from eventhub.errors import Revoked

BLOCKS = 10_000
"""Most blocks that a node keeps. A further one replaces the block that ends first."""

LATEST = 253_370_764_800_000
"""The start of the year 9999, in milliseconds since 1970. Later times from other nodes are refused,
because dates end with that year.
"""
NAME_LENGTH = 200

TargetKind = Literal["subject", "key", "token"]


@dataclass(frozen=True, slots=True)
class BlockTarget:
    """The tokens with this `sub`, the API key with this name, or the token with this `jti`."""

    kind: TargetKind
    value: str

    @classmethod
    def of(cls, kind: Any, value: Any) -> "BlockTarget":
        """A target from unchecked values. Raises ValueError."""
        if kind not in get_args(TargetKind) or not isinstance(value, str):
            raise ValueError(f"expected one of {', '.join(get_args(TargetKind))} and a name")
        return cls(kind, value)

    def __str__(self) -> str:
        return f"{self.kind} {self.value!r}"

    def fits(self, principal: Principal) -> bool:
        """Whether the principal is this target."""
        return self in _targets(principal)


@dataclass(frozen=True, slots=True)
class BlockDecision:
    """An operator's decision about a target, made at `since` and valid until `until`.

    Both are in milliseconds since the Unix epoch.
    """

    target: BlockTarget
    since: int
    until: int
    blocked: bool

    @property
    def rank(self) -> tuple[int, bool, int]:
        """Of two decisions about a target, the one with the higher rank holds."""
        return self.since, self.blocked, self.until

    def as_row(self) -> list[Any]:
        """The form that is sent to other nodes."""
        return [self.target.kind, self.target.value, self.since, self.until, self.blocked]

    @classmethod
    def of_row(cls, row: Any) -> "BlockDecision":
        """A decision of another node. Raises ValueError, TypeError for a malformed row."""
        kind, value, since, until, blocked = row
        target = BlockTarget.of(kind, value)
        if len(target.value) > NAME_LENGTH or not isinstance(blocked, bool):
            raise ValueError(
                f"expected a name of {NAME_LENGTH} characters at most, two times, and true or false"
            )
        return cls(target, _time(since), _time(until), blocked)


class Blocks:
    """Decisions by target.

    A block that was lifted is kept until it would have ended, because another node may repeat it.
    """

    def __init__(self) -> None:
        self._decisions: dict[BlockTarget, BlockDecision] = {}

    def __iter__(self) -> Iterator[BlockDecision]:
        return iter(self._decisions.values())

    def __len__(self) -> int:
        return len(self._decisions)

    def decide(self, target: BlockTarget, now: int, until: int) -> BlockDecision:
        """Block until `until`, or longer if that was decided before.

        An `until` that is not after `now` lifts the block.
        """
        blocked = until > now
        since = now
        if (known := self._decisions.get(target)) is not None:
            since = max(
                now, known.since + 1
            )  # the latest decision, even if the clocks of other nodes differ
            if known.blocked or not blocked:
                until = max(until, known.until)
        decision = BlockDecision(target, since, until, blocked)
        self.merge((decision,))
        return decision

    def merge(self, decisions: Iterable[BlockDecision]) -> list[BlockTarget]:
        """Merge decisions of this node or another. Returns the newly blocked targets."""
        newly_blocked = []
        for decision in decisions:
            known = self._decisions.get(decision.target)
            if known is not None and known.rank >= decision.rank:
                continue
            self._decisions[decision.target] = decision
            if decision.blocked:
                newly_blocked.append(decision.target)
        while len(self._decisions) > BLOCKS:
            del self._decisions[min(self, key=lambda known: known.until).target]
        return newly_blocked

    def expire(self, now: int) -> None:
        """Forget decisions that have ended."""
        for decision in [decision for decision in self if decision.until <= now]:
            del self._decisions[decision.target]

    def check(self, principal: Principal, now: int) -> None:
        """Raises Revoked."""
        if not self._decisions:
            return
        for target in _targets(principal):
            decision = self._decisions.get(target)
            if decision is not None and decision.blocked and decision.until > now:
                raise Revoked(f"an operator has blocked the {target}")


def _time(value: Any) -> int:
    if type(value) is not int or not 0 <= value < LATEST:
        raise ValueError(f"expected milliseconds since 1970 and below {LATEST}")
    return value


def _targets(principal: Principal) -> list[BlockTarget]:
    match principal.kind:
        case CredentialKind.KEY:
            return [BlockTarget("key", principal.name)]
        case CredentialKind.TOKEN:
            subject = BlockTarget("subject", principal.name)
            return (
                [subject]
                if principal.token is None
                else [subject, BlockTarget("token", principal.token)]
            )
        case _:
            return []
