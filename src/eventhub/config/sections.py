"""Sections of the settings: CloudEvents, shutdown, TLS, logs and traces.

Channel types, limits and authentication have modules of their own.
"""

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Section(BaseModel):
    """A section of the settings."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class CloudEventsSettings(Section):
    """How events are shown as CloudEvents."""

    source: str = Field(
        default="",
        max_length=200,
        pattern=r"^([a-z][a-z0-9+.-]*:[A-Za-z0-9._~:/@!$&'()*+,;=%-]+)?$",
        description="What begins the `source` of events whose producer named none, such as "
        "`https://hub.example`. By default, it is relative: `/v1/channels/chat.lobby`",
    )


class ShutdownSettings(Section):
    """What happens on SIGTERM, in seconds."""

    spread: float = Field(
        default=10,
        ge=0,
        le=3600,
        description="When other nodes take over, clients are sent away evenly over this many "
        "seconds, but at least 100 per second, so a small number needs less time. Above that, no "
        "second takes more than 1.1 / spread of them, except when the drain is two seconds late: "
        "then all leave",
    )
    grace: float = Field(
        default=5,
        gt=0,
        description="Longest wait after that for buffers to be flushed. At most five seconds per "
        "connection",
    )
    reconnect_within: float = Field(
        default=5,
        gt=0,
        description="When other nodes take over, the server tells each client to reconnect at its "
        "own moment within this time",
    )


class TlsSettings(Section):
    """TLS, if no proxy terminates it."""

    certificate: Path | None = Field(
        default=None,
        description="PEM file of the certificate and its chain. By default, there is no TLS",
    )
    key: Path | None = Field(
        default=None,
        description="PEM file of the private key, if the certificate's file does not hold it",
    )
    clients: Path | None = Field(
        default=None,
        description="PEM file of authorities. Clients without a certificate of one of them are "
        "refused",
    )

    @model_validator(mode="after")
    def _check_certificate(self) -> Self:
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
        description="Lowest level that is logged. Operators can change it at run time",
    )
    format: Literal["auto", "json", "console"] = Field(
        default="auto", description="auto: console on a terminal, json elsewhere"
    )
    access: bool = Field(default=False, description="One line per HTTP request")
    access_share: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="Share of requests that get a line. Those answered with 5xx always do",
    )


class TracingSettings(Section):
    """OpenTelemetry traces (docs/tracing.md). They need the extra `otel`, which the image has."""

    endpoint: str | None = Field(
        default=None,
        pattern=r"^https?://[^/\s@?#]+(/[^\s?#]*)?$",
        description="Base URL of a collector that takes OTLP over HTTP, such as "
        "http://localhost:4318. By default, there are no traces",
    )
    sample: float = Field(
        default=0.01,
        ge=0,
        le=1,
        description="Share of publishes without a traceparent that begin a trace. A sampled "
        "traceparent is always followed",
    )
