"""Payloads that other tools send as they are (docs/payloads.md). Their fields have their names."""

# ruff: noqa: N815
from typing import Annotated, ClassVar, Literal, Self

from pydantic import ConfigDict, Field, FiniteFloat, model_validator

from eventhub.events.payload_base import Payload, Timestamp

Labels = dict[str, str]
NAME = r"^[A-Za-z0-9][A-Za-z0-9:./_-]*$"


class Alert(Payload):
    """An alert of a notification."""

    model_config = ConfigDict(extra="allow", strict=True)

    status: Literal["firing", "resolved"]
    labels: Labels
    annotations: Labels
    startsAt: Timestamp
    endsAt: Timestamp
    generatorURL: str = ""
    fingerprint: str = ""


class AlertmanagerNotification(Payload):
    """What Alertmanager sends to a webhook: version 4. Fields of later versions are kept."""

    model_config = ConfigDict(extra="allow", strict=True)
    conflation_key: ClassVar[str | None] = "groupKey"

    version: Literal["4"]
    groupKey: str = Field(description="Which group of alerts")
    status: Literal["firing", "resolved"]
    receiver: str
    groupLabels: Labels
    commonLabels: Labels
    commonAnnotations: Labels
    externalURL: str
    alerts: list[Alert]
    truncatedAlerts: int = Field(default=0, ge=0, description="Alerts that were left out")


class SenmlRecord(Payload):
    """A resolved record of SenML (RFC 8428, 4.6): it has one value, a sum, or both."""

    conflation_key: ClassVar[str | None] = "n"

    n: Annotated[str, Field(max_length=256, pattern=NAME, description="Name")]
    t: FiniteFloat | None = Field(default=None, description="Seconds since 1970")
    u: str | None = Field(default=None, max_length=64, description="Unit")
    v: FiniteFloat | None = Field(default=None, description="Number")
    vs: str | None = Field(default=None, description="Text")
    vb: bool | None = Field(default=None, description="True or false")
    vd: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_-]*$", description="base64url")
    s: FiniteFloat | None = Field(default=None, description="Sum over time")
    ut: FiniteFloat | None = Field(default=None, ge=0, description="Next value within seconds")
    bver: int | None = Field(default=None, ge=1, description="Version of SenML, unless it is 10")

    @model_validator(mode="after")
    def _has_a_value(self) -> Self:
        values = [name for name in ("v", "vs", "vb", "vd") if getattr(self, name) is not None]
        if len(values) > 1 or (not values and self.s is None):
            found = " and ".join(values) or "no value"
            raise ValueError(f"the record has {found}; expected one of v, vs, vb and vd, or s")
        return self
