"""Warnings and refusals on standard error."""

from typing import NoReturn

import typer

from eventhub.errors import ConfigurationError


def warn(text: str) -> None:
    """Print a warning."""
    typer.echo(f"eventhub: {text}", err=True)


def refuse(error: ConfigurationError | str) -> NoReturn:
    """Print what is wrong and exit with status 2."""
    typer.echo(f"eventhub: {error}", err=True)
    raise typer.Exit(2)
