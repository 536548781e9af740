"""The section `auth`: API keys, and the keys and claims of tokens."""

from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, SecretStr, model_validator

from eventhub.auth.keys import PREFIX
from eventhub.config.fields import Moment, Patterns
from eventhub.config.sections import Section


def _hashed(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(PREFIX):
        raise ValueError(
            "this is the key itself; expected its hash, which `eventhub key new` prints, too"
        )
    return value


class KeySettings(Section):
    """An API key; `eventhub key new` makes one."""

    name: str = Field(pattern=r"^[A-Za-z0-9._-]{1,64}$", description="Who holds it")
    hash: Annotated[str, BeforeValidator(_hashed)] = Field(
        pattern=r"^sha256:[0-9a-f]{64}$",
        description="SHA-256 of the key; the key itself is stored nowhere",
    )
    subscribe: Patterns = Field(
        default=[],
        description="Channels to listen to, as patterns: chat.lobby, chat.*, iot.greenhouse.>, >",
    )
    publish: Patterns = Field(default=[], description="Channels to publish to, as patterns")
    presence: Patterns = Field(
        default=[], description="Channels to see and be seen in, as patterns"
    )
    expires: Moment | None = Field(
        default=None,
        description="Until when it is good, such as 2027-01-31; without it, until it is removed",
    )
    rate: float | None = Field(
        default=None,
        gt=0,
        description="Events per second of each channel type, instead of the type's rate",
    )
    operator: bool = Field(
        default=False, description="May use the admin interface and read metrics"
    )


class VerificationKeySettings(Section):
    """What tokens are verified with. Several at once make rotation possible."""

    id: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="The kid of tokens signed with it; none: for tokens without",
    )
    algorithm: Literal["HS256", "RS256", "ES256", "EdDSA"] = Field(
        description="The one algorithm it is used with"
    )
    secret: SecretStr | None = Field(default=None, description="For HS256: at least 32 bytes")
    file: Path | None = Field(
        default=None,
        description="The PEM of a public key, or a file with the secret and nothing else",
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
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
        default=[], max_length=100, description="Keys that tokens are verified with"
    )
    jwks: str | None = Field(
        default=None,
        pattern=r"^https?://[^/\s@]+(/\S*)?$",
        description="URL of a JSON Web Key Set; needs issuer and audience; fetched again for unknown keys",
    )
    issuer: str | None = Field(default=None, description="The iss that tokens must have")
    audience: str | None = Field(
        default=None,
        description="The aud that tokens must have; without it, tokens with an aud are refused",
    )
    leeway: float = Field(default=5, ge=0, le=300, description="Seconds that clocks may differ")
    warning: float = Field(
        default=30,
        gt=0,
        le=3600,
        description="Seconds before a token expires that its connection is told; at most half of what was left when it was taken",
    )

    @model_validator(mode="after")
    def _jwks_is_for_us(self) -> Self:
        if self.warning <= self.leeway:
            raise ValueError(
                f"warning is {self.warning:g}; expected more than leeway, {self.leeway:g}, as a token is taken so much longer"
            )
        if self.jwks and not (self.issuer and self.audience):
            raise ValueError("jwks needs issuer and audience: its keys sign tokens for others, too")
        return self


class AuthSettings(Section):
    """Who may publish and listen. With neither keys nor tokens, everybody may do everything, and only on this machine."""

    keys: list[KeySettings] = Field(default=[], max_length=10_000, description="API keys")
    tokens: TokenSettings = TokenSettings()
    query: bool = Field(
        default=False,
        description="Take credentials from ?access_token=, too; they end up in the logs of proxies",
    )
    public_metrics: bool = Field(default=False, description="/metrics needs no operator's key")

    @model_validator(mode="after")
    def _keys_differ(self) -> Self:
        for field in ("name", "hash"):
            count = Counter(getattr(key, field) for key in self.keys)
            if twice := [value for value, times in count.items() if times > 1]:
                raise ValueError(f"two keys have the {field} {min(twice)}")
        return self

    @property
    def configured(self) -> bool:
        """Somebody can prove who they are."""
        return bool(self.keys or self.tokens.keys or self.tokens.jwks)
