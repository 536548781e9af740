"""`eventhub schema`: print the JSON Schema of the configuration file."""

import json

import typer

from eventhub.config.settings_page import settings_schema


def schema() -> None:
    """Print the JSON Schema of eventhub.yaml."""
    typer.echo(json.dumps(settings_schema(), indent=2))
