"""The kinds of values that are known before an event comes: a filter that fails on each is refused.

What comes from `data` is not known.
"""

from collections.abc import Mapping

from eventhub.filters.functions import TYPES
from eventhub.filters.nodes import Call, ListOf, Literal, Loop, MapOf, Name, Node, Select
from eventhub.filters.tokens import FilterSyntaxError
from eventhub.filters.values import described

BOOL = "a bool"
_NUMBER = "a number"
_TEXT = "a string"
_NAMES: Mapping[str, str] = {
    "channel": _TEXT,
    "id": _TEXT,
    "time": "a timestamp",
    "attributes": "a map",
    "extensions": "a map",
}
_CALLS: Mapping[str, str] = {
    **dict.fromkeys(("&&", "||", "!", "!!", "==", "!=", "<", "<=", ">", ">=", "in"), BOOL),
    **dict.fromkeys(("bool", "matches", "contains", "startsWith", "endsWith"), BOOL),
    **dict.fromkeys(("-", "*", "/", "%", "negative", "--"), "a number or a time"),
    **dict.fromkeys(("size", "int", "uint", "double"), _NUMBER),
    **dict.fromkeys(("string", "lowerAscii", "upperAscii"), _TEXT),
    "+": "a sum",
    "timestamp": "a timestamp",
    "duration": "a duration",
    "type": "a type",
}
_CONDITIONS = frozenset({"&&", "||", "!", "!!"})


def kind(node: Node) -> str | None:
    """What the value of each event is, or None: it depends on the event."""
    match node:
        case Literal():
            return described(node.value)
        case Name():
            return "a type" if node.name in TYPES else _NAMES.get(node.name)
        case Select():
            return BOOL if node.test else None
        case ListOf():
            return "a list"
        case MapOf():
            return "a map"
        case Loop():
            return "a list" if node.macro in ("map", "filter") else BOOL
        case Call():
            return _kind_of_call(node)
    raise AssertionError(node)


def check_condition(node: Node) -> None:
    """Raise FilterSyntaxError if a condition, or a part that must be one, is none for any event."""
    found = kind(node)
    if found not in (None, BOOL):
        raise FilterSyntaxError(f"this is {found}; expected true or false", node.column)
    match node:
        case Call(function="?:", arguments=(condition, *_)):
            check_condition(condition)
        case Call() if node.function in _CONDITIONS:
            for part in node.arguments:
                check_condition(part)
        case Loop() if node.macro != "map" and node.variable not in TYPES | _NAMES.keys():
            check_condition(node.body)  # its variable hides no name whose kind is known


def _kind_of_call(node: Call) -> str | None:
    if node.function == "?:":
        chosen, otherwise = map(kind, node.arguments[1:])
        return chosen if chosen == otherwise else None
    if node.function == "dyn" and len(node.arguments) == 1:
        return kind(node.arguments[0])
    if node.function.startswith("get"):
        return _NUMBER
    return _CALLS.get(node.function)
