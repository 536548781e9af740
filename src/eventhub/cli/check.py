"""`eventhub check`: try the configuration without starting the server."""

import typer

from eventhub.brokers.factory import check_broker
from eventhub.cli.configuration import IGNORED_REASON, ConfigFile, directory_of, load_settings
from eventhub.cli.output import refuse, warn
from eventhub.config.loader import channel_types, ignored_variables
from eventhub.errors import ConfigurationError
from eventhub.observability.metrics import Metrics
from eventhub.server.app import open_telemetry
from eventhub.server.process.tls import check_certificate
from eventhub.server.startup_checks import check_auth, check_exposure, check_workers


def check(config: ConfigFile = None) -> None:
    """Check the configuration and report what is wrong with it."""
    settings, file = load_settings(config, {})
    directory = directory_of(file)
    try:
        types = channel_types(settings, directory)
        check_exposure(settings)
        check_auth(settings, directory)
        check_workers(settings)
        check_certificate(settings, directory)
        check_broker(settings)
        open_telemetry(settings, Metrics(()))
    except ConfigurationError as error:
        refuse(error)
    if "auth" in settings.model_fields_set and not settings.auth.configured:
        warn("auth has neither keys nor tokens, so every client may do everything")
    if ignored := ignored_variables():
        warn(f"ignored {', '.join(ignored)}: {IGNORED_REASON}")
    source = file or "the built-in sample configuration"
    names = ", ".join(channel_type.name for channel_type in types)
    typer.echo(f"{source}: good; channel types {names}")
