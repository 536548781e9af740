"""The command line."""

import json
import os
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, NoReturn

import jwt
import structlog
import typer
import yaml
from pydantic import ValidationError

from eventhub import __version__
from eventhub.auth.grants import Action, Grants
from eventhub.auth.keys import hash_key, new_key
from eventhub.auth.tokens import NAME_LENGTH, UnknownKey, is_name
from eventhub.brokers.factory import check_broker
from eventhub.config.loader import CONFIG_VARIABLE, channel_types, ignored_variables, load
from eventhub.config.settings import KeySettings, Settings
from eventhub.config.settings_page import settings_schema
from eventhub.errors import ConfigurationError, EventHubError
from eventhub.events.event import parse_age
from eventhub.hub.hub import Hub
from eventhub.observability import log_setup
from eventhub.observability.metrics import Metrics
from eventhub.server.app import check_auth, check_exposure, check_workers, open_telemetry
from eventhub.server.app import serve as serve_forever
from eventhub.server.process.tls import check_certificate
from eventhub.server.security.authentication import Authentication, load_verification_key

DEFAULT_FILE = Path("eventhub.yaml")
OTHER_FILE = Path("eventhub.yml")
"""What some call it."""
GRANTS = "grant it something with --publish, --subscribe or --presence and a channel pattern"
IGNORED = "Kubernetes set them for a Service named eventhub; enableServiceLinks: false in the pod leaves them out"

log = structlog.get_logger("eventhub.server")

app = typer.Typer(
    name="eventhub",
    help="Real-time event broadcast over typed channels.",
    no_args_is_help=True,
    add_completion=False,
    # pretty ones may show local variables, and there are secrets among them
    pretty_exceptions_enable=False,
)
keys = typer.Typer(help="API keys, for producers.", no_args_is_help=True)
tokens = typer.Typer(help="Tokens, for subscribers.", no_args_is_help=True)
app.add_typer(keys, name="key")
app.add_typer(tokens, name="token")


def _show_version(asked: bool) -> None:  # noqa: FBT001  # typer's signature
    if asked:
        typer.echo(__version__)
        raise typer.Exit


Granted = Annotated[
    list[str] | None, typer.Option(help="A channel pattern that is granted; any number of times")
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config", help=f"Configuration file; otherwise ${CONFIG_VARIABLE}, or ./{DEFAULT_FILE}"
    ),
]


@app.callback()
def main(
    version: Annotated[
        bool | None,
        typer.Option("--version", help="Print the version", is_eager=True, callback=_show_version),
    ] = None,
) -> None:
    """Real-time event broadcast over typed channels."""


