"""One filter of events: an expression that is true for the events that a reader wants."""

from eventhub.errors import InvalidFilter
from eventhub.events.event import DELETED, Event
from eventhub.filters.compiler import Compiler
from eventhub.filters.fields import NAMES, RecentFields
from eventhub.filters.kinds import check_condition
from eventhub.filters.parser import parse
from eventhub.filters.tokens import FilterSyntaxError
from eventhub.filters.values import EvaluationError, Exhausted, Run, described

STEPS = 10_000
"""Steps of one evaluation: about two milliseconds."""
STEPS_EARNED = 500
"""Steps that each event allows a filter in the long run: about a tenth of a millisecond."""
STEPS_SAVED = 50_000
"""Steps that it may have saved, and may take at once."""


class FilterFailed(Exception):
    """The filter has no value for an event. The text says why."""


class EventFilter:
    """A compiled expression. All readers of a node with the same text share it."""

    __slots__ = ("__weakref__", "_evaluate", "_fields", "_saved", "steps", "text")

    def __init__(self, text: str, fields: RecentFields) -> None:
        """Raises InvalidFilter."""
        self.text = text
        self._fields = fields
        self.steps = 0
        """Steps taken so far."""
        self._saved = STEPS_SAVED
        try:
            tree = parse(text)
            self._evaluate = Compiler.of(NAMES).compile(tree)
            check_condition(tree)
        except FilterSyntaxError as error:
            reason = f"column {error.column}: {error.message}"
            detail = {"pointer": "/where", "message": reason}
            raise InvalidFilter(f"where is no filter: {reason}", [detail]) from None

    def __repr__(self) -> str:
        return f"EventFilter({self.text!r})"

    def matches(self, event: Event) -> bool:
        """Whether a reader gets this event.

        The deletion of a key, whose data is null, is left out only if the expression is false: a
        reader that keeps the newest event of each key would otherwise keep one that is gone.

        Raises FilterFailed; InvalidFilter if it takes too many steps for most events.
        """
        if self._saved < 0:
            raise self.too_slow()
        run = Run(self._fields.of(event), STEPS)
        try:
            verdict = self._evaluate(run)
            if verdict is True or verdict is False:
                return verdict
            reason = f"the value is {described(verdict)}; expected true or false"
        except EvaluationError as error:
            reason = str(error)
        except Exhausted:
            reason = f"it takes more than {STEPS} steps"
        except Exception as error:  # a fault of this node, or data that it did not store
            reason = f"it cannot be evaluated: {type(error).__name__}"
        finally:
            if (taken := STEPS - run.left) or self._saved < STEPS_SAVED:
                self.steps += taken
                self._saved = min(STEPS_SAVED, self._saved + STEPS_EARNED - taken)
        if event.attributes and DELETED in event.attributes:
            return True
        raise FilterFailed(reason)

    @staticmethod
    def too_slow() -> InvalidFilter:
        """The error for readers of a filter that has used up its steps."""
        return InvalidFilter(
            f"the filter takes more than {STEPS_EARNED} steps for each event, and is ended;"
            " loops over large lists take the most"
        )
