"""Makes events of older versions of a schema look like those of the version of this node."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import orjson

from eventhub.events.channel_types import ChannelType
from eventhub.events.compatibility.versions import Upcast
from eventhub.events.defaults import fill
from eventhub.events.event import SCHEMA, Event

OnFailure = Callable[[str, int, BaseException], None]
"""Channel type, version, why."""


@dataclass(frozen=True, slots=True, eq=False)
class Upcaster:
    """Reads the events of one channel type."""

    channel_type: ChannelType
    steps: Mapping[int, Upcast]
    """By the version that they take."""
    failed: OnFailure

    def read(self, event: Event) -> Event:
        """The event in the version of this node. As it is stored if that cannot be.

        A newer event, and one without a version, stays as it is.
        """
        attributes, version = event.attributes, self.channel_type.version
        if not attributes or version is None or version.number is None:
            return event
        number = attributes.get(SCHEMA)
        if number is None or number == version.own or not number.isdecimal():
            return event
        if int(number) > version.number:
            return event
        try:
            data = self._upcast(event.data, int(number), version.number)
        except (KeyboardInterrupt, MemoryError):
            raise
        except BaseException as error:  # a deployment's function may raise anything
            self.failed(self.channel_type.name, int(number), error)
            return event
        return event._replace(data=data, attributes={**attributes, SCHEMA: version.own})

    def _upcast(self, stored: bytes, number: int, wanted: int) -> bytes:
        data = orjson.loads(stored)
        while number < wanted:
            step = self.steps.get(number)
            if step is None:  # nothing to do, or a default
                number += 1
                continue
            if step.to > wanted:
                raise ValueError(f"upcast from {number} leads to {step.to}, beyond {wanted}")
            data, number = step.function(data), step.to
        schema = self.channel_type.schema
        return schema.canonical(orjson.dumps(fill(schema.accepted, data)), detailed=False)
