"""All settings: their names, defaults, bounds and meanings. Where they come from is the business of config/loader.py."""

import json
import re
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from eventhub.auth.grants import PATTERNS, Action, check_pattern
from eventhub.auth.keys import PREFIX as PREFIX_OF_KEYS
from eventhub.common.addresses import parse_address
from eventhub.common.origin import check_pattern as check_origin_pattern
from eventhub.events.channels import PublisherKind, SlowReaderPolicy
from eventhub.events.event import parse_age

PREFIX = "EVENTHUB_"


def _milliseconds(value: Any) -> Any:
    if isinstance(value, str):
        return parse_age(value)
    raise ValueError("an age needs a unit: ms, s, m, h or d, such as '24h'")


OriginPattern = Annotated[
    str,
    BeforeValidator(
        check_origin_pattern,
        json_schema_input_type=Annotated[
            str, Field(pattern=r"^(\*|null|[A-Za-z][A-Za-z0-9+.-]*://[^/\s]*)$")
        ],
    ),
]


def _host(value: Any) -> Any:
    """An address or a name, and nothing beside it."""
    if not isinstance(value, str) or parse_address(value) is not None or _HOST.fullmatch(value):
        return value
    if "/" in value or value.startswith("unix:"):
        raise ValueError(
            "is no address; it listens on TCP alone, on an address such as 127.0.0.1 or 0.0.0.0, without a scheme or a path"
        )
    _, colon, port = value.rpartition(":")
    if colon and port.isdecimal():
        raise ValueError(
            f"holds a port; expected the address alone, and the port apart (port, --port {port}, EVENTHUB_PORT)"
        )
    if value.startswith("["):
        raise ValueError("stands in brackets; expected the address alone, such as ::1")
    raise ValueError("is neither an address such as 127.0.0.1 or ::1 nor the name of a host")


def _network(value: Any) -> Any:
    """An address or a network. A name or * would be refused as "not a valid IPv6 network"."""
    if not isinstance(value, str):
        return value
    try:
        return ip_network(value)
    except ValueError:
        pass
    try:
        network = ip_network(value, strict=False)
    except ValueError:
        every = (
            "; 0.0.0.0/0 and ::/0 believe whoever connects, who may then claim to be anybody"
            if value == "*"
            else ""
        )
        raise ValueError(
            f"expected the address of a proxy or a network, such as 10.0.0.7 or 10.0.0.0/8{every}"
        ) from None
    raise ValueError(
        f"has bits set beyond its prefix; expected {network}, or one address without a prefix"
    )


_HOST = re.compile(r"|(?!.*\.[0-9]+\.?$)[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_.])?")
"""A host's name (RFC 1123, 2.1), which does not end as an IPv4 address does; nothing stands for
every address.
"""
Host = Annotated[str, BeforeValidator(_host)]
Network = Annotated[IPv4Network | IPv6Network, BeforeValidator(_network)]
TypeName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Milliseconds = Annotated[
    int, Field(gt=0), BeforeValidator(_milliseconds, json_schema_input_type=str)
]


def _listed(value: Any) -> Any:
    """One value, or several separated by commas as variables have them, is a list."""
    if not isinstance(value, str):
        return value
    if value.startswith("["):
        return json.loads(value)
    return [part.strip() for part in value.split(",")]


