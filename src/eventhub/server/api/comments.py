"""Scripts and style sheets without their comments: a quarter of what a browser would receive.

Only comments that begin a line are left out, and what is in quotes is never taken for one. The
lines keep their numbers, so that an error names the place in the source.
"""

import re

_QUOTED = r"""`(?:\\.|[^`\\])*`|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'"""
_COMMENT = r"^[ \t]*(?://[^\n]*|/\*(?!!).*?\*/[ \t]*$)"
_PART = {
    ".js": re.compile(f"{_QUOTED}|(?P<comment>{_COMMENT})", re.DOTALL | re.MULTILINE),
    ".css": re.compile(rf"{_QUOTED}|(?P<comment>/\*(?!!).*?\*/)", re.DOTALL | re.MULTILINE),
}


def without_comments(name: str, body: bytes) -> bytes:
    """The file of this name without comments, unless it is of another kind. Licences stay."""
    part = next((each for end, each in _PART.items() if name.endswith(end)), None)
    if part is None:
        return body

    def kept(match: re.Match[str]) -> str:
        return match[0] if match["comment"] is None else "\n" * match[0].count("\n")

    return part.sub(kept, body.decode()).encode()
