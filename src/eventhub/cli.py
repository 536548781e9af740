"""The command line."""

import json
import os
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from eventhub import __version__, logs
from eventhub.config import CONFIG_VARIABLE, Settings, channel_types, load
from eventhub.errors import ConfigurationError
from eventhub.reference import settings_schema
from eventhub.server.app import check_exposure, check_workers
from eventhub.server.app import serve as serve_forever
from eventhub.server.backend import check_broker
from eventhub.server.certificates import check_certificate

DEFAULT_FILE = Path("eventhub.yaml")

app = typer.Typer(name="eventhub", help="Real-time event broadcast over typed channels.", no_args_is_help=True, add_completion=False)


def _show_version(asked: bool) -> None:  # noqa: FBT001  # typer's signature
    if asked:
        typer.echo(__version__)
        raise typer.Exit


ConfigFile = Annotated[Path | None, typer.Option("--config", help=f"Configuration file; otherwise ${CONFIG_VARIABLE}, or ./{DEFAULT_FILE}")]


@app.callback()
def main(
    version: Annotated[bool | None, typer.Option("--version", help="Print the version", is_eager=True, callback=_show_version)] = None,
) -> None:
    """Real-time event broadcast over typed channels."""


@app.command()
def serve(
    config: ConfigFile = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that serve; more than one needs a broker that they can share")] = None,
    broker: Annotated[str | None, typer.Option(help="Where events are stored and announced")] = None,
    insecure: Annotated[bool | None, typer.Option("--insecure", help="Listen beyond loopback without authentication")] = None,
) -> None:
    """Start the server."""
    options = {"host": host, "port": port, "workers": workers, "broker": broker, "insecure": insecure}
    settings, file = _load(config, {name: value for name, value in options.items() if value is not None})
    logs.configure(settings.log)
    try:
        serve_forever(settings, _directory(file))
    except ConfigurationError as error:
        _refuse(error)


@app.command()
def check(config: ConfigFile = None) -> None:
    """Say whether the configuration can be used, and what is wrong with it."""
    settings, file = _load(config, {})
    try:
        types = channel_types(settings, _directory(file))
        check_exposure(settings)
        check_workers(settings)
        check_certificate(settings, _directory(file))
        check_broker(settings)
    except ConfigurationError as error:
        _refuse(error)
    typer.echo(f"{file or 'the built-in sample configuration'}: good; channel types {', '.join(kind.name for kind in types)}")


@app.command()
def schema() -> None:
    """Print the JSON Schema of eventhub.yaml."""
    typer.echo(json.dumps(settings_schema(), indent=2))


def _load(file: Path | None, overrides: dict[str, Any]) -> tuple[Settings, Path | None]:
    if file is None and (named := os.environ.get(CONFIG_VARIABLE)):
        file = Path(named)
    if file is None and DEFAULT_FILE.exists():
        file = DEFAULT_FILE
    try:
        return load(file, overrides), file
    except ConfigurationError as error:
        _refuse(error)


def _directory(file: Path | None) -> Path:
    return file.resolve().parent if file else Path()


def _refuse(error: ConfigurationError) -> NoReturn:
    typer.echo(f"eventhub: {error}", err=True)
    raise typer.Exit(2)
