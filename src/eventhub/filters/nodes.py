"""The syntax tree of an expression."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Node:
    """Where the expression stands: a column, counted from 1. `size` counts its nodes."""

    column: int
    depth: int
    size: int


@dataclass(frozen=True, slots=True)
class Literal(Node):
    """A constant."""

    value: Any


@dataclass(frozen=True, slots=True)
class Name(Node):
    """A variable."""

    name: str


@dataclass(frozen=True, slots=True)
class Select(Node):
    """`target.field`, or `has(target.field)` if it is a test."""

    target: Node
    field: str
    test: bool


@dataclass(frozen=True, slots=True)
class Call(Node):
    """An operator, a function or a method. A method's target is its first argument."""

    function: str
    arguments: tuple[Node, ...]
    method: bool = False


@dataclass(frozen=True, slots=True)
class ListOf(Node):
    """`[a, b]`."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class MapOf(Node):
    """`{a: b}`."""

    keys: tuple[Node, ...]
    values: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Loop(Node):
    """A macro, such as `over.exists(variable, body)`. `condition` is that of a `map` with one."""

    macro: str
    over: Node
    variable: str
    body: Node
    condition: Node | None = None
