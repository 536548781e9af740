"""The sections of the settings below `channels`, with their documented defaults."""

from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    field_validator,
    model_validator,
)

from eventhub.auth.grants import Action
from eventhub.config.fields import Milliseconds, check_key, split_commas
from eventhub.config.sections import Section
from eventhub.events.channel_types import PublisherKind, SenderRule, SlowReaderPolicy
from eventhub.events.compatibility.changes import Compatibility


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


class RefusedSettings(Section):
    """Which of the events that are refused are kept, to be mended and published again."""

    events: int = Field(
        default=100,
        ge=0,
        le=1000,
        description="[Refused events](refused-events.md) kept per channel type; 0, or refused: "
        "false, for none",
    )
    age: Milliseconds = Field(
        default="1d", validate_default=True, description="How long they are kept, such as 1h"
    )
    bytes: int = Field(
        default=64 * 1024,
        ge=1,
        le=256 * 1024,
        description="Bytes kept of each payload; a longer one is cut",
    )


def _refused(value: Any) -> Any:
    """`false` keeps none, `true` is the default."""
    words = {"true": True, "false": False}
    switch = words.get(value.lower(), value) if isinstance(value, str) else value
    if isinstance(switch, bool):
        return {} if switch else {"events": 0}
    return value


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
    refused: Annotated[
        RefusedSettings,
        BeforeValidator(_refused, json_schema_input_type=RefusedSettings | bool),
    ] = RefusedSettings()

    @field_validator("anonymous")
    @classmethod
    def _check_anonymous(cls, actions: list[Action]) -> list[Action]:
        if Action.REFUSED in actions:
            raise ValueError(
                "refused events may hold secrets; expected refused in an entry of auth.keys, or in "
                "the claim channels of a token"
            )
        return actions

    @model_validator(mode="after")
    def _check_latest(self) -> Self:
        if self.history.latest and self.key is None:
            raise ValueError(
                "history.latest is true and there is no key; expected key: the field of the "
                "payload that says what an event is about"
            )
        return self
