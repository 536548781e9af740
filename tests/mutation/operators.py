"""What is changed: mutmut's operators, and those that it lacks.

mutmut's are taken as they are, but for arguments, strings and assignments, where several of its
mutants are one fault. Ours are faults that people make and mutmut does not: a call or a `raise`
that is missing, a condition the wrong way round, `max` for `min`, an `except` for more or fewer
errors.
"""

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

import libcst as cst
from mutmut.mutation import mutators

from tests.mutation.exempt import exempt

Operator = Callable[[Any], Iterable[cst.CSTNode]]

SWAPPED = {"min": "max", "max": "min", "any": "all", "all": "any"}


def drop_statement(node: cst.BaseSmallStatement) -> Iterable[cst.CSTNode]:
    """A call, a `raise`, a `del`, a bare `return` or a counting is left out."""
    match node:
        case cst.Expr(value=cst.Call() | cst.Await()):
            yield cst.Pass()
        case cst.Return(value=None) | cst.Raise() | cst.Del() | cst.AugAssign():
            yield cst.Pass()


def negate_condition(node: cst.If) -> Iterable[cst.CSTNode]:
    """A condition is the wrong way round. Where mutmut turns it already, it is left alone."""
    match node.test:
        case cst.Comparison() | cst.UnaryOperation(operator=cst.Not()):
            return
    inner = node.test.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
    yield node.with_changes(test=cst.UnaryOperation(operator=cst.Not(), expression=inner))


def swap_builtin(node: cst.Call) -> Iterable[cst.CSTNode]:
    """`max` for `min`, `all` for `any`."""
    if isinstance(node.func, cst.Name) and node.func.value in SWAPPED:
        yield node.with_changes(func=cst.Name(SWAPPED[node.func.value]))


def change_handler(node: cst.ExceptHandler) -> Iterable[cst.CSTNode]:
    """An `except` is for every error, or for fewer: one of several is missing, or all are."""
    match node.type:
        case None:
            return
        case cst.Name("Exception"):
            yield node.with_changes(type=cst.Name("ValueError"))
            return
        case cst.Tuple(elements=[_, _, *_] as found):
            for each in found:
                comma = cst.MaybeSentinel.DEFAULT
                rest = [other.with_changes(comma=comma) for other in found if other is not each]
                yield node.with_changes(type=cst.Tuple(rest))
        case _:
            yield node.with_changes(type=cst.Tuple([]))
    yield node.with_changes(type=cst.Name("Exception"))


def widen_suppress(node: cst.Call) -> Iterable[cst.CSTNode]:
    """`suppress` is for every error."""
    if isinstance(node.func, cst.Name) and node.func.value == "suppress":
        widest = [cst.Arg(cst.Name("Exception"))]
        if not node.deep_equals(changed := node.with_changes(args=widest)):
            yield changed


def change_string(node: cst.SimpleString) -> Iterable[cst.CSTNode]:
    """mutmut's first: whoever sees it would see lower case and upper case."""
    return islice(mutators.operator_string(node), 1)


def change_arguments(node: cst.Call) -> Iterable[cst.CSTNode]:
    """mutmut's. Only an argument with a keyword is left out: without one it is a TypeError."""
    for changed in mutators.operator_arg_removal(node):
        assert isinstance(changed, cst.Call)
        argument = _changed(node, changed)
        left_out = len(changed.args) < len(node.args)
        if exempt(argument) or exempt(argument.value) or (left_out and argument.keyword is None):
            continue
        *others, last = changed.args or (None,)
        if left_out and last is not None:
            last = last.with_changes(comma=cst.MaybeSentinel.DEFAULT)
            changed = changed.with_changes(args=[*others, last])
        yield changed


def _changed(node: cst.Call, changed: cst.Call) -> cst.Arg:
    pairs = zip(node.args, changed.args, strict=False)
    return next((was for was, now in pairs if was is not now), node.args[-1])


def change_assignment(node: cst.Assign | cst.AnnAssign) -> Iterable[cst.CSTNode]:
    """mutmut's, but for values that other operators change, and keys of dicts that are sets."""
    match node:
        case cst.Assign(value=cst.BaseNumber() | cst.BaseString() | cst.Name("True" | "False")):
            return ()
        case cst.Assign(targets=[cst.AssignTarget(cst.Subscript())], value=cst.Name("None")):
            return ()
    return mutators.operator_assignment(node)


REPLACED: dict[object, Operator] = {
    mutators.operator_string: change_string,
    mutators.operator_arg_removal: change_arguments,
    mutators.operator_assignment: change_assignment,
}
OPERATORS: list[tuple[type, Operator]] = [
    *((kind, REPLACED.get(each, each)) for kind, each in mutators.mutation_operators),
    (cst.BaseSmallStatement, drop_statement),
    (cst.If, negate_condition),
    (cst.Call, swap_builtin),
    (cst.Call, widen_suppress),
    (cst.ExceptHandler, change_handler),
]
