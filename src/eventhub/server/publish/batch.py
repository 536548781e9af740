"""Decoding a JSON array into events, item by item, in turns of the event loop.

An array that is large or that has many items is cut into parts first (events/arrays.py), so that
every turn is short, whatever the array holds.
"""

from collections.abc import Callable
from typing import Any

from eventhub.common.strict_json import dump, parse
from eventhub.config.limit_settings import LimitSettings
from eventhub.errors import EventHubError, InvalidJson
from eventhub.events.arrays import ArrayPart, pieces
from eventhub.events.event import NewEvent
from eventhub.events.refused_event import Received
from eventhub.server.connections.fair_queue import FairQueue, TimeSlice
from eventhub.server.connections.limit_errors import too_large
from eventhub.server.publish.handling import CHECK_BYTES, CHECK_ITEMS, DETAILED_REFUSALS
from eventhub.server.publish.request import PublishRequest

PART_BYTES = 32 * 1024
"""JSON that is parsed at once: mostly 0.2 ms, and some milliseconds at worst."""
PART_COMMAS = 2000
"""Commas in JSON that is parsed at once: this many numbers become events in a millisecond."""
WHITE_SPACE = b" \t\r\n"


class BatchDecoder:
    """Decodes one array. `rejected` is called with each refused item's error, and what it was."""

    __slots__ = (
        "_fair_queue",
        "_misfit",
        "_outcomes",
        "_refusals",
        "_rejected",
        "_request",
        "_shared_errors",
    )

    levels = 0
    """Levels of an item above its event."""
    beside = 0
    """Bytes that an item may have in addition to its event."""

    def __init__(
        self,
        request: PublishRequest,
        fair_queue: FairQueue,
        rejected: Callable[[EventHubError, Received | None], None],
    ) -> None:
        self._request, self._fair_queue, self._rejected = request, fair_queue, rejected
        self._outcomes: list[NewEvent | EventHubError] = []
        self._refusals = 0
        self._misfit: EventHubError | None = None
        """The error of every item after DETAILED_REFUSALS that does not fit the schema."""
        self._shared_errors: dict[tuple[type[EventHubError], str], EventHubError] = {}

    async def decode(self, body: bytes) -> list[NewEvent | EventHubError]:
        """An event or an error for each item, in order.

        Raises EventHubError if the body is no JSON array, or has more items than limits.batch.
        """
        if self._fair_queue.over:
            await self._fair_queue.next_turn(size=len(body))
        with TimeSlice(self._fair_queue) as share:
            if len(body) <= PART_BYTES and body.count(b",") <= PART_COMMAS:
                await self._decode_array(body, b"", 0, share)
            else:
                depth = self._request.limits.depth + self.levels
                for part in pieces(body, PART_BYTES, PART_COMMAS, depth):
                    if part is not None:
                        await self._decode_part(part, body, share)
                    if share.over:
                        await share.next_turn()
        return self._outcomes

    async def _decode_part(self, part: ArrayPart, body: bytes, share: TimeSlice) -> None:
        start, end, alone = part
        limits = self._request.limits
        if alone and (error := size_error(body[start:end], limits, self.beside)) is not None:
            self._refuse(error, body[start:end])
            self._request.decoder.check_count(len(self._outcomes))
        else:
            await self._decode_array(b"[%b]" % body[start:end], body, start - 1, share)

    async def _decode_array(self, array: bytes, body: bytes, start: int, share: TimeSlice) -> None:
        """Decode an array that begins at `start` of the body: all at once, or else item by item."""
        if (events := self._decode_all(array)) is not None:
            self._outcomes += events
            self._request.decoder.check_count(len(self._outcomes))
            return
        if share.over:
            await share.next_turn()
        items = self._parse_items(array, body, start)
        self._request.decoder.check_count(len(self._outcomes) + len(items))
        # An item is popped when it is decoded: while others have their turn, a garbage collection
        # would otherwise visit all items again.
        items.reverse()
        while items:
            size = self._decode_item(items.pop())
            if (size > CHECK_BYTES or len(self._outcomes) % CHECK_ITEMS == 0) and share.over:
                await share.next_turn()

    def _decode_all(self, array: bytes) -> list[NewEvent] | None:
        """The events of the items, None if any is refused, or must be decoded by itself."""
        return self._request.decoder.decode_all(array, len(self._outcomes))

    def _parse_items(self, array: bytes, body: bytes, start: int) -> list[Any]:
        """As `parse_items`."""
        return parse_items(array, body, start)

    def _decode_item(self, value: Any) -> int:
        """Accept or refuse an item. Its size in bytes; 0 if it was refused without encoding it."""
        detailed = self._refusals < DETAILED_REFUSALS
        channel_type = self._request.channel_type
        if not detailed and channel_type.schema.fits(value) is False:
            self._misfit = self._misfit or channel_type.misfit()
            self._refuse(self._misfit)
            return 0
        item = b""
        try:
            item = dump(value)
            event = self._request.decoder.decode(item, len(self._outcomes), detailed=detailed)
            self._outcomes.append(event)
        except EventHubError as error:
            self._refuse(error, item)
        return len(item)

    def _refuse(self, error: EventHubError, item: bytes = b"") -> None:
        kept = self._refusals < DETAILED_REFUSALS
        self._rejected(error, self._request.received(item, is_item=True) if kept else None)
        self._refusals += 1
        if self._refusals > DETAILED_REFUSALS:  # items with the same message share one error
            error = self._shared_errors.setdefault((type(error), error.message), error)
            error.details = []
        self._outcomes.append(error.without_traceback())


def size_error(item: bytes, limits: LimitSettings, beside: int = 0) -> EventHubError | None:
    """The error of an item that is too large even without white space and escapes.

    Such an item is refused without parsing it. Every other item is parsed: if it is not JSON, the
    whole array is refused. `beside`: bytes that an item may have in addition to its event.
    """
    limit = limits.event_bytes
    compact = item.translate(None, WHITE_SPACE)
    least = len(compact) // (6 if b"\\u" in item else 1)  # \u0041 is one byte when unescaped
    if len(item) > PART_BYTES and least > limit + beside:
        return too_large(f"the event has {len(item)} bytes", "event_bytes", limit)
    return None


def parse_items(array: bytes, body: bytes, start: int) -> list[Any]:
    """The items of an array that begins at `start` of the body. Raises InvalidJson, TooDeep."""
    try:
        items: list[Any] = parse(array)
    except InvalidJson:
        # Parse it again for an error with its position in the body; this copies the bytes before.
        items = parse(array, body[:start])
    return items
