"""Who an operator has shut out, and until when. Bounded; what has run out is forgotten."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from eventhub.auth.principal import Kind, Principal
from eventhub.errors import Revoked

BLOCKS = 10_000

What = Literal["subject", "key", "token"]


@dataclass(frozen=True, slots=True)
class Target:
    """Those with this `sub`, the holder of the API key with this name, or the token with this `jti`."""

    what: What
    value: str

    def fits(self, principal: Principal) -> bool:
        """Whether it means them."""
        match self.what:
            case "subject":
                return principal.kind is Kind.TOKEN and principal.name == self.value
            case "key":
                return principal.kind is Kind.KEY and principal.name == self.value
            case "token":
                return principal.kind is Kind.TOKEN and principal.token == self.value


class Blocks:
    """Targets, each until a time in milliseconds since the Unix epoch."""

    def __init__(self) -> None:
        self._until: dict[Target, int] = {}

    def __len__(self) -> int:
        return len(self._until)

    def add(self, target: Target, until: int) -> None:
        """Shut out until then, or longer if that was said before. Beyond BLOCKS the one that ends first is dropped."""
        self._until[target] = max(until, self._until.get(target, 0))
        if len(self._until) > BLOCKS:
            del self._until[min(self._until, key=lambda known: self._until[known])]

    def items(self) -> Mapping[Target, int]:
        """All of them."""
        return self._until

    def expire(self, now: int) -> None:
        """Forget what has run out."""
        for target in [target for target, until in self._until.items() if until <= now]:
            del self._until[target]

    def check(self, principal: Principal, now: int) -> None:
        """Raises Revoked."""
        if not self._until:
            return
        for target in _targets(principal):
            if self._until.get(target, 0) > now:
                raise Revoked(f"an operator has shut out the {target.what} {target.value!r}")


def _targets(principal: Principal) -> Iterator[Target]:
    if principal.kind is Kind.KEY:
        yield Target("key", principal.name)
    elif principal.kind is Kind.TOKEN:
        yield Target("subject", principal.name)
        if principal.token is not None:
            yield Target("token", principal.token)
