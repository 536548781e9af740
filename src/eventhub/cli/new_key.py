"""`eventhub key new`: make an API key and its entry for the configuration."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer
import yaml
from pydantic import ValidationError

from eventhub.auth.keys import hash_key, new_key
from eventhub.cli.credentials import GRANT_HINT, ChannelPatterns, lifetime_of
from eventhub.cli.output import refuse, warn
from eventhub.config.auth_settings import KeySettings

app = typer.Typer(help="API keys, for producers.", no_args_is_help=True)


@app.callback()
def main() -> None:
    """API keys, for producers."""


@app.command("new")
def new_api_key(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the key's holder")],
    publish: ChannelPatterns = None,
    subscribe: ChannelPatterns = None,
    presence: ChannelPatterns = None,
    signal: ChannelPatterns = None,
    moderate: ChannelPatterns = None,
    refused: ChannelPatterns = None,
    expires: Annotated[
        str | None,
        typer.Option(help="Lifetime, such as 90d; without it the key does not expire"),
    ] = None,
    rate: Annotated[
        float | None, typer.Option(help="Events per second to each channel type")
    ] = None,
    operator: Annotated[
        bool | None, typer.Option("--operator", help="Allow the admin interface and metrics")
    ] = None,
) -> None:
    """Make an API key and its entry for the configuration."""
    key = new_key()
    entry = _entry(
        {
            "name": name,
            "hash": hash_key(key),
            "subscribe": subscribe or [],
            "publish": publish or [],
            "presence": presence or [],
            "signal": signal or [],
            "moderate": moderate or [],
            "refused": refused or [],
            "expires": _end_of(expires) if expires else None,
            "rate": rate,
            "operator": bool(operator),
        }
    )
    if not (subscribe or publish or presence or signal or moderate or refused or operator):
        warn(f"this key may do nothing; {GRANT_HINT}, or --operator")
    typer.echo(f"# The key, shown once. It gives its holder the rights of {name}:\n{key}\n")
    typer.echo("# For eventhub.yaml, below auth: keys:")
    typer.echo(
        yaml.safe_dump([entry], sort_keys=False, default_flow_style=None, width=200), nl=False
    )


def _end_of(lifetime: str) -> str:
    return (datetime.now(UTC) + lifetime_of(lifetime)).isoformat(timespec="seconds")


def _entry(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the key's entry of the configuration. Exits if the configuration would refuse it."""
    try:
        return KeySettings.model_validate(fields).model_dump(mode="json", exclude_defaults=True)
    except ValidationError as error:
        refuse(
            "; ".join(
                f"{fault['loc'][0]}: {fault['msg'].removeprefix('Value error, ')}"
                for fault in error.errors()
            )
        )
