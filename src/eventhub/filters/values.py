"""The values of expressions: equality, order and arithmetic (the CEL specification, "Values").

Values are those of parsed JSON, and datetime, timedelta, Uint and TypeName. `Run` has the budget.
"""

import math
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

LARGEST = 2**63 - 1
LONG = 1024
"""Strings above this length cost more steps."""


class Uint(int):
    """An unsigned integer of 64 bits."""

    __slots__ = ()


class TypeName(str):
    """The value of `type(x)`, and of the names `int`, `string` and so on."""

    __slots__ = ()


class EvaluationError(Exception):
    """An expression has no value for an event. `&&` and `||` may do without it."""


class Exhausted(Exception):
    """An expression takes more steps for one event than it may."""


class Run:
    """One evaluation: the values of the names, and the steps that are left."""

    __slots__ = ("left", "names")

    def __init__(self, names: dict[str, Any], steps: int) -> None:
        self.names = names
        self.left = steps

    def spend(self, steps: int) -> None:
        """Raises Exhausted when there are not as many left."""
        self.left -= steps
        if self.left < 0:
            raise Exhausted


Evaluate = Callable[[Run], Any]
"""The value of an expression in a run. Raises EvaluationError or Exhausted."""

KINDS: Mapping[type, str] = {
    bool: "bool",
    int: "int",
    Uint: "uint",
    float: "double",
    str: "string",
    list: "list",
    dict: "map",
    type(None): "null_type",
    datetime: "google.protobuf.Timestamp",
    timedelta: "google.protobuf.Duration",
    TypeName: "type",
}
NUMBERS = frozenset({int, Uint, float})
_ORDERED = frozenset({bool, str, datetime, timedelta})


def kind_of(value: Any) -> str:
    """The CEL type of a value. JSON integers beyond 63 bits are unsigned."""
    kind = KINDS[type(value)]
    return "uint" if kind == "int" and value > LARGEST else kind


def described(value: Any) -> str:
    """The type of a value for a sentence: "null", "an int", "a string"."""
    if value is None:
        return "null"
    kind = kind_of(value).rpartition(".")[2].lower()
    return f"an {kind}" if kind == "int" else f"a {kind}"


def no_overload(operator: str, *values: Any) -> EvaluationError:
    """The error for operands of these types."""
    kinds = " and ".join(described(value).rpartition(" ")[2] for value in values)
    return EvaluationError(f"{operator} does not take {kinds}")


def equal(run: Run, left: Any, right: Any) -> bool:
    """Numbers are equal by value, whatever their type. Other values of two types are not equal."""
    kind, other = type(left), type(right)
    if kind is not other:
        return kind in NUMBERS and other in NUMBERS and bool(left == right)
    if kind is list:
        run.spend(len(left))
        return len(left) == len(right) and all(
            equal(run, one, another) for one, another in zip(left, right, strict=True)
        )
    if kind is dict:
        run.spend(len(left))
        return len(left) == len(right) and all(
            key in right and equal(run, value, right[key]) for key, value in left.items()
        )
    if kind is str and len(left) > LONG and len(left) == len(right):
        run.spend(len(left) // LONG)
    return bool(left == right)


def contains(run: Run, value: Any, container: Any) -> bool:
    """`value in container`. Raises EvaluationError."""
    if type(container) is dict:
        return type(value) in _KEYS and value in container
    if type(container) is not list:
        raise no_overload("in", value, container)
    run.spend(len(container))
    if type(value) is str:
        return value in container
    return any(equal(run, value, each) for each in container)


_KEYS = frozenset({str, int, Uint, float})


def compare(operator: str, run: Run, left: Any, right: Any) -> bool:
    """One of < <= > >=. Raises EvaluationError for types that have no order between them."""
    kind, other = type(left), type(right)
    if kind is not other or kind not in _ORDERED:
        if kind not in NUMBERS or other not in NUMBERS:
            raise no_overload(operator, left, right)
    elif kind is str:
        run.spend(min(len(left), len(right)) // LONG)
    match operator:
        case "<":
            return bool(left < right)
        case "<=":
            return bool(left <= right)
        case ">":
            return bool(left > right)
    return bool(left >= right)


def arithmetic(operator: str, run: Run, left: Any, right: Any) -> Any:
    """One of + - * / %. Raises EvaluationError."""
    kind, other = kind_of(left), kind_of(right)
    if kind == other and kind in ("int", "uint"):
        return _integer(operator, left, right, kind)
    if kind == other == "double" and operator != "%":
        return _double(operator, left, right)
    if operator == "+" and kind == other and kind in ("string", "list"):
        run.spend((len(left) + len(right)) // 64)
        return left + right
    try:
        if operator in "+-" and "Duration" in other and ("Timestamp" in kind or "Duration" in kind):
            return left + right if operator == "+" else left - right
        if operator == "+" and "Duration" in kind and "Timestamp" in other:
            return right + left
        if operator == "-" and "Timestamp" in kind and "Timestamp" in other:
            return left - right
    except OverflowError:
        raise EvaluationError("the time is out of range") from None
    raise no_overload(operator, left, right)


def _integer(operator: str, left: int, right: int, kind: str) -> int:
    left, right = int(left), int(right)
    match operator:
        case "+":
            result = left + right
        case "-":
            result = left - right
        case "*":
            result = left * right
        case _ if right == 0:
            raise EvaluationError("division by zero")
        case "/":  # rounds towards zero
            result = abs(left) // abs(right)
            result = result if (left < 0) == (right < 0) else -result
        case _:  # has the sign of the dividend
            result = abs(left) % abs(right)
            result = result if left >= 0 else -result
    return checked(result, kind)


def checked(result: int, kind: str) -> int:
    """An integer of this kind. Raises EvaluationError if it has more than 64 bits."""
    if kind == "uint":
        if not 0 <= result <= 2 * LARGEST + 1:
            raise EvaluationError("the unsigned integer is out of range")
        return Uint(result)
    if not -LARGEST - 1 <= result <= LARGEST:
        raise EvaluationError("the integer is out of range")
    return result


def _double(operator: str, left: float, right: float) -> float:
    match operator:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
    if right == 0:
        if left == 0 or math.isnan(left):
            return math.nan
        return math.copysign(math.inf, left) * math.copysign(1, right)
    return left / right


def negative(run: Run, value: Any) -> Any:
    """`-value`. Raises EvaluationError."""
    if type(value) is float:
        return -value
    if kind_of(value) != "int":
        raise no_overload("-", value)
    return checked(-value, "int")
