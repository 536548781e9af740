"""Rules of the product that a run can do without, to show that each is necessary.

A rule is switched off by replacing the text of its one condition or statement, so that everything
else is the product's own code. A text that is no longer there fails: the rule has moved.
"""

import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from tests.simulation.world import World


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

    def world(self) -> World:
        """A run that needs the rule."""
        return World(self.needed) if isinstance(self.needed, int) else self.needed()

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