def _moment(value: Any) -> Any:
    """A date is its first moment, in UTC."""
    if isinstance(value, str) and len(value) == len("2027-01-31"):
        value = date.fromisoformat(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime.combine(value, time.min, UTC)
    return value


Pattern = Annotated[str, BeforeValidator(check_pattern, json_schema_input_type=str)]
Patterns = Annotated[list[Pattern], BeforeValidator(_listed), Field(max_length=PATTERNS)]
Moment = Annotated[AwareDatetime, BeforeValidator(_moment, json_schema_input_type=str)]


def _not_mapping(value: Any) -> Any:
    if not isinstance(value, (Mapping, BaseModel)):
        raise ValueError(
            f"expected keys such as payload, as in {{payload: {value if isinstance(value, str) else 'chat'}}}"
        )
    return value


class Section(BaseModel):
    """A part of the configuration."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class HistorySettings(Section):
    """How much a channel's log keeps."""

    events: int = Field(
        default=1000,
        ge=0,
        le=1_000_000,
        description="Events retained per channel; 0 keeps no history",
    )
    age: Milliseconds | None = Field(
        default=None,
        description="How long events are retained, such as 24h; without it, however old",
    )


class ChannelSettings(Section):
    """A channel type."""

    payload: str = Field(
        default="json",
        description="chat, log, reading, json (anything), a JSON Schema file, or package.module:Model",
    )
    history: HistorySettings = HistorySettings()
    presence: bool = Field(default=False, description="Keep a list of who is there")
    slow: SlowReaderPolicy = Field(
        default=SlowReaderPolicy.DISCONNECT,
        description="What happens to a reader whose buffer is full: disconnect, drop, or latest (the newest event of each key)",
    )
    publish: Annotated[list[PublisherKind], BeforeValidator(_listed)] = Field(
        default=[PublisherKind.PRODUCER],
        description="Who may publish: client (WebSocket), producer (HTTP)",
    )
    anonymous: Annotated[list[Action], BeforeValidator(_listed)] = Field(
        default=[],
        description="What anyone may do without a token, where `auth` is configured: subscribe, publish, presence",
    )
    rate: float | None = Field(
        default=None,
        gt=0,
        description="Events per second that one principal may publish; without it, limits.publish_rate",
    )


class LimitSettings(Section):
    """Bounds. Whatever is beyond is refused or, for buffers, handled as the channel type says."""

    event_bytes: int = Field(
        default=64 * 1024,
        ge=128,
        le=16 * 1024 * 1024,
        description="Size of one event or WebSocket message",
    )
    stranger_bytes: int = Field(
        default=16 * 1024,
        ge=128,
        description="Size of a WebSocket message from a client that has not said who it is, where "
        "`auth` is configured and no channel type lets anyone publish; a token has up to 8 KiB",
    )
    body_bytes: int = Field(
        default=4 * 1024 * 1024, ge=128, description="Size of a request body that is not a stream"
    )
    batch: int = Field(default=10_000, ge=1, description="Events in one JSON array")
    publish_rate: float = Field(
        default=10_000,
        gt=0,
        description="Events per second that one principal may publish to channels of one type, where `auth` is configured",
    )
    depth: int = Field(default=32, ge=1, le=200, description="Levels of nested JSON")
    page: int = Field(default=1000, ge=1, le=10_000, description="Events on a history page")
    subscriptions: int = Field(default=128, ge=1, description="Subscriptions per connection")
    buffer_bytes: int = Field(
        default=1024 * 1024, ge=4096, description="Outgoing buffer per connection"
    )
    connections: int = Field(
        default=100_000,
        ge=1,
        description="Connections per process; never more than its limit of open files less 512, or an eighth",
    )
    connections_per_address: int = Field(
        default=1000,
        ge=1,
        description="Connections per process of one client address (IPv6: /64), as `proxies` forward it",
    )
    connections_per_principal: int = Field(
        default=100,
        ge=1,
        description="Connections, and bodies under way, per process of one principal",
    )
    channels: int = Field(
        default=100_000, ge=1, description="Channels held by the memory and SQLite brokers"
    )
    history_bytes: int = Field(
        default=256 * 1024 * 1024,
        ge=1024 * 1024,
        description="Size of all events held by the memory broker",
    )
    commands: int = Field(
        default=200,
        ge=1,
        description="Frames per second a WebSocket client may send, twice as many at once; beyond "
        "it, it is read later. A frame counts once for each 16 KiB that it has, unpacked, or for each "
        "quarter of a millisecond of CPU time that it takes, whichever is more",
    )
    bad_credentials: int = Field(
        default=20,
        ge=1,
        description="Tokens and keys per second from one address that turn out bad, five times as many at once",
    )
    head_seconds: float = Field(
        default=10,
        gt=0,
        description="Longest wait for a TLS handshake, and for the head of a request",
    )
    keep_alive_seconds: float = Field(
        default=75,
        gt=0,
        description="How long a connection waits for its next request; longer than load balancers keep theirs, mostly 60 s. "
        "Where a newcomer finds no room, the one that waits longest makes way",
    )
    body_seconds: float = Field(
        default=30,
        gt=0,
        description="Time for a request body that is not a stream, or a WebSocket message, and 1 s more for each KiB of it",
    )
    first_frame_seconds: float = Field(
        default=30,
        gt=0,
        description="Longest wait for the first message on a WebSocket whose address names no channel",
    )
    stalled_seconds: float = Field(
        default=300,
        gt=0,
        le=86_400,
        description="A reader that takes nothing of what waits for it for so long is given up; one that reads slowly is not",
    )


class ShutdownSettings(Section):
    """What happens on SIGTERM, in seconds."""

    spread: float = Field(
        default=10,
        ge=0,
        le=3600,
        description="Where other nodes take the clients, they are sent away evenly over so long, in no second more than "
        "1.1 / spread of them unless it gets two seconds late; a hundred a second at least: small crowds leave at once",
    )
    grace: float = Field(
        default=5,
        gt=0,
        description="Longest wait after that for buffers to be flushed; one connection gets five at most",
    )
    reconnect_within: float = Field(
        default=5,
        gt=0,
        description="Where other nodes take them, clients are told to come back within this time, each at its own moment",
    )


def _hashed(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(PREFIX_OF_KEYS):
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


class TlsSettings(Section):
    """TLS, where no proxy does it."""

    certificate: Path | None = Field(
        default=None, description="PEM file of the certificate and its chain; without it, no TLS"
    )
    key: Path | None = Field(
        default=None,
        description="PEM file of its private key, where the certificate's file does not hold it",
    )
    clients: Path | None = Field(
        default=None,
        description="PEM file of authorities; clients without a certificate of theirs are refused",
    )

    @model_validator(mode="after")
    def _goes_with_certificate(self) -> Self:
        if self.key is not None and self.certificate is None:
            raise ValueError("there is a key and no certificate; expected both, or neither")
        if self.clients is not None and self.certificate is None:
            raise ValueError(
                "there are authorities of clients and no certificate; expected both, or neither"
            )
        return self


Level = Literal["debug", "info", "warning", "error"]


class LogSettings(Section):
    """Logs on standard output."""

    level: Level = Field(
        default="info",
        description="What is less important is not logged; operators can change it while it runs",
    )
    format: Literal["auto", "json", "console"] = Field(
        default="auto", description="auto: console on a terminal, json elsewhere"
    )
    access: bool = Field(default=False, description="One line per HTTP request")
    access_share: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="Share of requests that have one; those answered with 5xx always have",
    )


class TracingSettings(Section):
    """OpenTelemetry traces (docs/tracing.md). The image has what they need; elsewhere it is an extra, otel."""

    endpoint: str | None = Field(
        default=None,
        pattern=r"^https?://[^/\s@?#]+(/[^\s?#]*)?$",
        description="Base URL of a collector that takes OTLP over HTTP, such as http://localhost:4318; without it, nothing is traced",
    )
    sample: float = Field(
        default=0.01,
        ge=0,
        le=1,
        description="Share of publishes without a traceparent that begin a trace; a sampled one is followed",
    )


BROKERS = r"^(memory://$|sqlite:///|rediss?(\+(sentinel|cluster))?://|nats://|tls://)"
SAMPLE_CHANNELS = {
    "chat": {
        "payload": "chat",
        "history": {"events": 500, "age": "24h"},
        "presence": True,
        "publish": ["client", "producer"],
    },
    "logs": {"payload": "log", "history": {"events": 10_000, "age": "1h"}, "publish": ["producer"]},
    "iot": {
        "payload": "reading",
        "history": {"events": 1000, "age": "7d"},
        "slow": "latest",
        "publish": ["producer"],
    },
}


class Settings(BaseSettings):
    """All settings. Every key is also a variable: `limits.depth` is `EVENTHUB_LIMITS__DEPTH`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True
    )
    _file: Path | None = PrivateAttr(default=None)

    host: Host = Field(default="127.0.0.1", description="Address to listen on")
    port: int = Field(default=8000, ge=0, le=65535, description="Port to listen on")
    workers: int = Field(
        default=1,
        ge=1,
        le=256,
        description="Processes that serve; more than one needs a broker that they can share",
    )
    insecure: bool = Field(
        default=False, description="Listen beyond loopback although no authentication is configured"
    )
    broker: str = Field(
        default="memory://",
        pattern=BROKERS,
        description="Where events are stored and announced (docs/brokers.md)",
    )
    channels: dict[TypeName, Annotated[ChannelSettings, BeforeValidator(_not_mapping)]] = Field(
        default_factory=lambda: {
            name: ChannelSettings.model_validate(value) for name, value in SAMPLE_CHANNELS.items()
        },
        min_length=1,
        description="Channel types by name",
    )
    origins: Annotated[list[OriginPattern], NoDecode, BeforeValidator(_listed)] = Field(
        default=[],
        description="Origins of other hosts' pages that may connect and publish, such as https://app.example, https://*.example.com (all "
        "names below it), capacitor://localhost or moz-extension://*; null for files, and for sandboxed frames of any page; * for all. "
        "A server without `auth` on a loopback address answers to their hosts, too",
    )
    proxies: Annotated[list[Network], NoDecode, BeforeValidator(_listed)] = Field(
        default=[],
        description="Addresses or networks of reverse proxies whose X-Forwarded-For and -Proto are believed (Forwarded is not read)",
    )
    auth: AuthSettings = AuthSettings()
    tls: TlsSettings = TlsSettings()
    compression: bool = Field(
        default=False,
        description="Compress WebSocket events for clients that offer permessage-deflate",
    )
    native: bool = Field(
        default=True,
        description="Write to many WebSockets with the native extension, where it was built",
    )
    heartbeat: float = Field(default=25, ge=0.05, le=3600, description="Seconds between heartbeats")
    limits: LimitSettings = LimitSettings()
    shutdown: ShutdownSettings = ShutdownSettings()
    log: LogSettings = LogSettings()
    tracing: TracingSettings = TracingSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003  # pydantic's signature
        init_settings: PydanticBaseSettingsSource,
        *args: PydanticBaseSettingsSource,  # noqa: ARG003
        **kwargs: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What it is called with, and nothing else: the environment is read by config/loader.py, which leaves out what is not meant for us."""
        return (init_settings,)

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        if self.limits.event_bytes > self.limits.body_bytes:
            raise ValueError(
                f"limits.event_bytes is {self.limits.event_bytes}; expected at most limits.body_bytes"
            )
        return self

    @property
    def file(self) -> Path | None:
        """The file that was read, if there was one."""
        return self._file

    def read_from(self, file: Path | None) -> "Settings":
        """These, which were read from this file."""
        self._file = file
        return self

    @property
    def broker_shown(self) -> str:
        """The broker's address without what it may hold of a secret."""
        return without_secrets(self.broker)

    @property
    def loopback(self) -> bool:
        """Whether only this machine can connect."""
        address = parse_address(self.host)
        return self.host == "localhost" or (address is not None and address.is_loopback)


def without_secrets(text: str) -> str:
    """A URL without user, password and options, whatever characters those hold; other texts as they are."""
    scheme, separator, rest = text.partition("://")
    if not separator or scheme == "sqlite":
        return text
    login, at, host = rest.rpartition("@")
    if "?" in login:  # whether it is in the password or begins the options cannot be told
        return f"{scheme}://***"
    return f"{scheme}://{'***@' if at else ''}{host.partition('?')[0]}"
