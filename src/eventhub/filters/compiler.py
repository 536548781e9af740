"""Syntax tree to functions: each node becomes a closure that gives its value in a run.

Names, functions and regular expressions are checked here. Steps are counted where their number
depends on the event: in loops, and in what is done with long values. All other nodes are evaluated
once at most, and the length of the text bounds them.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from eventhub.filters import regular
from eventhub.filters.functions import FUNCTIONS, TYPES
from eventhub.filters.loops import loop
from eventhub.filters.nodes import Call, ListOf, Literal, Loop, MapOf, Name, Node, Select
from eventhub.filters.operations import OPERATIONS, choice, equality, junction, located
from eventhub.filters.parser import MACROS
from eventhub.filters.tokens import FilterSyntaxError
from eventhub.filters.values import Evaluate, EvaluationError, Run, TypeName, described, no_overload


class Compiler:
    """Compiles trees. `keys` has the names that are known, each with its key in `Run.names`."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._keys = keys

    @classmethod
    def of(cls, names: Iterable[str]) -> "Compiler":
        """For expressions without variables of macros around them."""
        return cls({name: name for name in names})

    def compile(self, node: Node) -> Evaluate:
        """Raises FilterSyntaxError."""
        match node:
            case Literal():
                return _constant(node.value)
            case Name():
                return self._name(node)
            case Select():
                return self._select(node)
            case ListOf():
                constants = [item.value for item in node.items if isinstance(item, Literal)]
                if len(constants) == len(node.items):
                    return _constant(constants)
                items = [self.compile(item) for item in node.items]
                return lambda run: [item(run) for item in items]
            case MapOf():
                return self._map(node)
            case Loop():
                return self._loop(node)
            case Call():
                return self._call(node)
        raise AssertionError(node)

    # Names and fields

    def _name(self, node: Name) -> Evaluate:
        name = node.name
        if (key := self._keys.get(name)) is not None:
            return lambda run: run.names[key]
        if name in TYPES:
            return _constant(TypeName(name))
        known = ", ".join(sorted(self._keys))
        raise FilterSyntaxError(f"unknown name {name[:40]!r}; known are {known}", node.column)

    def _select(self, node: Select) -> Evaluate:
        field, where = node.field, f"(column {node.column})"
        target = self.compile(node.target)

        def test(run: Run) -> bool:
            value = target(run)
            if type(value) is not dict:
                raise EvaluationError(f"has of {described(value)} {where}")
            return field in value

        def select(run: Run) -> Any:
            value = target(run)
            try:
                if type(value) is dict:
                    return value[field]
            except KeyError:
                raise EvaluationError(f"there is no {field[:40]!r} {where}") from None
            raise EvaluationError(f"{described(value)} has no {field[:40]!r} {where}")

        return test if node.test else select

    def _map(self, node: MapOf) -> Evaluate:
        keys = [self.compile(key) for key in node.keys]
        values = [self.compile(value) for value in node.values]

        def build(run: Run) -> dict[Any, Any]:
            found: dict[Any, Any] = {}
            for key, value in zip(keys, values, strict=True):
                name = key(run)
                if type(name) is not str:
                    raise EvaluationError(f"a key is {described(name)}; expected a string")
                if name in found:
                    raise EvaluationError("a key is given twice")
                found[name] = value(run)
            return found

        return build

    # Operators and functions

    def _call(self, node: Call) -> Evaluate:
        if node.function == "matches":
            return self._matches(node)
        parts = [self.compile(argument) for argument in node.arguments]
        if node.function in ("||", "&&"):
            return junction(node.function, parts)
        if node.function == "?:":
            return choice(*parts)
        if node.function in ("==", "!="):
            return equality(*parts, is_equal=node.function == "==")
        return located(self._operation(node), parts, node.column)

    def _operation(self, node: Call) -> Callable[..., Any]:
        """What is done with the values of the arguments, given after the run."""
        name = node.function
        if name in OPERATIONS:
            return OPERATIONS[name]
        found = FUNCTIONS.get(name)
        if found is None or not (found.as_method if node.method else found.as_function):
            if name in MACROS or (found is not None and found.as_method):
                hint = f"; it is called as in data.text.{name}(…)"
            else:
                hint = f"; it is called as in {name}(…)" if found else _known(node)
            kind = "method" if node.method else "function"
            raise FilterSyntaxError(f"unknown {kind} {name[:40]!r}{hint}", node.column)
        if len(node.arguments) != found.arguments:
            given, expected = (count - node.method for count in (len(node.arguments), found[1]))
            raise FilterSyntaxError(
                f"{name} is given {given} arguments; expected {expected}", node.column
            )
        return found.function

    def _matches(self, node: Call) -> Evaluate:
        expected = 'expected a text and a constant pattern, such as data.text.matches("^a+")'
        if len(node.arguments) != 2:
            raise FilterSyntaxError(f"matches: {expected}", node.column)
        pattern = node.arguments[1]
        if not isinstance(pattern, Literal) or type(pattern.value) is not str:
            raise FilterSyntaxError(f"matches: {expected}", pattern.column)
        try:
            found = regular.compiled(pattern.value)
        except ValueError as error:
            raise FilterSyntaxError(f"the regular expression {error}", pattern.column) from None
        cost = regular.cost(pattern.value)

        def matches(run: Run, text: Any) -> bool:
            if type(text) is not str:
                raise no_overload("matches", text)
            run.spend(len(text) * cost // 64)
            return found(text)

        return located(matches, [self.compile(node.arguments[0])], node.column)

    def _loop(self, node: Loop) -> Evaluate:
        key = f"{node.variable} {node.column}"  # no name has a space, so nothing is hidden
        inner = Compiler({**self._keys, node.variable: key})
        condition = None if node.condition is None else inner.compile(node.condition)
        return loop(node, key, self.compile(node.over), inner.compile(node.body), condition)


def _known(node: Call) -> str:
    """The functions, or the methods, that there are."""
    if node.function == "not":
        return "; ! is not"
    names = {
        name
        for name, each in FUNCTIONS.items()
        if (each.as_method if node.method else each.as_function)
    }
    names |= {"matches", *MACROS} if node.method else {"has", "matches"}
    return f"; known are {', '.join(sorted(names))}"


def _constant(value: Any) -> Evaluate:
    return lambda run: value  # noqa: ARG005