@app.command()
def serve(
    config: ConfigFile = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on")] = None,
    workers: Annotated[
        int | None,
        typer.Option(help="Processes that serve; more than one needs a broker that they can share"),
    ] = None,
    broker: Annotated[
        str | None, typer.Option(help="Where events are stored and announced")
    ] = None,
    insecure: Annotated[
        bool | None,
        typer.Option("--insecure", help="Listen beyond loopback without authentication"),
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
    settings, file = _load(
        config, {name: value for name, value in options.items() if value is not None}
    )
    log_setup.configure(settings.log)
    if ignored := ignored_variables():
        log.warning("variables_ignored", variables=ignored, reason=IGNORED)
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
        check_auth(settings, _directory(file))
        check_workers(settings)
        check_certificate(settings, _directory(file))
        check_broker(settings)
        open_telemetry(settings, Metrics(()))
    except ConfigurationError as error:
        _refuse(error)
    if "auth" in settings.model_fields_set and not settings.auth.configured:
        _warn("auth names nobody, so no credentials are taken and everybody may do everything")
    if ignored := ignored_variables():
        typer.echo(f"eventhub: ignored {', '.join(ignored)}: {IGNORED}", err=True)
    typer.echo(
        f"{file or 'the built-in sample configuration'}: good; channel types {', '.join(kind.name for kind in types)}"
    )


@app.command()
def schema() -> None:
    """Print the JSON Schema of eventhub.yaml."""
    typer.echo(json.dumps(settings_schema(), indent=2))


@keys.command("new")
def new_api_key(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who holds it")],
    publish: Granted = None,
    subscribe: Granted = None,
    presence: Granted = None,
    expires: Annotated[
        str | None,
        typer.Option(help="After how long it ends, such as 90d; otherwise when it is removed"),
    ] = None,
    rate: Annotated[
        float | None, typer.Option(help="Events per second of each channel type")
    ] = None,
    operator: Annotated[
        bool | None, typer.Option("--operator", help="May use the admin interface and read metrics")
    ] = None,
) -> None:
    """Make an API key, and what the configuration holds of it."""
    key = new_key()
    fields = {
        "name": name, "hash": hash_key(key), "subscribe": subscribe or [], "publish": publish or [], "presence": presence or [],
        "expires": (datetime.now(UTC) + _age(expires)).isoformat(timespec="seconds") if expires else None, "rate": rate,
        "operator": bool(operator),
    }  # fmt: skip
    try:
        entry = KeySettings.model_validate(fields).model_dump(mode="json", exclude_defaults=True)
    except ValidationError as error:
        _refuse(
            ConfigurationError(
                "; ".join(
                    f"{fault['loc'][0]}: {fault['msg'].removeprefix('Value error, ')}"
                    for fault in error.errors()
                )
            )
        )
    if not (subscribe or publish or presence or operator):
        _warn(f"this key may do nothing; {GRANTS}, or --operator")
    typer.echo(
        f"# The key, shown once; whoever has it is {name}:\n{key}\n\n# For eventhub.yaml, below auth: keys:"
    )
    typer.echo(
        yaml.safe_dump([entry], sort_keys=False, default_flow_style=None, width=200), nl=False
    )


@tokens.command("new")
def new_token(
    subject: Annotated[str, typer.Argument(metavar="SUBJECT", help="Whose it is (sub)")],
    publish: Granted = None,
    subscribe: Granted = None,
    presence: Granted = None,
    lifetime: Annotated[str, typer.Option("--expires", help="After how long it ends")] = "1h",
    key_id: Annotated[
        str | None, typer.Option("--id", help="Which of auth.tokens.keys; otherwise the first")
    ] = None,
    signing: Annotated[
        Path | None, typer.Option("--key", help="PEM of the private key, for all but HS256")
    ] = None,
    config: ConfigFile = None,
) -> None:
    """Sign a token that the configuration's keys verify: for trying out, and for scripts."""
    settings, file = _load(config, {})
    chosen = [key for key in settings.auth.tokens.keys if key_id in (None, key.id)]
    if not chosen:
        hint = (
            ""
            if settings.auth.tokens.keys
            else "; `openssl rand -hex 32` makes the secret of one: {algorithm: HS256, secret: …}"
        )
        _refuse(
            ConfigurationError(
                f"auth.tokens.keys of {file or 'the configuration'} has no key{f' {key_id}' if key_id else ''}{hint}"
            )
        )
    if not is_name(subject):
        _refuse(
            ConfigurationError(
                f"SUBJECT has {len(subject)} characters; expected 1 to {NAME_LENGTH}, all of which can be printed"
            )
        )
    grants = {"subscribe": subscribe or [], "publish": publish or [], "presence": presence or []}
    try:
        Grants({Action(action): patterns for action, patterns in grants.items()})
    except ValueError as error:
        _refuse(ConfigurationError(str(error)))
    now = datetime.now(UTC)
    claims: dict[str, Any] = {
        "sub": subject,
        "iat": now,
        "exp": now + _age(lifetime),
        "jti": secrets.token_urlsafe(9),
    }
    claims["channels"] = {action: patterns for action, patterns in grants.items() if patterns}
    claims |= {
        name: value
        for name, value in (
            ("iss", settings.auth.tokens.issuer),
            ("aud", settings.auth.tokens.audience),
        )
        if value
    }
    try:
        secret = (
            signing.read_bytes()
            if signing
            else load_verification_key(0, chosen[0], _directory(file)).material
        )
        if not isinstance(secret, bytes):
            raise TypeError
        token = jwt.encode(
            claims,
            secret,
            chosen[0].algorithm,
            headers={"kid": chosen[0].id} if chosen[0].id else None,
        )
        Authentication(settings.auth, _directory(file), Hub.now).authenticate(token)
        if not claims["channels"]:
            _warn(f"this token may do no more than a stranger; {GRANTS}")
        typer.echo(token)
    except ConfigurationError as error:
        _refuse(error)
    except (EventHubError, UnknownKey) as error:
        _refuse(
            ConfigurationError(
                f"the configuration's keys do not verify what this one signs: {error}"
            )
        )
    except (
        OSError,
        AttributeError,
        TypeError,
        ValueError,
        jwt.PyJWTError,
    ):  # a public key has no `sign`
        _refuse(
            ConfigurationError(
                f"{chosen[0].algorithm} cannot sign with it; expected --key with the PEM of its private key"
            )
        )


def _age(text: str) -> timedelta:
    try:
        age = timedelta(milliseconds=parse_age(text))
        datetime.now(UTC) + age
    except ValueError as error:
        _refuse(ConfigurationError(f"{error}"))
    except OverflowError:
        _refuse(
            ConfigurationError(
                f"an age is {text[:40]!r}; expected one that ends before the year 10000"
            )
        )
    return age


def _load(file: Path | None, overrides: dict[str, Any]) -> tuple[Settings, Path | None]:
    if file is None and (named := os.environ.get(CONFIG_VARIABLE)):
        file = Path(named)
    if file is None and DEFAULT_FILE.exists():
        file = DEFAULT_FILE
    if file is None and OTHER_FILE.exists():
        _refuse(
            ConfigurationError(
                f"{OTHER_FILE} is not read; did you mean {DEFAULT_FILE}? Rename it, or name it with --config"
            )
        )
    try:
        return load(file, overrides), file
    except ConfigurationError as error:
        _refuse(error)


def _directory(file: Path | None) -> Path:
    return file.resolve().parent if file else Path()


def _warn(text: str) -> None:
    typer.echo(f"eventhub: {text}", err=True)


def _refuse(error: ConfigurationError) -> NoReturn:
    typer.echo(f"eventhub: {error}", err=True)
    raise typer.Exit(2)
