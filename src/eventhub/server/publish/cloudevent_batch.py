"""Decoding a JSON array of CloudEvents (batch mode), in turns of the event loop."""

from typing import Any

from eventhub.common.strict_json import dump
from eventhub.errors import EventHubError, InvalidJson
from eventhub.events.cloudevents import of_json
from eventhub.events.event import NewEvent
from eventhub.server.publish.batch import WHITE_SPACE, BatchDecoder, parse_items
from eventhub.server.publish.cloudevents import OVERHEAD_BYTES, check_names
from eventhub.server.publish.handling import DETAILED_REFUSALS


class CloudEventBatchDecoder(BatchDecoder):
    """Decodes one array of CloudEvents, each with attributes of its own."""

    __slots__ = ()
    levels = 1
    beside = OVERHEAD_BYTES

    async def decode(self, body: bytes) -> list[NewEvent | EventHubError]:
        """An event or an error for each CloudEvent, in order. Raises EventHubError."""
        if body.lstrip(WHITE_SPACE)[:1] != b"[":
            raise InvalidJson("expected a JSON array of CloudEvents, as the Content-Type says")
        return await super().decode(body)

    def _decode_all(self, array: bytes) -> None:
        """Each is decoded by itself."""

    def _parse_items(self, array: bytes, body: bytes, start: int) -> list[Any]:
        items = parse_items(array, body, start)
        check_names(array, items)
        return items

    def _decode_item(self, value: Any) -> int:
        """Accept or refuse a CloudEvent. The size of its data in bytes."""
        detailed = self._refusals < DETAILED_REFUSALS
        try:
            found = of_json(value)
            index = len(self._outcomes)
            event = self._request.decoder.decode_cloudevent(found, index, detailed=detailed)
            self._outcomes.append(event)
            return len(found.data)
        except EventHubError as error:
            self._refuse(error, dump(value))
            return 0
