"""The messages that a client may send over a WebSocket (PROTOCOL.md, "Client to server")."""

from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
)

from eventhub.common.nesting import check_depth
from eventhub.common.strict_json import parse
from eventhub.common.timestamps import check_timestamp
from eventhub.errors import InvalidFrame, InvalidJson
from eventhub.events.event import ATTRIBUTE_LENGTH, ATTRIBUTES
from eventhub.events.keys import KEY_LENGTH as STATE_KEY_LENGTH
from eventhub.events.since import parse_expected
from eventhub.events.validation_errors import model_details, not_permitted, unknown_fields
from eventhub.presence.roster import MEMBER_LENGTH

CREDENTIAL_LENGTH = 8 * 1024
KEY_LENGTH = 128
REF_LENGTH = 64

MemberId = Annotated[str, Field(min_length=1, max_length=MEMBER_LENGTH)]
Key = Annotated[str, Field(min_length=1, max_length=KEY_LENGTH, pattern=r"^[!-~]+$")]
Attribute = Annotated[str, Field(min_length=1, max_length=ATTRIBUTE_LENGTH)]
AttributeName = Literal["source", "subject", "type", "id", "time", "traceparent"]


def _check_expected(text: str) -> str:
    parse_expected(text)
    return text


StateKey = Annotated[str, Field(max_length=STATE_KEY_LENGTH)]
"""A key that is deleted."""
Expected = Annotated[str, AfterValidator(_check_expected)]
"""The id of the key's newest event, or `none`."""


def content_details(fields: dict[str, Any]) -> list[dict[str, str]]:
    """What is wrong unless an event has either `data`, or `deleted` with the key to delete.

    With the relation `delete`, it has neither.
    """
    if fields.get("relation") == "delete":
        wrong = next((name for name in ("data", "deleted") if fields.get(name) is not None), None)
        why = "expected neither data nor deleted: the event that is deleted is in refers"
        return [{"pointer": f"/{wrong}", "message": why}] if wrong else []
    if "data" not in fields and fields.get("deleted") is None:
        return [{"pointer": "/data", "message": "Field required, or deleted with a key"}]
    if "data" in fields and "deleted" in fields:
        return [{"pointer": "/deleted", "message": "expected either data or deleted"}]
    return []


def _check_attributes(attributes: dict[AttributeName, str]) -> dict[AttributeName, str]:
    if "time" in attributes:
        check_timestamp(attributes["time"])
    return attributes


Attributes = Annotated[dict[AttributeName, Attribute], AfterValidator(_check_attributes)]


Positions = Annotated[
    Annotated[str, Tag("since")] | Annotated[dict[str, str], Tag("positions")],
    Discriminator(lambda value: "positions" if isinstance(value, dict) else "since"),
]
"""A `since` for every channel, or one for each channel of a pattern."""


def _form_of_presence(value: object) -> str | None:
    if value == "count":
        return "count"
    return "members" if isinstance(value, bool) else None


Presence = Annotated[
    Annotated[bool, Tag("members")] | Annotated[Literal["count"], Tag("count")],
    Discriminator(
        _form_of_presence,
        custom_error_type="presence_type",
        custom_error_message="Input should be true, false or 'count'",
    ),
]
"""Whether to send the members, or their number, and every change."""


class Member(BaseModel):
    """A member with its data, which the other clients see."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    id: MemberId
    data: dict[str, Any] | None = None


def _form(member: object) -> str:
    return "object" if isinstance(member, dict | Member) else "id"


class Command(BaseModel):
    """The fields of every client message. The reply repeats `ref`."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    type: str
    ref: int | Annotated[str, Field(max_length=REF_LENGTH)] | None = None


class Subscribe(Command):
    """Subscribe to a channel, or to all channels that fit a pattern."""

    type: Literal["subscribe"]
    channel: str
    since: Positions | None = None
    more: bool = False
    presence: Presence = False
    member: (
        Annotated[
            Annotated[MemberId, Tag("id")] | Annotated[Member, Tag("object")],
            Discriminator(_form),
        ]
        | None
    ) = None
    where: str | None = None

    @property
    def member_id(self) -> str:
        """The id in presence, "" without one."""
        member = self.member
        return member.id if isinstance(member, Member) else member or ""

    @property
    def member_data(self) -> dict[str, Any] | None:
        """The member's data, None if the client gives none."""
        return self.member.data if isinstance(self.member, Member) else None


