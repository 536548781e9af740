"""What somebody meant who wrote an unknown name."""

import difflib
from collections.abc import Collection

LONGEST = 40
"""Characters of a name that is compared: the work grows with the square."""


def hint_at(name: str | None, known: Collection[str]) -> str:
    """The end of a message about an unknown name: the most similar known one, or all."""
    is_short = name is not None and len(name) <= LONGEST
    near = difflib.get_close_matches(str(name), known, n=1) if is_short else []
    return f"; did you mean {near[0]}?" if near else f"; expected one of {', '.join(sorted(known))}"
