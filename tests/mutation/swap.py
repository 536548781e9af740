"""A mutant in a process that has imported the original: functions get the mutant's code.

That is possible for code that runs when a function is called. What runs when a module is imported
(constants, fields, default values) needs a process that has not imported it (`cold.py`).
"""

import gc
import warnings
from collections import defaultdict
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any


class ImportTime(Exception):
    """The mutant changes what happens on import."""


class Functions:
    """All functions of a process that come from certain files."""

    def __init__(self, files: frozenset[str]) -> None:
        self._found: dict[tuple[str, str, int], list[FunctionType]] = defaultdict(list)
        gc.unfreeze()  # what is frozen is not among the objects: tests/conftest.py freezes all
        for each in gc.get_objects():
            if type(each) is FunctionType and each.__code__.co_filename in files:
                self._found[_place(each.__code__)].append(each)

    def swap(self, original: CodeType, mutant: CodeType) -> None:
        """Give functions the mutant's code. Raises ImportTime, then nothing has changed."""
        swaps = []
        for was, now in _differing(original, mutant):
            own = _own(was)
            functions = [each for each in self._found[_place(was)] if _own(each.__code__) == own]
            if was in _direct(original) and not functions:
                raise ImportTime
            if was.co_freevars != now.co_freevars and functions:
                raise ImportTime  # Python refuses it
            swaps += [(function, now) for function in functions]
        if not swaps:
            raise ImportTime
        for function, code in swaps:
            function.__code__ = code


def compiled(text: str, path: str) -> CodeType:
    """Code of a module, as Python compiles it on import. Raises SyntaxError."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return compile(text, path, "exec", dont_inherit=True)


def _differing(was: CodeType, now: CodeType) -> Iterator[tuple[CodeType, CodeType]]:
    """Functions whose code differs, outer ones first. Raises ImportTime for a body of a module or
    class.
    """
    if _deep(was) == _deep(now):
        return
    inner_was, inner_now = _inner(was), _inner(now)
    if was.co_flags & 0x2:  # CO_NEWLOCALS: of modules and classes it is not set
        yield was, now
    elif _own(was) != _own(now) or len(inner_was) != len(inner_now):
        raise ImportTime
    if len(inner_was) == len(inner_now):
        for pair in zip(inner_was, inner_now, strict=True):
            yield from _differing(*pair)


def _direct(module: CodeType) -> set[CodeType]:
    """Functions that exist once the module is imported."""
    found: set[CodeType] = set()
    for each in _inner(module):
        found |= {each} if each.co_flags & 0x2 else _direct(each)
    return found


def _inner(code: CodeType) -> list[CodeType]:
    return [each for each in code.co_consts if isinstance(each, CodeType)]


def _place(code: CodeType) -> tuple[str, str, int]:
    return code.co_filename, code.co_qualname, code.co_firstlineno


def _own(code: CodeType) -> tuple[Any, ...]:
    """What code does, without the code in it and without its place."""
    consts = tuple(
        None if isinstance(each, CodeType) else (type(each), repr(each)) for each in code.co_consts
    )
    names = code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars
    return code.co_name, code.co_code, consts, names, code.co_flags, code.co_exceptiontable


def _deep(code: CodeType) -> tuple[Any, ...]:
    return _own(code), tuple(_deep(each) for each in _inner(code))
