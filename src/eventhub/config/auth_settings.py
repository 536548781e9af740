"""The section `auth`: API keys, and the keys and claims of tokens."""

from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, SecretStr, model_validator

from eventhub.auth.keys import PREFIX
from eventhub.config.fields import Moment, Patterns
from eventhub.config.sections import Section


def _reject_key(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(PREFIX):
        raise ValueError(
            "this is the key itself; expected its hash, which `eventhub key new` also prints"
        )
    return value


class KeySettings(Section):
    """An API key; `eventhub key new` makes one."""

    name: str = Field(pattern=r"^[A-Za-z0-9._-]{1,64}$", description="Name of the key's holder")
    hash: Annotated[str, BeforeValidator(_reject_key)] = Field(
        pattern=r"^sha256:[0-9a-f]{64}$",
        description="SHA-256 of the key. The key itself is stored nowhere",
    )
    subscribe: Patterns = Field(
        default=[],
        description="Channels it may subscribe to, as patterns: chat.lobby, chat.*, "
        "iot.greenhouse.>, >",
    )
    publish: Patterns = Field(default=[], description="Channels it may publish to, as patterns")
    presence: Patterns = Field(
        default=[], description="Channels whose presence it may see and take part in, as patterns"
    )
    signal: Patterns = Field(
        default=[],
        description="Channels to which it may send signals but publish nothing, as patterns",
    )
    moderate: Patterns = Field(
        default=[],
        description="Channels where it may edit and delete the events of others, as patterns. "
        "Needs publish as well",
    )
    refused: Patterns = Field(
        default=[],
        description="Channels whose refused events it may see and discard, as patterns; to publish "
        "them again, it needs publish as well. An operator sees all",
    )
    expires: Moment | None = Field(
        default=None,
        description="When it expires, such as 2027-01-31. By default, never",
    )
    rate: float | None = Field(
        default=None,
        gt=0,
        description="Events per second to each channel type, instead of the type's rate",
    )
    operator: bool = Field(default=False, description="Allow the admin interface and the metrics")


class VerificationKeySettings(Section):
    """A key that verifies tokens. Several at once make rotation possible."""

    id: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="The kid of its tokens. If absent, the key verifies only tokens that have no "
        "kid",
    )
    algorithm: Literal["HS256", "RS256", "ES256", "EdDSA"] = Field(
        description="The one algorithm that it is used with"
    )
    secret: SecretStr | None = Field(
        default=None, description="For HS256: a secret of at least 32 bytes"
    )
    file: Path | None = Field(
        default=None,
        description="PEM file of a public key, or a file that holds only the secret",
    )

    @model_validator(mode="after")
    def _check_source(self) -> Self:
        if (self.secret is None) == (self.file is None):
            raise ValueError("expected either secret or file")
        if self.secret is not None and self.algorithm != "HS256":
            raise ValueError(
                f"{self.algorithm} has no secret; expected file, with the PEM of a public key"
            )
        return self


class TokenSettings(Section):
    """JSON Web Tokens that are accepted (PROTOCOL.md, "Authentication")."""

    keys: list[VerificationKeySettings] = Field(
        default=[], max_length=100, description="Keys that verify tokens"
    )
    jwks: str | None = Field(
        default=None,
        pattern=r"^https?://[^/\s@]+(/\S*)?$",
        description="URL of a JSON Web Key Set. Needs issuer and audience. Fetched again for an "
        "unknown key",
    )
    issuer: str | None = Field(default=None, description="The iss that tokens must have")
    audience: str | None = Field(
        default=None,
        description="The aud that tokens must have. By default, tokens with an aud are refused",
    )
    leeway: float = Field(
        default=5, ge=0, le=300, description="Accepted difference of clocks, in seconds"
    )
    warning: float = Field(
        default=30,
        gt=0,
        le=3600,
        description="The connection is warned this many seconds before its token expires, or "
        "when half of the time is over that was left at acceptance, if that is later",
    )

    @model_validator(mode="after")
    def _check_jwks_and_warning(self) -> Self:
        if self.warning <= self.leeway:
            raise ValueError(
                f"warning is {self.warning:g}; expected more than leeway, {self.leeway:g}, "
                "because a token is accepted that much longer"
            )
        if self.jwks and not (self.issuer and self.audience):
            raise ValueError("jwks needs issuer and audience: its keys sign tokens for others, too")
        return self


class AuthSettings(Section):
    """Who may publish and subscribe.

    Without keys and tokens, every client may do everything, and only this machine can connect.
    """

    keys: list[KeySettings] = Field(default=[], max_length=10_000, description="API keys")
    tokens: TokenSettings = TokenSettings()
    query: bool = Field(
        default=False,
        description="Also accept credentials in ?access_token=, which proxies write to their logs",
    )
    public_metrics: bool = Field(
        default=False, description="Allow /metrics without an operator's key"
    )

    @model_validator(mode="after")
    def _check_unique_keys(self) -> Self:
        for field in ("name", "hash"):
            count = Counter(getattr(key, field) for key in self.keys)
            if twice := [value for value, times in count.items() if times > 1]:
                raise ValueError(f"two keys have the {field} {min(twice)}")
        return self

    @property
    def configured(self) -> bool:
        """Whether any credential is accepted."""
        return bool(self.keys or self.tokens.keys or self.tokens.jwks)
