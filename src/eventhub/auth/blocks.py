"""Who an operator has shut out, and until when. The same on all nodes: what was decided last holds, and each repeats what it knows."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

from eventhub.auth.principal import CredentialKind, Principal
from eventhub.errors import Revoked

BLOCKS = 10_000
"""Beyond it, the one that ends first is dropped."""

LATEST = 253_370_764_800_000
"""The year 9999 begins: a time of another node that is not before it is none, and what is decided
after a later one would have no date.
"""
NAME_LENGTH = 200

What = Literal["subject", "key", "token"]


@dataclass(frozen=True, slots=True)
class BlockTarget:
    """Those with this `sub`, the holder of the API key with this name, or the token with this `jti`."""

    what: What
    value: str

    @classmethod
    def of(cls, what: Any, value: Any) -> "BlockTarget":
        """Raises ValueError for what is none of these."""
        if what not in get_args(What) or not isinstance(value, str):
            raise ValueError(f"expected one of {', '.join(get_args(What))} and a name")
        return cls(what, value)

    def __str__(self) -> str:
        return f"{self.what} {self.value!r}"

    def fits(self, principal: Principal) -> bool:
        """Whether it means them."""
        return self in _targets(principal)


@dataclass(frozen=True, slots=True)
class BlockDecision:
    """What holds for a target until `until`, `since` being when it was decided; both in milliseconds since the Unix epoch."""

    target: BlockTarget
    since: int
    until: int
    blocked: bool

    def as_row(self) -> list[Any]:
        """For other nodes."""
        return [self.target.what, self.target.value, self.since, self.until, self.blocked]

    @classmethod
    def of_row(cls, row: Any) -> "BlockDecision":
        """Raises ValueError, TypeError for what no node has written."""
        what, value, since, until, blocked = row
        target = BlockTarget.of(what, value)
        if len(target.value) > NAME_LENGTH or not isinstance(blocked, bool):
            raise ValueError(
                f"expected a name of {NAME_LENGTH} characters at most, two times, and true or false"
            )
        return cls(target, _time(since), _time(until), blocked)


class Blocks:
    """Decisions by target. One that was taken back is kept until it would have ended, lest another node repeats it."""

    def __init__(self) -> None:
        self._decisions: dict[BlockTarget, BlockDecision] = {}

    def __iter__(self) -> Iterator[BlockDecision]:
        return iter(self._decisions.values())

    def __len__(self) -> int:
        return len(self._decisions)

    def decide(self, target: BlockTarget, now: int, until: int) -> BlockDecision:
        """Shut out until then, or longer if that was said before; or no longer, when `until` is not after `now`."""
        blocked = until > now
        since = now
        if (known := self._decisions.get(target)) is not None:
            since = max(
                now, known.since + 1
            )  # the later one, whatever the clocks of other nodes say
            if known.blocked or not blocked:
                until = max(until, known.until)
        decision = BlockDecision(target, since, until, blocked)
        self.merge((decision,))
        return decision

    def merge(self, decisions: Iterable[BlockDecision]) -> list[BlockTarget]:
        """Take in what was decided, here or elsewhere; who is shut out that was not."""
        news = []
        for decision in decisions:
            known = self._decisions.get(decision.target)
            if known is not None and known.since >= decision.since:
                continue
            self._decisions[decision.target] = decision
            if decision.blocked:
                news.append(decision.target)
        while len(self._decisions) > BLOCKS:
            del self._decisions[min(self, key=lambda known: known.until).target]
        return news

    def expire(self, now: int) -> None:
        """Forget what has run out."""
        for decision in [decision for decision in self if decision.until <= now]:
            del self._decisions[decision.target]

    def check(self, principal: Principal, now: int) -> None:
        """Raises Revoked."""
        if not self._decisions:
            return
        for target in _targets(principal):
            decision = self._decisions.get(target)
            if decision is not None and decision.blocked and decision.until > now:
                raise Revoked(f"an operator has shut out the {target}")


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
