"""How deep JSON nests, looked at before anything parses it.

Parsers have limits of their own, which differ from one version of Python to the next; what is accepted must not.
"""

import re

from eventhub.errors import TooDeep

_NESTING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)


def check_depth(body: bytes, limit: int) -> None:
    """Raises TooDeep when arrays and objects nest deeper than `limit`. Costs two counts unless the body has many brackets."""
    if body.count(b"{") + body.count(b"[") <= limit:
        return
    depth = 0
    for token in _NESTING.finditer(body):
        match token[0]:
            case b"{" | b"[":
                depth += 1
                if depth > limit:
                    raise TooDeep(f"the JSON nests deeper than {limit} levels, which is the limit")
            case b"}" | b"]":
                depth -= 1
