"""What a client may say over a WebSocket (PROTOCOL.md, "Client to server"): the messages, checked."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from eventhub.errors import InvalidFrame
from eventhub.events.event import ATTRIBUTE_LENGTH, ATTRIBUTES
from eventhub.events.validation_errors import model_details, unknown_fields
from eventhub.presence.roster import MEMBER_LENGTH

CREDENTIAL_LENGTH = 8 * 1024
KEY_LENGTH = 128
REF_LENGTH = 64

Member = Annotated[str, Field(min_length=1, max_length=MEMBER_LENGTH)]
Key = Annotated[str, Field(min_length=1, max_length=KEY_LENGTH, pattern=r"^[!-~]+$")]
Attribute = Annotated[str, Field(min_length=1, max_length=ATTRIBUTE_LENGTH)]


class Command(BaseModel):
    """What every client message has. `ref` comes back in the reply."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    type: str
    ref: int | Annotated[str, Field(max_length=REF_LENGTH)] | None = None


class Subscribe(Command):
    """Listen to a channel."""

    type: Literal["subscribe"]
    channel: str
    since: str | None = None
    presence: bool = False
    member: Member | None = None


class Unsubscribe(Command):
    """Listen no more."""

    type: Literal["unsubscribe"]
    channel: str


class Publish(Command):
    """Publish an event."""

    type: Literal["publish"]
    channel: str
    data: Any
    key: Key | None = None
    attributes: dict[Literal["source", "subject", "type", "traceparent"], Attribute] | None = None


class Auth(Command):
    """Say who you are, or prove it anew before a token expires."""

    type: Literal["auth"]
    token: Annotated[str, Field(min_length=1, max_length=CREDENTIAL_LENGTH)]


class Ping(Command):
    """Ask whether the server is there."""

    type: Literal["ping"]


COMMANDS: dict[str, type[Command]] = {
    "subscribe": Subscribe,
    "unsubscribe": Unsubscribe,
    "publish": Publish,
    "auth": Auth,
    "ping": Ping,
}
_FIELDS = {kind: frozenset(kind.model_fields) for kind in COMMANDS.values()}
_ATTRIBUTES = frozenset(ATTRIBUTES)

Ref = int | str | None


def ref_of(fields: dict[str, Any]) -> Ref:
    """The `ref` of a message, None where there is none that can be given back."""
    ref = fields.get("ref")
    short = isinstance(ref, str) and len(ref) <= REF_LENGTH
    return ref if short or (isinstance(ref, int) and not isinstance(ref, bool)) else None


def command_of(fields: dict[str, Any]) -> Command:
    """Raises InvalidFrame."""
    name = fields.get("type")
    if not isinstance(name, str) or name not in COMMANDS:
        shown = (
            repr(name[:40])
            if isinstance(name, str)
            else "missing"
            if name is None
            else f"a JSON {json_kind(name)}"
        )
        raise InvalidFrame(f"the message's type is {shown}; expected one of {', '.join(COMMANDS)}")
    kind = COMMANDS[name]
    details = unknown_fields(fields, _FIELDS[kind])
    if kind is Publish and not details:
        of_attributes = unknown_fields(
            fields.get("attributes"), _ATTRIBUTES, f"expected one of {', '.join(ATTRIBUTES)}"
        )
        details = [
            {**fault, "pointer": f"/attributes{fault['pointer']}"} for fault in of_attributes
        ]
    if not details:
        try:
            return kind.model_validate(fields)
        except ValidationError as error:
            details = model_details(error, fields, _FIELDS[kind])
    raise InvalidFrame(
        f"the {name} message does not fit: {details[0]['pointer']}: {details[0]['message']}",
        details,
    )


def json_kind(value: Any) -> str:
    """What JSON calls it."""
    names = {
        bool: "boolean",
        int: "number",
        float: "number",
        str: "string",
        list: "array",
        dict: "object",
    }
    return names.get(type(value), "null")
