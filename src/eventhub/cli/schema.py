"""`eventhub schema`: the schema of the settings, and checks and exports of payload schemas."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, NoReturn

import orjson
import typer

from eventhub.cli.output import refuse
from eventhub.cli.schema_export import export
from eventhub.config.settings_page import settings_schema
from eventhub.errors import ConfigurationError
from eventhub.events.compatibility.changes import (
    Compatibility,
    IncompatibleChange,
    SchemaPair,
    pair_faults,
)
from eventhub.events.schema import FileSchema, Schema
from eventhub.events.schema_loader import load_schema

STDIN = "-"
MODES = tuple(mode for mode in Compatibility if not mode.transitive and mode != "none")

app = typer.Typer(help="JSON Schemas of the settings and of payloads.", no_args_is_help=True)


@app.command("settings")
def print_settings() -> None:
    """Print the JSON Schema of eventhub.yaml."""
    typer.echo(json.dumps(settings_schema(), indent=2))


app.command()(export)


def _mode(given: str) -> str:
    if given not in MODES:
        words = f"{', '.join(MODES[:-1])} or {MODES[-1]}"
        raise typer.BadParameter(f"received {given}; expected {words}")
    return given


def _form(given: str) -> str:
    if given not in ("text", "json"):
        raise typer.BadParameter(f"received {given}; expected text or json")
    return given


@app.command()
def check(
    old: Annotated[str, typer.Argument(help="A JSON Schema file, -, or package.module:Model")],
    new: Annotated[str, typer.Argument(help="The schema that follows it")],
    compatibility: Annotated[
        str, typer.Option(help="backward, forward or full", callback=_mode)
    ] = "backward",
    output: Annotated[
        str, typer.Option("--output", "-o", help="text or json", callback=_form)
    ] = "text",
) -> None:
    """Check whether a schema may follow another one. The exit code is 1 if it may not."""
    if old == new == STDIN:
        refuse("only one of the two schemas can be read from standard input (-)")
    mode = Compatibility(compatibility)
    found = pair_faults(_pair(old), _pair(new), mode)
    if output == "json":
        changes = [asdict(each) for each in found]
        typer.echo(json.dumps({"compatible": not found, "mode": mode, "changes": changes}))
    else:
        _print(found, mode)
    if found:
        raise typer.Exit(1)


def _print(found: list[IncompatibleChange], mode: Compatibility) -> None:
    if not found:
        typer.echo(f"compatible ({mode})")
    for each in found:
        typer.echo(str(each))


def _pair(name: str) -> SchemaPair:
    schema = _load(name)
    return SchemaPair(stored=schema.stored, accepted=schema.accepted)


def _load(name: str) -> Schema:
    """A schema from standard input, a file of any name, or a model."""
    if ":" in name and not Path(name).exists():
        try:
            return load_schema(name, Path())
        except ConfigurationError as error:
            refuse(error)
    try:
        data = sys.stdin.buffer.read() if name == STDIN else Path(name).read_bytes()
        return FileSchema(orjson.loads(data))
    except OSError as error:
        _unusable(name, error.strerror or str(error))
    except (ValueError, AttributeError) as error:
        _unusable(name, str(error))


def _unusable(name: str, why: str) -> NoReturn:
    refuse(f"the schema {name} cannot be used: {why}")
