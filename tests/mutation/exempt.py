"""Code whose mutants say nothing about the tests: this list, and no other place.

mutmut leaves out by itself: annotations, decorators, `len(...)` and `isinstance(...)`, default
values that are calculated.
"""

import re
from collections.abc import Iterator

import libcst as cst
import libcst.matchers as m

PROSE = re.compile(r"[A-Za-z]{2,}[,.:;]? \S")
"""Two words: a message or a description for people, free to be worded otherwise."""
LOGS = m.Call(func=m.Attribute(value=m.Name("log")))
"""What is logged is for operators; tests of logs are about some lines only."""
LOGGERS = m.Call(func=m.Attribute(attr=m.Name("get_logger")))
"""The name of a logger is a field of what it logs."""
TYPING = m.Call(func=m.Name("cast") | m.Name("TypeVar") | m.Name("ParamSpec") | m.Name("NewType"))
"""Says something to the type checker alone."""
DESCRIPTIONS = m.Arg(
    keyword=m.Name("description")
    | m.Name("examples")
    | m.Name("help")
    | m.Name("json_schema_extra")
    | m.Name("json_schema_input_type")
    | m.Name("summary")
    | m.Name("title")
)
"""Documents of settings and of the API, which tests compare with pages as they are."""
NAMES = m.Assign(
    targets=[m.AssignTarget(m.Name("__all__") | m.Name("__slots__") | m.Name("__doc__"))]
)
"""No behaviour, or an AttributeError at once."""
FUNCTIONS = m.FunctionDef(name=m.Name("__repr__"))
"""For people who debug."""
OVERLOADS = m.FunctionDef(decorators=[m.AtLeastN(m.Decorator(m.Name("overload")), n=1)])
"""Never run."""
CHECKED = m.If(test=m.Name("TYPE_CHECKING"))
"""Never run."""
ALIASES = m.Assign(
    value=m.Subscript(
        value=m.OneOf(*map(m.Name, ("Callable", "Mapping", "Sequence", "dict", "list", "tuple")))
    )
)
"""A name for a type."""
MEMBERS = m.Assign(value=m.Call(func=m.Name("auto")))
"""The value of a member of an Enum, at which nobody looks."""
STATED = m.Assert()
"""States an invariant to reader and type checker: without it, all is as before."""
DOCSTRINGS = m.Expr(value=m.SimpleString() | m.ConcatenatedString())
"""Text beside code."""
PROTOCOLS = m.ClassDef(bases=[m.ZeroOrMore(), m.Arg(m.Name("Protocol")), m.ZeroOrMore()])
"""Has no code."""
WARNINGS = m.Call(func=m.Attribute(value=m.Name("warnings"), attr=m.Name("filterwarnings")))
"""What other packages say."""

WHOLE = m.OneOf(
    LOGS,
    LOGGERS,
    MEMBERS,
    TYPING,
    FUNCTIONS,
    OVERLOADS,
    CHECKED,
    STATED,
    DOCSTRINGS,
    PROTOCOLS,
    NAMES,
    ALIASES,
)


def exempt(node: cst.CSTNode) -> bool:
    """Neither this node nor what is in it is mutated."""
    if is_prose(node):
        return True
    if isinstance(node, cst.Expr) and m.matches(node.value, LOGS):
        return True
    return m.matches(node, m.OneOf(WHOLE, DESCRIPTIONS, WARNINGS))


def is_prose(node: cst.CSTNode) -> bool:
    """A text for people. Bytes are none."""
    if isinstance(node, cst.BaseString):
        return PROSE.search("".join(_parts(node))) is not None
    return False


def _parts(node: cst.CSTNode) -> Iterator[str]:
    match node:
        case cst.ConcatenatedString():
            yield from _parts(node.left)
            yield from _parts(node.right)
        case cst.FormattedString():
            yield from (
                part.value if isinstance(part, cst.FormattedStringText) else "0"
                for part in node.parts
            )
        case cst.SimpleString() if "b" not in node.prefix:
            yield node.value
