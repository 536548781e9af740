"""Sections of the settings: channel types, shutdown, TLS, logs and traces.

Limits and authentication have modules of their own.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from eventhub.auth.grants import Action
from eventhub.config.fields import Milliseconds, split_commas
from eventhub.events.channels import PublisherKind, SlowReaderPolicy


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
    publish: Annotated[list[PublisherKind], BeforeValidator(split_commas)] = Field(
        default=[PublisherKind.PRODUCER],
        description="Who may publish: client (WebSocket), producer (HTTP)",
    )
    anonymous: Annotated[list[Action], BeforeValidator(split_commas)] = Field(
        default=[],
        description="What anyone may do without a token, where `auth` is configured: subscribe, publish, presence",
    )
    rate: float | None = Field(
        default=None,
        gt=0,
        description="Events per second that one principal may publish; without it, limits.publish_rate",
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
