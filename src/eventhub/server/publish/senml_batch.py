"""Decoding a SenML pack: an array whose records depend on those before them."""

from typing import Any

from eventhub.errors import EventHubError, InvalidJson
from eventhub.events.arrays import ArrayPart
from eventhub.events.event import NewEvent
from eventhub.events.senml import SenmlPack
from eventhub.server.connections.fair_queue import TimeSlice
from eventhub.server.publish.batch import WHITE_SPACE, BatchDecoder, size_error


class SenmlBatchDecoder(BatchDecoder):
    """Decodes one pack. A fault of a base field or a time refuses all of it."""

    __slots__ = ("_pack",)

    async def decode(self, body: bytes) -> list[NewEvent | EventHubError]:
        """An event or an error for each record, in order. Raises EventHubError."""
        if body.lstrip(WHITE_SPACE)[:1] != b"[":
            raise InvalidJson("expected a SenML pack, which is a JSON array (RFC 8428, 5)")
        self._pack = SenmlPack(self._request.now() / 1000)
        return await super().decode(body)

    async def _decode_part(self, part: ArrayPart, body: bytes, share: TimeSlice) -> None:
        """A record that is too large refuses the pack: later ones may need its base fields."""
        start, end, alone = part
        error = size_error(body[start:end], self._request.limits) if alone else None
        if error is not None:
            raise error
        await super()._decode_part(part, body, share)

    def _decode_all(self, array: bytes) -> None:
        """Each is resolved by itself."""

    def _decode_item(self, value: Any) -> int:
        return super()._decode_item(self._pack.resolved(value))