class Unsubscribe(Command):
    """End a subscription."""

    type: Literal["unsubscribe"]
    channel: str


class Update(Command):
    """Replace the data of this subscription's member. Null removes it."""

    type: Literal["update"]
    channel: str
    data: dict[str, Any] | None


class Publish(Command):
    """Publish an event, or send a signal."""

    type: Literal["publish"]
    channel: str
    data: Any = None
    deleted: StateKey | None = None
    key: Key | None = None
    attributes: Attributes | None = None
    if_match: Expected | None = None
    signal: bool = False
    refers: str | None = None
    relation: str | None = None


class Auth(Command):
    """Send a token, the first or a new one before it expires."""

    type: Literal["auth"]
    token: Annotated[str, Field(min_length=1, max_length=CREDENTIAL_LENGTH)]


class Ping(Command):
    """Ask for a `pong`."""

    type: Literal["ping"]


COMMANDS: dict[str, type[Command]] = {
    "subscribe": Subscribe,
    "unsubscribe": Unsubscribe,
    "update": Update,
    "publish": Publish,
    "auth": Auth,
    "ping": Ping,
}
_FIELDS = {kind: frozenset(kind.model_fields) for kind in COMMANDS.values()}
_ATTRIBUTES = frozenset(ATTRIBUTES)

Ref = int | str | None


class Dialect(NamedTuple):
    """How the messages of a client are read."""

    fields_of: Callable[[bytes, int], dict[str, Any]]
    """As `fields_of` below."""
    command_of: Callable[[dict[str, Any]], Command]
    """As `command_of` below."""


_EXPECTED = 'expected an object with a type, such as {"type":"ping"}'


def ref_of(fields: dict[str, Any]) -> Ref:
    """The `ref` of a message, None without a valid one."""
    ref = fields.get("ref")
    short = isinstance(ref, str) and len(ref) <= REF_LENGTH
    return ref if short or (isinstance(ref, int) and not isinstance(ref, bool)) else None


def fields_of(message: bytes, depth: int) -> dict[str, Any]:
    """The fields of a text message that nests at most `depth` levels inside its own object.

    Raises InvalidJson, TooDeep, InvalidFrame.
    """
    check_depth(message, depth + 1, "limits.depth, and one for the message")
    try:
        fields = parse(message)
    except InvalidJson:
        if message.lstrip().startswith(b"{"):
            raise
        raise InvalidJson(f"the message is not JSON; {_EXPECTED}") from None
    if not isinstance(fields, dict):
        raise InvalidFrame(f"the message is a JSON {json_kind(fields)}; {_EXPECTED}")
    return fields


def command_of(fields: dict[str, Any]) -> Command:
    """The command with these fields. Raises InvalidFrame."""
    name = fields.get("type")
    if not isinstance(name, str) or name not in COMMANDS:
        raise InvalidFrame(
            f"the message's type is {_shown(name)}; expected one of {', '.join(COMMANDS)}"
        )
    kind = COMMANDS[name]
    details = unknown_fields(fields, _FIELDS[kind], not_permitted(_FIELDS[kind]))
    if kind is Publish and not details:
        details = content_details(fields) or _unknown_attributes(fields)
    if not details:
        try:
            return kind.model_validate(fields)
        except ValidationError as error:
            details = model_details(error, fields, _FIELDS[kind])
    raise InvalidFrame(
        f"the {name} message does not fit: {details[0]['pointer']}: {details[0]['message']}",
        details,
    )


def _shown(name: object) -> str:
    if isinstance(name, str):
        return repr(name[:40])
    return "missing" if name is None else f"a JSON {json_kind(name)}"


def _unknown_attributes(fields: dict[str, Any]) -> list[dict[str, str]]:
    expected = f"expected one of {', '.join(ATTRIBUTES)}"
    return [
        {**detail, "pointer": f"/attributes{detail['pointer']}"}
        for detail in unknown_fields(fields.get("attributes"), _ATTRIBUTES, expected)
    ]


def json_kind(value: Any) -> str:
    """The JSON type of a value."""
    names = {
        bool: "boolean",
        int: "number",
        float: "number",
        str: "string",
        list: "array",
        dict: "object",
    }
    return names.get(type(value), "null")


EVENTHUB_DIALECT = Dialect(fields_of, command_of)
