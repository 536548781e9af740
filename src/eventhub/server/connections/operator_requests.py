"""Requests of operators, and the answers of each node, as they are on the wire."""

from typing import Annotated, Self, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from eventhub.auth.blocks import BlockTarget, TargetKind
from eventhub.common.addresses import canonical
from eventhub.config.sections import Level
from eventhub.events.since import parse_age
from eventhub.server.connections.identity import ConnectionIdentity

LONGEST_BLOCK = 30 * 24 * 3600 * 1000
"""Milliseconds that a block may last."""


class Selector(BaseModel):
    """Selects principals or tokens by name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    subject: str | None = Field(
        default=None, min_length=1, max_length=200, description="The sub of tokens"
    )
    key: str | None = Field(
        default=None, min_length=1, max_length=200, description="The name of an API key"
    )
    token: str | None = Field(
        default=None, min_length=1, max_length=200, description="The jti of one token"
    )

    @property
    def targets(self) -> list[BlockTarget]:
        """The targets that are given."""
        return [
            BlockTarget.of(what, value)
            for what in get_args(TargetKind)
            if (value := getattr(self, what)) is not None
        ]


class ConnectionFilter(Selector):
    """Selects connections. A field that is not given matches all of them."""

    address: Annotated[str, AfterValidator(canonical)] | None = Field(
        default=None, max_length=100, description="The client's address"
    )
    limit: int = Field(default=100, ge=1, le=1000, description="Connections in the answer")

    def fits(self, identity: ConnectionIdentity) -> bool:
        """Return whether a connection matches."""
        return all(target.fits(identity.principal) for target in self.targets) and self.address in (
            None,
            identity.address,
        )


class BlockTargetRequest(Selector):
    """A principal or a token: exactly one of these."""

    model_config = ConfigDict(title="Whom")  # the schema's title in the OpenAPI document

    @model_validator(mode="after")
    def _one(self) -> Self:
        if len(self.targets) != 1:
            raise ValueError(
                f"{len(self.targets)} of {', '.join(get_args(TargetKind))} are given; expected one"
            )
        return self

    @property
    def target(self) -> BlockTarget:
        """The target that is given."""
        return self.targets[0]


class BlockRequest(BlockTargetRequest):
    """The target to block, and for how long."""

    model_config = ConfigDict(title="Block")

    duration: str = Field(
        default="1h", alias="for", description="Such as 15m, 1h or 30d, which is the most"
    )

    @field_validator("duration")
    @classmethod
    def _is_age(cls, text: str) -> str:
        if not 0 < parse_age(text) <= LONGEST_BLOCK:
            raise ValueError("expected a time of 30 days at most")
        return text

    @property
    def milliseconds(self) -> int:
        """The duration in milliseconds."""
        return parse_age(self.duration)


Number = Annotated[int, Field(strict=True, ge=0, le=1_000_000_000)]
Plain = str | int | None


class ConnectionsReply(BaseModel):
    """A node's answer about its connections.

    A node of another version may send other fields in its rows, but no larger fields.
    """

    open: Number
    matching: Number
    rows: list[dict[str, Plain | list[str] | dict[str, Plain]]] = Field(max_length=1000)


class DisconnectReply(BaseModel):
    """A node's answer to a request to end connections."""

    ended: Number


class Verbosity(BaseModel):
    """The log level, in a request and in a node's answer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    level: Level = Field(description="debug, info, warning or error")
