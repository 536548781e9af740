"""`eventhub serve`: run the server."""

from typing import Annotated

import structlog
import typer

from eventhub.cli.configuration import IGNORED_REASON, ConfigFile, directory_of, load_settings
from eventhub.cli.output import refuse
from eventhub.config.loader import ignored_variables
from eventhub.errors import ConfigurationError
from eventhub.observability import log_setup
from eventhub.server.run import serve as serve_forever

log = structlog.get_logger("eventhub.server")


def serve(
    config: ConfigFile = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on")] = None,
    workers: Annotated[
        int | None,
        typer.Option(help="Number of worker processes; several need a broker that they can share"),
    ] = None,
    broker: Annotated[
        str | None, typer.Option(help="Broker that stores and announces events, as a URL")
    ] = None,
    insecure: Annotated[
        bool | None,
        typer.Option("--insecure", help="Allow other machines without authentication"),
    ] = None,
) -> None:
    """Start the server."""
    options = {
        "host": host,
        "port": port,
        "workers": workers,
        "broker": broker,
        "insecure": insecure,
    }
    given = {name: value for name, value in options.items() if value is not None}
    settings, file = load_settings(config, given)
    log_setup.configure(settings.log)
    if ignored := ignored_variables():
        log.warning("variables_ignored", variables=ignored, reason=IGNORED_REASON)
    try:
        serve_forever(settings, directory_of(file))
    except ConfigurationError as error:
        refuse(error)
