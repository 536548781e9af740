"""`eventhub token new`: sign a token that the configured keys verify."""

import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import jwt
import typer

from eventhub.auth.grants import Action, Grants
from eventhub.auth.tokens import NAME_LENGTH, UnknownKey, is_name
from eventhub.cli.configuration import ConfigFile, directory_of, load_settings
from eventhub.cli.credentials import GRANT_HINT, ChannelPatterns, lifetime_of
from eventhub.cli.output import refuse, warn
from eventhub.config.auth_settings import TokenSettings, VerificationKeySettings
from eventhub.config.settings import Settings
from eventhub.errors import ConfigurationError, EventHubError
from eventhub.hub.hub import Hub
from eventhub.server.security.authentication import Authentication, load_verification_key

app = typer.Typer(help="Tokens, for subscribers.", no_args_is_help=True)


@app.callback()
def main() -> None:
    """Tokens, for subscribers."""


@app.command("new")
def new_token(
    subject: Annotated[str, typer.Argument(metavar="SUBJECT", help="Subject of the token (sub)")],
    publish: ChannelPatterns = None,
    subscribe: ChannelPatterns = None,
    presence: ChannelPatterns = None,
    signal: ChannelPatterns = None,
    moderate: ChannelPatterns = None,
    refused: ChannelPatterns = None,
    lifetime: Annotated[str, typer.Option("--expires", help="Lifetime")] = "1h",
    key_id: Annotated[
        str | None,
        typer.Option("--id", help="Id of one of auth.tokens.keys; by default the first"),
    ] = None,
    signing_key: Annotated[
        Path | None, typer.Option("--key", help="PEM file of the private key; HS256 needs none")
    ] = None,
    config: ConfigFile = None,
) -> None:
    """Sign a token that the configured keys verify, for tests and scripts."""
    settings, file = load_settings(config, {})
    key = _choose_key(settings.auth.tokens, key_id, file)
    if not is_name(subject):
        refuse(
            f"SUBJECT has {len(subject)} characters; "
            f"expected 1 to {NAME_LENGTH}, all of which can be printed"
        )
    grants = {
        "subscribe": subscribe or [],
        "publish": publish or [],
        "presence": presence or [],
        "signal": signal or [],
        "moderate": moderate or [],
        "refused": refused or [],
    }
    claims = _claims(subject, grants, lifetime, settings.auth.tokens)
    token = _sign(claims, key, signing_key, directory_of(file))
    _verify(token, settings, directory_of(file))
    if not claims["channels"]:
        warn(f"this token may do no more than a stranger; {GRANT_HINT}")
    typer.echo(token)


def _choose_key(
    tokens: TokenSettings, key_id: str | None, file: Path | None
) -> VerificationKeySettings:
    """Return the key with this id, or the first key. Exits if there is none."""
    for key in tokens.keys:
        if key_id in (None, key.id):
            return key
    missing = f" {key_id}" if key_id else ""
    hint = (
        ""
        if tokens.keys
        else "; `openssl rand -hex 32` makes the secret of one: {algorithm: HS256, secret: …}"
    )
    refuse(f"auth.tokens.keys of {file or 'the configuration'} has no key{missing}{hint}")


def _claims(
    subject: str, grants: dict[str, list[str]], lifetime: str, tokens: TokenSettings
) -> dict[str, Any]:
    """Return the claims of the token. Exits if a channel pattern or the lifetime is wrong."""
    try:
        Grants({Action(action): patterns for action, patterns in grants.items()})
    except ValueError as error:
        refuse(str(error))
    now = datetime.now(UTC)
    optional = {"iss": tokens.issuer, "aud": tokens.audience}
    return {
        "sub": subject,
        "iat": now,
        "exp": now + lifetime_of(lifetime),
        "jti": secrets.token_urlsafe(9),
        "channels": {action: patterns for action, patterns in grants.items() if patterns},
        **{name: value for name, value in optional.items() if value},
    }


def _sign(
    claims: dict[str, Any],
    key: VerificationKeySettings,
    signing_key: Path | None,
    directory: Path,
) -> str:
    """Sign with the file `signing_key`, or with the shared secret of `key`. Exits on failure."""
    try:
        secret = (
            signing_key.read_bytes()
            if signing_key
            else load_verification_key(0, key, directory).material
        )
        if not isinstance(secret, bytes):  # a public key, which cannot sign
            raise TypeError
        headers = {"kid": key.id} if key.id else None
        return jwt.encode(claims, secret, key.algorithm, headers=headers)
    except ConfigurationError as error:
        refuse(error)
    except (OSError, AttributeError, TypeError, ValueError, jwt.PyJWTError):
        # AttributeError: the PEM of a public key has no `sign`
        refuse(
            f"{key.algorithm} cannot sign with it; expected --key with the PEM of its private key"
        )


def _verify(token: str, settings: Settings, directory: Path) -> None:
    """Exit if the server would not accept the token."""
    try:
        Authentication(settings.auth, directory, Hub.now).authenticate(token)
    except ConfigurationError as error:
        refuse(error)
    except (EventHubError, UnknownKey) as error:
        refuse(f"the configuration's keys do not verify what this one signs: {error}")
