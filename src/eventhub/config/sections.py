"""Sections of the settings: channel types, shutdown, TLS, logs and traces.

Limits and authentication have modules of their own.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from eventhub.auth.grants import Action
from eventhub.config.fields import Milliseconds, check_key, split_commas
from eventhub.events.channel_types import PublisherKind, SenderRule, SlowReaderPolicy
from eventhub.events.compatibility.changes import Compatibility


class Section(BaseModel):
    """A section of the settings."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class HistorySettings(Section):
    """How much of a channel's history is retained."""

    events: int = Field(
        default=1000,
        ge=0,
        le=1_000_000,
        description="Events retained per channel; 0 for no history",
    )
    age: Milliseconds | None = Field(
        default=None,
        description="How long events are retained, such as 24h. By default, age does not matter",
    )
    latest: bool = Field(
        default=False,
        description="Keep the newest event of each key, beyond `events` and `age`. Needs `key`",
    )
    keys: int = Field(
        default=10_000,
        ge=1,
        le=1_000_000,
        description="With latest: keys per channel whose newest event is kept. Beyond it, the key "
        "that has been silent for longest is dropped",
    )
    key_age: Milliseconds | None = Field(
        default=None,
        description="With latest: how long the newest event of a key is kept, such as 30d. By "
        "default, age does not matter",
    )

    @model_validator(mode="after")
    def _check_latest(self) -> Self:
        for name in ("keys", "key_age"):
            if name in self.model_fields_set and not self.latest:
                raise ValueError(f"{name} is given and latest is false; expected latest: true")
        return self


class SignalSettings(Section):
    """Signals: messages that are delivered to those who are there, and stored nowhere."""

    publish: Annotated[list[PublisherKind], BeforeValidator(split_commas)] = Field(
        default=[],
        description="Who may send signals: client (WebSocket), producer (HTTP). By default, nobody",
    )
    payload: str | None = Field(
        default=None,
        description="What fits a signal, as for events. By default, what fits an event",
    )


class CloudEventsSettings(Section):
    """How events are shown as CloudEvents."""

    source: str = Field(
        default="",
        max_length=200,
        pattern=r"^([a-z][a-z0-9+.-]*:[A-Za-z0-9._~:/@!$&'()*+,;=%-]+)?$",
        description="What begins the `source` of events whose producer named none, such as "
        "`https://hub.example`. By default, it is relative: `/v1/channels/chat.lobby`",
    )


class UpcastSettings(Section):
    """A function that makes newer data of events that an older schema accepted."""

    from_: int = Field(alias="from", ge=1, description="Version of the events that it takes")
    to: int = Field(ge=2, description="Version of what it returns")
    with_: str = Field(
        alias="with",
        pattern=r"^[\w.]+:[\w.]+$",
        description="A Python function, package.module:function. It takes and returns JSON values",
    )

    @model_validator(mode="after")
    def _check_direction(self) -> Self:
        if self.to <= self.from_:
            raise ValueError(f"from is {self.from_} and to is {self.to}; expected a larger to")
        return self


class ChannelSettings(Section):
    """A channel type."""

    payload: str = Field(
        default="json",
        description="chat, log, reading, alertmanager, senml, json (any JSON), a JSON Schema "
        "file, or "
        "package.module:Model",
    )
    history: HistorySettings = HistorySettings()
    presence: bool = Field(default=False, description="Keep a list of members")
    slow: SlowReaderPolicy = Field(
        default=SlowReaderPolicy.DISCONNECT,
        description="What to do when a reader's buffer is full: disconnect, drop, or latest (the "
        "newest event of each key)",
    )
    key: Annotated[str, AfterValidator(check_key)] | None = Field(
        default=None,
        description="What an event is about: a JSON pointer such as /id, a field of the payload "
        "such as sensor, or subject (the attribute). By default, events have no keys, and channels "
        "no state",
    )
    publish: Annotated[list[PublisherKind], BeforeValidator(split_commas)] = Field(
        default=[PublisherKind.PRODUCER],
        description="Who may publish: client (WebSocket), producer (HTTP)",
    )
    anonymous: Annotated[list[Action], BeforeValidator(split_commas)] = Field(
        default=[],
        description="What clients without a credential may do, where `auth` is configured: "
        "subscribe, publish, presence, signal (which publish includes), moderate",
    )
    rate: float | None = Field(
        default=None,
        gt=0,
        description="Events per second that one principal may publish. By default, "
        "limits.publish_rate",
    )
    version: int | None = Field(
        default=None,
        ge=1,
        description="Version of the schema, for a payload with a schema of its own. By default, a "
        "schema that is not known yet is one more than the newest version",
    )
    compatibility: Compatibility = Field(
        default=Compatibility.NONE,
        description="What a new schema must keep: backward, forward, full, each also with "
        "-transitive (for every older version), or none",
    )
    upcast: list[UpcastSettings] = Field(
        default=[],
        max_length=100,
        description="How events of older schemas are read: functions from one version to another",
    )
    sender: SenderRule = Field(
        default=SenderRule.ANY,
        description="principal: the payload's sender must be the principal that publishes it. "
        "Needs `auth`, and no anonymous publishers",
    )
    signals: SignalSettings = SignalSettings()

    @model_validator(mode="after")
    def _check_latest(self) -> Self:
        if self.history.latest and self.key is None:
            raise ValueError(
                "history.latest is true and there is no key; expected key: the field of the "
                "payload that says what an event is about"
            )
        return self


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
