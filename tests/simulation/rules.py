"""Rules of the product that a run can do without, to show that each is necessary.

A rule is switched off by replacing the text of its one condition or statement, so that everything
else is the product's own code. A text that is no longer there fails: the rule has moved.
"""

import inspect
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from tests.simulation.world import World

SEEDS = 500
"""Seeds among which some run needs each rule that has no scenario."""


@dataclass(frozen=True, slots=True)
class Rule:
    """`text` of a function says that something holds; with `without` in its place it does not.

    `needed` is a run that fails then: a seed, or a scenario.
    """

    name: str
    owner: Any
    """A class, or a module."""
    function: str
    text: str
    without: str
    needed: int | Callable[[], World]

    def seeds(self) -> Iterable[int]:
        """Those whose runs may need the rule. A change of the product may make it another one."""
        assert isinstance(self.needed, int)
        return self.needed, *range(SEEDS)

    def worlds(self) -> Iterator[World]:
        """The run that needs the rule."""
        if isinstance(self.needed, int):
            yield from map(World, self.seeds())
        else:
            yield self.needed()

    @contextmanager
    def switched_off(self) -> Iterator[None]:
        """The product without this rule."""
        function = getattr(self.owner, self.function)
        source = textwrap.dedent(inspect.getsource(function))
        assert source.count(self.text) == 1, f"{self.text!r} is not in {function.__qualname__}"
        module = sys.modules[function.__module__]
        made: dict[str, Any] = {}
        exec(source.replace(self.text, self.without), module.__dict__, made)
        with patch.object(self.owner, self.function, made[self.function]):
            yield
