"""The messages of a client that speaks the subprotocol `cloudevents.json`: each is a CloudEvent.

One whose type is `eventhub.` and the name of a command is that command, and its data are the
command's fields. Any other is published to the channel that its `eventhubchannel` names.
"""

from typing import Any

import orjson

from eventhub.errors import InvalidEvent, InvalidFrame
from eventhub.events.cloudevents import checked_attributes, of_json
from eventhub.session.commands import (
    COMMANDS,
    REF_LENGTH,
    Command,
    Dialect,
    Publish,
    command_of,
    fields_of,
    json_kind,
)

PREFIX = "eventhub."
EVENT = "eventhub.event."
"""Begins the types of events that another EventHub shows as CloudEvents."""
CHANNEL = "eventhubchannel"


class PublishCloudEvent(Publish):
    """Publish a CloudEvent. `stored`: its attributes, as they are stored."""

    key: str | None = None
    stored: dict[str, str]


def cloudevent_of(message: bytes, depth: int) -> dict[str, Any]:
    """The CloudEvent in a message, and the `ref` of the reply. Raises EventHubError."""
    cloudevent = fields_of(message, depth)
    name = cloudevent.get("id")
    fields: dict[str, Any] = {"cloudevent": cloudevent}
    if isinstance(name, str) and len(name) <= REF_LENGTH:
        fields["ref"] = name
    return fields


def command_in(fields: dict[str, Any]) -> Command:
    """The command that a CloudEvent is. Raises InvalidFrame, InvalidEvent."""
    cloudevent, ref = fields["cloudevent"], fields.get("ref")
    kind = cloudevent.get("type")
    if not isinstance(kind, str) or not kind.startswith(PREFIX) or kind.startswith(EVENT):
        return _publish(cloudevent, ref)
    name = kind[len(PREFIX) :]
    if name not in COMMANDS:
        expected = ", ".join(PREFIX + each for each in COMMANDS)
        raise InvalidFrame(
            f"the CloudEvent's type is {kind[:60]!r}; expected one of {expected}, or another type "
            "to publish it"
        )
    data = cloudevent.get("data") or {}
    if not isinstance(data, dict):
        raise InvalidFrame(
            f"the data of {kind} are a JSON {json_kind(data)}; expected the fields of the command"
        )
    context = {each: value for each, value in cloudevent.items() if each != "data"}
    checked_attributes({each: value for each, value in context.items() if value is not None})
    command = {**data, "type": name}
    return command_of(command if ref is None else {"ref": ref, **command})


def _publish(cloudevent: dict[str, Any], ref: str | None) -> PublishCloudEvent:
    found = of_json(cloudevent)
    channel = cloudevent.get(CHANNEL)
    if not isinstance(channel, str):
        why = "Field required: the channel to publish to"
        raise InvalidEvent(
            f"the CloudEvent has no {CHANNEL}; expected the channel to publish to",
            [{"pointer": f"/{CHANNEL}", "message": why}],
        )
    return PublishCloudEvent(
        type="publish",
        ref=ref,
        channel=channel,
        data=orjson.loads(found.data),
        key=found.key,
        stored=found.attributes,
    )


CLOUDEVENT_DIALECT = Dialect(cloudevent_of, command_in)
