"""The option `-o` of commands that print for people or for programs."""

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
