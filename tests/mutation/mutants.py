"""The mutants of a source file: where each is, what it changes, and the file's text with it."""

import ast
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import libcst as cst
from libcst.metadata import CodeRange, MetadataWrapper, WhitespaceInclusivePositionProvider
from mutmut.mutation.file_mutation import Mutation, MutationVisitor, deep_replace
from mutmut.mutation.pragma_handling import IgnoredCode

from tests.mutation.exempt import exempt
from tests.mutation.operators import OPERATORS
from tests.mutation.settings import ROOT


@dataclass(frozen=True)
class Mutant:
    """A fault in one place. Its name is its content, so that it outlives lines that move."""

    file: str
    line: int
    function: str
    before: str
    after: str
    mutated: str
    """The file's whole text."""
    statement: range
    """Lines of the smallest statement around it."""

    @property
    def name(self) -> tuple[str, str, str, str]:
        return self.file, self.function, self.before, self.after

    def __str__(self) -> str:
        return f"{self.function}\n    - {self.before}\n    + {self.after}"


def mutants_of(path: Path) -> list[Mutant]:
    """All that count, in the order of their lines."""
    found = {each.mutated: each for each in _File(path).mutants()}  # of twins, one
    return sorted(found.values(), key=lambda each: (each.line, each.before, each.after))


class _Visitor(MutationVisitor):
    """mutmut's, and it looks into functions with decorators: we swap code, not names."""

    def _skip_node_and_children(self, node: cst.CSTNode) -> bool:
        if exempt(node):
            return True
        if isinstance(node, cst.FunctionDef) and node.decorators:
            node = node.with_changes(decorators=[])
        return super()._skip_node_and_children(node)


class _File:
    def __init__(self, path: Path) -> None:
        self.name = str(path.resolve().relative_to(ROOT))
        self.text = path.read_text(encoding="utf-8")
        self.lines = self.text.splitlines(keepends=True)
        self.tree = ast.parse(self.text)
        self.wrapper = MetadataWrapper(cst.parse_module(self.text))

    @cached_property
    def positions(self) -> dict[cst.CSTNode, CodeRange]:
        return dict(self.wrapper.resolve(WhitespaceInclusivePositionProvider))

    def mutants(self) -> Iterator[Mutant]:
        visitor = _Visitor(OPERATORS, IgnoredCode(set(), set(), set()))
        self.wrapper.visit(visitor)
        for mutation in visitor.mutations:
            text = self._with(mutation)
            if text != self.text and _compiles(text):
                yield self._mutant(text)

    def _with(self, mutation: Mutation) -> str:
        """The file's text with the mutation in it."""
        module, node = self.wrapper.module, mutation.original_node
        if isinstance(node, cst.BaseCompoundStatement | cst.ExceptHandler):
            changed = deep_replace(module, node, mutation.mutated_node)
            assert isinstance(changed, cst.Module)
            return changed.code
        place = self.positions[node]
        start, end = self._offset(place.start), self._offset(place.end)
        return self.text[:start] + module.code_for_node(mutation.mutated_node) + self.text[end:]

    def _offset(self, position: cst.metadata.CodePosition) -> int:
        return sum(map(len, self.lines[: position.line - 1])) + position.column

    def _mutant(self, text: str) -> Mutant:
        first, before, after = _difference(self.lines, text.splitlines(keepends=True))
        statement = self._statement(first)
        return Mutant(
            self.name,
            first,
            ".".join(self._around(first)) or "<module>",
            _brief(before),
            _brief(after),
            text,
            statement,
        )

    def _around(self, line: int) -> list[str]:
        """The classes and functions that the line is in."""
        definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        return [node.name for node in _nodes_at(self.tree, line) if isinstance(node, definitions)]

    def _statement(self, line: int) -> range:
        """Lines of the smallest statement there; of one with a body, those before it."""
        found = range(line, line + 1)
        for node in _nodes_at(self.tree, line):
            if isinstance(node, ast.stmt):
                end = _end_of_head(node)
                found = range(node.lineno, end + 1) if line <= end else range(line, line + 1)
        return found


def _end_of_head(node: ast.stmt) -> int:
    match node:
        case ast.Match(cases=[first, *_]):
            return first.pattern.lineno - 1
        case ast.Try() | ast.TryStar():
            return node.lineno
    body: list[ast.stmt] = getattr(node, "body", [])
    return max(node.lineno, body[0].lineno - 1) if body else node.end_lineno or node.lineno


def _nodes_at(node: ast.AST, line: int) -> Iterable[ast.AST]:
    """Nodes that span the line, outer ones first."""
    for child in ast.iter_child_nodes(node):
        end = getattr(child, "end_lineno", None)
        if end is not None and child.lineno <= line <= end:  # type: ignore[attr-defined]
            yield child
        if end is None or child.lineno <= line <= end:  # type: ignore[attr-defined]
            yield from _nodes_at(child, line)


def _difference(was: list[str], now: list[str]) -> tuple[int, list[str], list[str]]:
    """The first line that differs, and what differs."""
    shorter = min(len(was), len(now))
    start = next(i for i in range(shorter + 1) if i == shorter or was[i] != now[i])
    kept = 0
    while kept < shorter - start and was[-1 - kept] == now[-1 - kept]:
        kept += 1
    return start + 1, was[start : len(was) - kept], now[start : len(now) - kept]


def _brief(lines: list[str]) -> str:
    return " ".join(line.strip() for line in lines)


def _compiles(text: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            compile(text, "mutant", "exec")
        except SyntaxError:
            return False
    return True
