"""Text to syntax tree (the CEL specification, "Syntax").

By precedence, lowest first: `a ? b : c`, `||`, `&&`, relations and `in`, `+ -`, `* / %`, `! -`,
then `.name`, `[index]` and calls.
"""

from collections.abc import Callable
from typing import TypeVar

from eventhub.filters.nodes import Call, ListOf, Literal, Loop, MapOf, Name, Node, Select
from eventhub.filters.tokens import FilterSyntaxError, Token, tokens
from eventhub.filters.values import LARGEST

T = TypeVar("T")

DEPTH = 50
"""Levels of nested expressions. `a + b + c` has two; any number of `&&` in a row have one."""
MACROS = frozenset({"all", "exists", "exists_one", "filter", "map"})
_INFIX = {
    "and": "; && is and",
    "or": "; || is or",
    "not": "; !(… in …) is not in",
    "is": "; == compares",
    "eq": "; == compares",
    "ne": "; != compares",
    "like": '; see data.text.contains("a") and data.text.matches("^a+")',
    "matches": '; it is called as in data.text.matches("^a+")',
    "contains": '; it is called as in data.text.contains("a")',
    "between": "; it is x >= 1 && x <= 2",
}
"""What stands for the words of other languages between two values."""
_RELATIONS = frozenset({"==", "!=", "<", "<=", ">", ">=", "in"})


def parse(text: str) -> Node:
    """The tree of an expression. Raises FilterSyntaxError."""
    return _Parser(list(tokens(text))).whole()


