"""What a node takes from its machine: the clock that never goes back, and an id of its own."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field


def _new_id() -> str:
    return secrets.token_hex(4)


@dataclass(frozen=True, slots=True)
class Machine:
    """`monotonic` gives seconds. `node` is the node's id, unique to this run of it."""

    monotonic: Callable[[], float] = time.monotonic
    node: str = field(default_factory=_new_id)
