"""Decoding a SenML pack: an array whose records depend on those before them."""

from typing import Any

from eventhub.errors import EventHubError, InvalidJson
from eventhub.events.event import NewEvent
from eventhub.events.senml import SenmlPack
from eventhub.server.publish.batch import WHITE_SPACE, BatchDecoder

MEDIA_TYPE = b"application/senml+json"


class SenmlBatchDecoder(BatchDecoder):
    """Decodes one pack. A fault of a base field or a time refuses all of it."""

    __slots__ = ("_pack",)

    async def decode(self, body: bytes) -> list[NewEvent | EventHubError]:
        """An event or an error for each record, in order. Raises EventHubError."""
        if body.lstrip(WHITE_SPACE)[:1] != b"[":
            raise InvalidJson("expected a SenML pack, which is a JSON array (RFC 8428, 5)")
        self._pack = SenmlPack(self._request.now() / 1000)
        return await super().decode(body)

    def _decode_all(self, array: bytes) -> None:
        """Each is resolved by itself."""

    def _decode_item(self, value: Any) -> int:
        return super()._decode_item(self._pack.resolved(value))
