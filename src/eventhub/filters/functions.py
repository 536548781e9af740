"""The functions and methods of expressions (the CEL specification, "Standard definitions").

Each takes the run, for the budget, and its arguments, and raises EvaluationError for values that
it does not take. A method's target is its first argument.
"""

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from eventhub.filters.values import (
    EvaluationError,
    Run,
    TypeName,
    Uint,
    checked,
    kind_of,
    no_overload,
)

Function = Callable[..., Any]
NUMBER_LENGTH = 64
"""Longest text that is converted to a number, a time or a duration."""


class Signature(NamedTuple):
    """A function with its number of arguments, a method's target included, and how it is called."""

    function: Function
    arguments: int
    as_function: bool = True
    as_method: bool = False


def _size(run: Run, value: Any) -> int:
    if isinstance(value, str | list | dict):
        return len(value)
    raise no_overload("size", value)


def _texts(name: str, test: Callable[[str, str], bool]) -> Function:
    def method(run: Run, text: Any, part: Any) -> bool:
        if type(text) is not str or type(part) is not str:
            raise no_overload(name, text, part)
        run.spend(len(text) // 256)
        return test(text, part)

    return method


def _lower(run: Run, text: Any) -> str:
    return _ascii(run, "lowerAscii", text, _LOWER)


def _upper(run: Run, text: Any) -> str:
    return _ascii(run, "upperAscii", text, _UPPER)


_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}
_UPPER = {code + 32: code for code in _LOWER}


def _ascii(run: Run, name: str, text: Any, table: Mapping[int, int]) -> str:
    if type(text) is not str:
        raise no_overload(name, text)
    run.spend(len(text) // 16)
    return text.translate(table)


# Conversions


def _int(run: Run, value: Any) -> int:
    if isinstance(value, datetime):
        return int((value - _EPOCH) // timedelta(seconds=1))
    return checked(_whole("int", value), "int")


def _uint(run: Run, value: Any) -> int:
    return checked(_whole("uint", value), "uint")


def _whole(name: str, value: Any) -> int:
    kind = type(value)
    if kind is str and len(value) <= NUMBER_LENGTH and re.fullmatch(r"-?[0-9]+", value, re.ASCII):
        return int(value)
    if kind is float and math.isfinite(value):
        return int(value)
    if kind in (int, Uint):
        return int(value)
    raise _inconvertible(name, value)


def _double(run: Run, value: Any) -> float:
    if type(value) in (int, Uint, float):
        return float(value)
    if type(value) is str and len(value) <= NUMBER_LENGTH and _DOUBLE.fullmatch(value):
        return float(value)
    raise _inconvertible("double", value)


_DOUBLE = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*(?:[eE][+-]?[0-9]+)?|\.[0-9]+)", re.ASCII)


def _bool(run: Run, value: Any) -> bool:
    if type(value) is bool:
        return value
    if type(value) is str and value in _BOOLS:
        return _BOOLS[value]
    raise _inconvertible("bool", value)


_BOOLS = {"true": True, "false": False}


def _string(run: Run, value: Any) -> str:
    match value:
        case str() if type(value) is str:
            return value
        case bool():
            return "true" if value else "false"
        case int():
            return str(int(value))
        case float():
            return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
        case datetime():
            return _TRAILING.sub("Z", f"{value:%Y-%m-%dT%H:%M:%S.%f}Z")
        case timedelta():
            seconds = value / timedelta(seconds=1)
            return f"{int(seconds) if seconds.is_integer() else seconds}s"
    raise _inconvertible("string", value)


_TRAILING = re.compile(r"\.?0*Z$")


def _inconvertible(name: str, value: Any) -> EvaluationError:
    found = "null" if value is None else f"the {kind_of(value)}"
    shown = f" {value[:20]!r}" if type(value) is str else ""
    return EvaluationError(f"{name} does not take {found}{shown}")


def _type(run: Run, value: Any) -> TypeName:
    return TypeName(kind_of(value))


def _dyn(run: Run, value: Any) -> Any:
    return value


# Times

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIME = re.compile(r"(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:)(\d\d)(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h)")
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def _timestamp(run: Run, value: Any) -> datetime:
    if type(value) is datetime:
        return value
    try:
        if type(value) is int:
            return _EPOCH + timedelta(seconds=value)
        if type(value) is str and len(value) <= NUMBER_LENGTH and (found := _TIME.fullmatch(value)):
            minute, second, fraction, zone = found.groups()
            leap = timedelta(seconds=second == "60")  # a payload may have such a time
            second = "59" if leap else second
            text = f"{minute.upper()}{second}{(fraction or '')[:7]}{zone.upper()}"
            return datetime.fromisoformat(text).astimezone(UTC) + leap
    except (ValueError, OverflowError):
        pass
    raise _inconvertible("timestamp", value)


def _duration(run: Run, value: Any) -> timedelta:
    if type(value) is timedelta:
        return value
    if type(value) is str and len(value) <= NUMBER_LENGTH:
        text = value[1:] if value[:1] in ("+", "-") else value
        parts = _PART.findall(text)
        if parts and "".join(map("".join, parts)) == text:
            seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
            try:
                return timedelta(seconds=-seconds if value[0] == "-" else seconds)
            except OverflowError:
                pass
    raise _inconvertible("duration", value)


def _reading(name: str, read: Callable[[datetime], int]) -> Function:
    def method(run: Run, time: Any) -> int:
        if type(time) is not datetime:
            raise no_overload(name, time)
        return read(time)

    return method


_READINGS: dict[str, Callable[[datetime], int]] = {
    "getFullYear": lambda time: time.year,
    "getMonth": lambda time: time.month - 1,
    "getDate": lambda time: time.day,
    "getDayOfMonth": lambda time: time.day - 1,
    "getDayOfWeek": lambda time: time.isoweekday() % 7,
    "getDayOfYear": lambda time: time.timetuple().tm_yday - 1,
    "getHours": lambda time: time.hour,
    "getMinutes": lambda time: time.minute,
    "getSeconds": lambda time: time.second,
    "getMilliseconds": lambda time: time.microsecond // 1000,
}

FUNCTIONS: Mapping[str, Signature] = (
    {
        "size": Signature(_size, 1, as_method=True),
        "int": Signature(_int, 1),
        "uint": Signature(_uint, 1),
        "double": Signature(_double, 1),
        "bool": Signature(_bool, 1),
        "string": Signature(_string, 1),
        "timestamp": Signature(_timestamp, 1),
        "duration": Signature(_duration, 1),
        "type": Signature(_type, 1),
        "dyn": Signature(_dyn, 1),
        "lowerAscii": Signature(_lower, 1, as_function=False, as_method=True),
        "upperAscii": Signature(_upper, 1, as_function=False, as_method=True),
    }
    | {
        name: Signature(_texts(name, test), 2, as_function=False, as_method=True)
        for name, test in {
            "contains": str.__contains__,
            "startsWith": str.startswith,
            "endsWith": str.endswith,
        }.items()
    }
    | {
        name: Signature(_reading(name, read), 1, as_function=False, as_method=True)
        for name, read in _READINGS.items()
    }
)
TYPES = frozenset({"bool", "int", "uint", "double", "string", "list", "map", "null_type"})