class _Parser:
    """Reads tokens from left to right: one method for each precedence."""

    def __init__(self, read: list[Token]) -> None:
        self._tokens = read
        self._at = 0
        self._depth = 0

    def whole(self) -> Node:
        tree = self._expression()
        if self._next.kind != "end":
            raise self._unexpected("an operator or the end")
        return tree

    # Tokens

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _take(self, *kinds: str) -> Token | None:
        """The next token if it is one of these."""
        token = self._next
        if token.kind not in kinds:
            return None
        self._at += 1
        return token

    def _name(self) -> Token:
        """A name that may be a reserved word, as fields may be called."""
        return self._take("reserved") or self._expect("name")

    def _expect(self, kind: str) -> Token:
        if (token := self._take(kind)) is None:
            raise self._unexpected("a name" if kind == "name" else repr(kind))
        return token

    def _unexpected(self, expected: str) -> FilterSyntaxError:
        token = self._next
        shown = token.text if token.kind == "end" else repr(token.text[:40])
        before = self._tokens[self._at - 1].text.lower()
        hint = "; ! is not" if before == "not" else _INFIX.get(token.text.lower(), "")
        return FilterSyntaxError(f"expected {expected}, found {shown}{hint}", token.column)

    # Nodes

    def _measure(self, column: int, *parts: Node) -> tuple[int, int, int]:
        """The fields of a node with these parts. Raises FilterSyntaxError beyond DEPTH."""
        depth = 1 + max((part.depth for part in parts), default=0)
        if depth > DEPTH:
            raise self._too_deep(column)
        return column, depth, 1 + sum(part.size for part in parts)

    @staticmethod
    def _too_deep(column: int) -> FilterSyntaxError:
        return FilterSyntaxError(f"nested more than {DEPTH} levels deep", column)

    def _call(self, column: int, function: str, *arguments: Node, method: bool = False) -> Node:
        return Call(*self._measure(column, *arguments), function, arguments, method)

    # Grammar

    def _expression(self) -> Node:
        self._depth += 1
        if self._depth > DEPTH:
            raise self._too_deep(self._next.column)
        tree = self._any_of()
        if token := self._take("?"):
            chosen = self._any_of()
            self._expect(":")
            tree = self._call(token.column, "?:", tree, chosen, self._expression())
        self._depth -= 1
        return tree

    def _any_of(self) -> Node:
        return self._row("||", self._all_of)

    def _all_of(self) -> Node:
        return self._row("&&", lambda: self._left(_RELATIONS, self._sum))

    def _row(self, operator: str, part: Callable[[], Node]) -> Node:
        """Parts joined by one operator are one node."""
        parts = [part()]
        column = self._next.column
        while self._take(operator):
            parts.append(part())
        return parts[0] if len(parts) == 1 else self._call(column, operator, *parts)

    def _sum(self) -> Node:
        return self._left(frozenset("+-"), self._product)

    def _product(self) -> Node:
        return self._left(frozenset("*/%"), self._unary)

    def _left(self, operators: frozenset[str], part: Callable[[], Node]) -> Node:
        tree = part()
        while token := self._take(*operators):
            tree = self._call(token.column, token.kind, tree, part())
        return tree

    def _unary(self) -> Node:
        signs = []
        while token := self._take("!", "-"):
            signs.append(token)
            if token.kind != signs[0].kind:
                raise FilterSyntaxError("! and - in a row", token.column)
        minus = bool(signs) and signs[0].kind == "-"
        if minus and isinstance(self._next.value, int | float):
            signs.pop()  # it belongs to the number: the smallest integer has no positive form
            tree = self._members(self._number(negative=True))
        else:
            tree = self._members(self._primary())
        if len(signs) % 2:
            tree = self._call(signs[0].column, "!" if not minus else "negative", tree)
        elif signs:  # checks the type
            tree = self._call(signs[0].column, "!!" if not minus else "--", tree)
        return tree

    def _number(self, *, negative: bool) -> Node:
        token = self._expect("literal")
        value = token.value
        if type(value) is int and value > LARGEST and not negative:
            raise FilterSyntaxError(f"the number {token.text} is too large", token.column)
        if negative:
            if type(value) not in (int, float):
                raise FilterSyntaxError(f"there is no -{token.text}", token.column)
            assert isinstance(value, int | float)
            value = -value
        return Literal(token.column, 1, 1, value)

    def _primary(self) -> Node:
        if self._next.kind == "literal":
            return self._number(negative=False)
        if token := self._take("("):
            tree = self._expression()
            self._expect(")")
            return tree
        if token := self._take("["):
            items = self._items("]", self._expression)
            return ListOf(*self._measure(token.column, *items), tuple(items))
        if token := self._take("{"):
            pairs = self._items("}", self._pair)
            keys, values = tuple(key for key, _ in pairs), tuple(value for _, value in pairs)
            return MapOf(*self._measure(token.column, *keys, *values), keys, values)
        if token := self._take("name"):
            if self._next.kind == "(":
                return self._function(token)
            return Name(token.column, 1, 1, token.text)
        if token := self._take("reserved"):
            raise FilterSyntaxError(f"{token.text!r} is a reserved word", token.column)
        raise self._unexpected("a value")

    def _pair(self) -> tuple[Node, Node]:
        key = self._expression()
        self._expect(":")
        return key, self._expression()

    def _items(self, end: str, item: Callable[[], T]) -> list[T]:
        """Items up to a closing bracket. A comma may follow the last one."""
        found: list[T] = []
        while not self._take(end):
            found.append(item())
            if not self._take(","):
                self._expect(end)
                break
        return found

    def _members(self, tree: Node) -> Node:
        while token := self._take(".", "["):
            if token.kind == "[":
                index = self._expression()
                self._expect("]")
                tree = self._call(token.column, "[]", tree, index)
                continue
            name = self._name()
            if self._next.kind == "(":
                tree = self._method(tree, name)
            else:
                tree = Select(*self._measure(name.column, tree), tree, name.text, test=False)
        return tree

    def _function(self, name: Token) -> Node:
        self._expect("(")
        arguments = self._items(")", self._expression)
        if name.text != "has":
            return self._call(name.column, name.text, *arguments)
        if len(arguments) != 1 or not isinstance(field := arguments[0], Select):
            raise FilterSyntaxError("has takes one field, such as has(data.level)", name.column)
        return Select(name.column, field.depth, field.size, field.target, field.field, test=True)

    def _method(self, target: Node, name: Token) -> Node:
        self._expect("(")
        arguments = self._items(")", self._expression)
        if name.text not in MACROS:
            return self._call(name.column, name.text, target, *arguments, method=True)
        variable, *rest = arguments or [target]
        with_condition = name.text == "map" and len(rest) == 2
        if not isinstance(variable, Name) or (len(rest) != 1 and not with_condition):
            expected = f"{name.text} takes a variable and an expression"
            raise FilterSyntaxError(
                f"{expected}, such as data.tags.{name.text}(tag, …)", name.column
            )
        return Loop(
            *self._measure(name.column, target, *rest),
            name.text,
            target,
            variable.name,
            rest[-1],
            rest[0] if with_condition else None,
        )
