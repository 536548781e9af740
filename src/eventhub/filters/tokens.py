"""The tokens of an expression (the CEL specification, "Syntax")."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from eventhub.filters.values import LARGEST, Uint


class FilterSyntaxError(Exception):
    """What is wrong, and in which column of the expression, counted from 1."""

    def __init__(self, message: str, column: int) -> None:
        super().__init__(message)
        self.message = message
        self.column = column


class Token(NamedTuple):
    """`kind` is `name`, `reserved`, `literal`, `end`, or the operator itself."""

    kind: str
    text: str
    value: object
    column: int


RESERVED = frozenset(
    {"as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop"}
    | {"namespace", "package", "return", "var", "void", "while"}
)
_CONSTANTS = {"true": True, "false": False, "null": None}
_TOKEN = re.compile(
    r"""
    (?P<space>(?:[ \t\r\n\f]|//[^\n]*)+)
  | (?P<double>[0-9]*\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+)
  | (?P<integer>(?:0x[0-9a-fA-F]+|[0-9]+)[uU]?)
  | (?P<string>(?:'''(?:[^\\]|\\.)*?'''|\"\"\"(?:[^\\]|\\.)*?\"\"\"
        |'(?:[^'\\\r\n]|\\.)*'|"(?:[^"\\\r\n]|\\.)*"))
  | (?P<bytes>[bB][rR]?['"])
  | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<operator>&&|\|\||[<>=!]=|[-+*/%<>!?:.,()\[\]{}])
    """,
    re.VERBOSE | re.ASCII | re.DOTALL,
)
_RAW = re.compile(r"""[rR](?:'''.*?'''|\"\"\".*?\"\"\"|'[^'\r\n]*'|"[^"\r\n]*")""", re.DOTALL)
_ESCAPE = re.compile(
    r"\\(?:x([0-9a-fA-F]{2})|X([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|(.))",
    re.DOTALL,
)
_ESCAPED = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v",
    "\\": "\\", "?": "?", '"': '"', "'": "'", "`": "`",
}  # fmt: skip


def tokens(text: str) -> Iterator[Token]:
    """The tokens of an expression, and at last one of kind `end`. Raises FilterSyntaxError."""
    at = 0
    while at < len(text):
        found = _RAW.match(text, at) or _TOKEN.match(text, at)
        column = at + 1
        if found is None:
            raise FilterSyntaxError(_unexpected(text[at : at + 2].strip()), column)
        at = found.end()
        kind = found.lastgroup or "raw"
        if kind != "space":
            yield _token(kind, found[0], column)
    yield Token("end", "the end", None, len(text) + 1)


def _unexpected(text: str) -> str:
    if "~" in text[:2]:
        return f'unexpected {text!r}; a regular expression is data.text.matches("^a+")'
    character = text[0]
    if character in "\"'":
        return f"the string that begins with {character} does not end"
    hints = {"=": "; == compares", "&": "; && is and", "|": "; || is or"}
    return f"unexpected character {character!r}{hints.get(character, '')}"


def _token(kind: str, text: str, column: int) -> Token:
    match kind:
        case "double":
            if (number := float(text)) == float("inf"):
                raise FilterSyntaxError(f"the number {text[:40]} is too large", column)
            return Token("literal", text, number, column)
        case "integer":
            return Token("literal", text, _integer(text, column), column)
        case "string":
            quotes = 3 if text[:3] in ("'''", '"""') else 1
            return Token("literal", text, _unescaped(text[quotes:-quotes], column), column)
        case "raw":
            quotes = 3 if text[1:4] in ("'''", '"""') else 1
            return Token("literal", text, text[1 + quotes : -quotes], column)
        case "bytes":
            raise FilterSyntaxError("bytes are not supported: JSON has none", column)
        case "name" if text in _CONSTANTS:
            return Token("literal", text, _CONSTANTS[text], column)
        case "name" if text != "in":
            return Token("reserved" if text in RESERVED else "name", text, None, column)
    return Token(text, text, None, column)


def _integer(text: str, column: int) -> int:
    unsigned = text[-1] in "uU"
    digits = text.rstrip("uU")
    if len(digits) > 20:  # `int` of very long digits is slow
        raise FilterSyntaxError(f"the number {text[:40]} is too large", column)
    number = int(digits, 16) if digits.startswith("0x") else int(digits)
    if unsigned and number <= 2 * LARGEST + 1:
        return Uint(number)
    if unsigned or number > LARGEST + 1:  # one more may follow a minus: the parser checks it
        raise FilterSyntaxError(f"the number {text[:40]} is too large", column)
    return number


def _unescaped(text: str, column: int) -> str:
    def replaced(found: re.Match[str]) -> str:
        *digits, octal, character = found.groups()
        if character is not None:
            if character not in _ESCAPED:
                raise FilterSyntaxError(f"unknown escape \\{character} in a string", column)
            return _ESCAPED[character]
        code = int(octal, 8) if octal else int(next(filter(None, digits)), 16)
        if code > 0x10FFFF or 0xD800 <= code < 0xE000:
            raise FilterSyntaxError(f"{found[0]} is no character", column)
        return chr(code)

    return _ESCAPE.sub(replaced, text)
