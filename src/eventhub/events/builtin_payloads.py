"""The built-in payload models. Unknown fields are rejected, and nothing is coerced."""

from typing import ClassVar, Literal

from pydantic import Field, FiniteFloat, JsonValue

from eventhub.events.foreign_payloads import AlertmanagerNotification, SenmlRecord
from eventhub.events.payload_base import Payload, Text64, Timestamp


class ChatMessage(Payload):
    """A line of chat."""

    sender: Text64 = Field(description="Who says it")
    text: str = Field(min_length=1, max_length=4000, description="What is said, plain text")


class LogRecord(Payload):
    """A log record."""

    level: Literal["debug", "info", "warning", "error", "critical"] = Field(
        description="How much it matters"
    )
    message: str = Field(max_length=16_000, description="What happened")
    logger: str | None = Field(default=None, max_length=256, description="The name of the logger")
    fields: dict[str, JsonValue] | None = Field(default=None, description="Structured context")
    time: Timestamp | None = Field(
        default=None, description="When it happened, by the producer's clock (RFC 3339)"
    )


class Reading(Payload):
    """A measurement of a sensor."""

    conflation_key: ClassVar[str | None] = "sensor"

    value: FiniteFloat = Field(description="The number measured")
    unit: str | None = Field(
        default=None, max_length=32, description="UCUM where there is a code: Cel, %, kW"
    )
    sensor: Text64 | None = Field(default=None, description="Which sensor of the channel")
    quality: Literal["good", "uncertain", "bad"] | None = Field(
        default=None, description="As in OPC UA"
    )
    time: Timestamp | None = Field(
        default=None, description="When it was measured, by the producer's clock (RFC 3339)"
    )


BUILT_IN: dict[str, type[Payload]] = {
    "chat": ChatMessage,
    "log": LogRecord,
    "reading": Reading,
    "alertmanager": AlertmanagerNotification,
    "senml": SenmlRecord,
}
