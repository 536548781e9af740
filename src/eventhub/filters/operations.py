"""The operators, as functions of compiled parts."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from eventhub.filters.values import (
    Evaluate,
    EvaluationError,
    Run,
    arithmetic,
    compare,
    contains,
    equal,
    kind_of,
    negative,
    no_overload,
)


def located(operation: Callable[..., Any], parts: Sequence[Evaluate], column: int) -> Evaluate:
    """An operation on the values of the parts. Its errors say in which column it stands."""

    def evaluate(run: Run) -> Any:
        values = [part(run) for part in parts]
        try:
            return operation(run, *values)
        except EvaluationError as error:
            raise EvaluationError(f"{error} (column {column})") from None

    return evaluate


def equality(left: Evaluate, right: Evaluate, *, is_equal: bool) -> Evaluate:
    """`==` or `!=`."""

    def evaluate(run: Run) -> bool:
        return equal(run, left(run), right(run)) is is_equal

    return evaluate


def choice(condition: Evaluate, chosen: Evaluate, otherwise: Evaluate) -> Evaluate:
    """`?:`, which evaluates one of two parts."""

    def evaluate(run: Run) -> Any:
        value = condition(run)
        if value is True:
            return chosen(run)
        if value is False:
            return otherwise(run)
        raise no_overload("?:", value)

    return evaluate


def junction(operator: str, parts: Sequence[Evaluate]) -> Evaluate:
    """`||` or `&&`: the first part that decides, even if one before it has no value."""
    decisive = operator == "||"

    def evaluate(run: Run) -> bool:
        failure: EvaluationError | None = None
        for part in parts:
            try:
                value = part(run)
            except EvaluationError as error:
                failure = error
                continue
            if value is decisive:
                return operator == "||"
            if type(value) is not bool:
                failure = no_overload(operator, value)
        if failure is not None:
            raise failure
        return not decisive

    return evaluate


def _index(run: Run, container: Any, index: Any) -> Any:
    if type(container) is dict and type(index) is str:
        if index not in container:
            raise EvaluationError(f"there is no {index[:40]!r}")
        return container[index]
    if type(container) is list and kind_of(index) == "int":
        if not 0 <= index < len(container):
            raise EvaluationError(f"there is no item {index} in a list of {len(container)}")
        return container[index]
    raise no_overload("[ ]", container, index)


def _not(run: Run, value: Any) -> bool:
    if isinstance(value, bool):
        return not value
    raise no_overload("!", value)


OPERATIONS: Mapping[str, Callable[..., Any]] = {
    "in": contains,
    "[]": _index,
    "!": _not,
    "!!": lambda run, value: not _not(run, value),
    "negative": negative,
    "--": lambda run, value: negative(run, negative(run, value)),
    **{operator: partial(compare, operator) for operator in ("<", "<=", ">", ">=")},
    **{operator: partial(arithmetic, operator) for operator in "+-*/%"},
}
