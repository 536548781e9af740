"""What commands print: the option `-o`, and texts of others that are shown in a terminal."""

from typing import Any

import typer


def output_option(*allowed: str) -> Any:
    """`--output`, which takes one of these words."""
    words = f"{', '.join(allowed[:-1])} or {allowed[-1]}"

    def check(given: str) -> str:
        if given not in allowed:
            raise typer.BadParameter(f"received {given}; expected {words}")
        return given

    return typer.Option("--output", "-o", help=words, callback=check)


_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
_LINE_CONTROLS = {code: shown for code, shown in _CONTROLS.items() if chr(code) not in "\n\t"}


def visible(text: str) -> str:
    """A name that another client chose, on one line: its control characters would be obeyed."""
    return text.translate(_CONTROLS)


def visible_lines(text: str) -> str:
    """As visible, but with its lines and tabs."""
    return text.translate(_LINE_CONTROLS)
