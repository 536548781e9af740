"""The events of a JSON array. It is looked at in pieces, so that a turn of the loop ends, whatever stands in it."""

from collections.abc import Callable
from typing import Any, Protocol

from eventhub.errors import EventHubError, InvalidJson
from eventhub.events.arrays import ArrayPart, pieces
from eventhub.events.channels import ChannelType
from eventhub.events.event import NewEvent
from eventhub.events.json_codec import dump, parse
from eventhub.server.connections.limit_errors import too_large
from eventhub.server.connections.turns import LoopTurns, TurnShare
from eventhub.server.publish.handling import DETAILED, LOOK, LOOK_BYTES

WHOLE = 32 * 1024
"""Bytes of JSON that are parsed at once: 0.2 ms as a rule, some milliseconds of the dearest that is
known.
"""
COMMAS = 2000
"""In what is parsed at once: so many numbers become so many events, which takes a millisecond."""
_WHITE = b" \t\r\n"


class ItemDecoder(Protocol):
    """What turns an array, or an item, into events."""

    limits: Any
    kind: ChannelType

    def event(self, body: bytes, index: int | None = None, *, detailed: bool = True) -> NewEvent:
        """Raises EventHubError."""
        ...

    def events(self, body: bytes, first: int = 0) -> list[NewEvent] | None:
        """None when something is wrong."""
        ...

    def check_count(self, count: int) -> None:
        """Raises PayloadTooLarge."""
        ...


class EventArray:
    """One array. `rejected` is told of each item that is refused."""

    __slots__ = ("_found", "_misfit", "_refused", "_rejected", "_request", "_summaries", "_turns")

    def __init__(
        self, request: ItemDecoder, turns: LoopTurns, rejected: Callable[[EventHubError], None]
    ) -> None:
        self._request, self._turns, self._rejected = request, turns, rejected
        self._found: list[NewEvent | EventHubError] = []
        self._refused = 0
        self._misfit: EventHubError | None = (
            None  # what is said of all misfits that are not detailed
        )
        self._summaries: dict[tuple[type[EventHubError], str], EventHubError] = {}

    async def events(self, body: bytes) -> list[NewEvent | EventHubError]:
        """Each item, or what is wrong with it. Raises EventHubError where it is no array of JSON, or has too many."""
        if self._turns.over:
            await self._turns.another(size=len(body))
        with TurnShare(self._turns) as mine:
            if len(body) <= WHOLE and body.count(b",") <= COMMAS:
                await self._take(body, b"", 0, mine)
            else:
                for piece in pieces(body, WHOLE, COMMAS, self._request.limits.depth):
                    if piece is not None:
                        await self._take_piece(piece, body, mine)
                    if mine.over:
                        await mine.another()
        return self._found

    async def _take_piece(self, piece: ArrayPart, body: bytes, mine: TurnShare) -> None:
        start, end, alone = piece
        if alone and (fault := self._fault(body[start:end])) is not None:
            self._refuse(fault)
            self._request.check_count(len(self._found))
        else:
            await self._take(b"[%b]" % body[start:end], body, start - 1, mine)

    async def _take(self, array: bytes, body: bytes, start: int, mine: TurnShare) -> None:
        """`array` stands at `start` of the body."""
        if (found := self._request.events(array, len(self._found))) is not None:
            self._found += found
            self._request.check_count(len(self._found))
            return
        if mine.over:
            await mine.another()
        items = self._parsed(array, body, start)
        self._request.check_count(len(self._found) + len(items))
        items.reverse()
        while (
            items
        ):  # what is done with is not kept: others may have their turn, and collect garbage
            size = self._take_item(items.pop())
            if (size > LOOK_BYTES or len(self._found) % LOOK == 0) and mine.over:
                await mine.another()

    def _take_item(self, value: Any) -> int:
        """Accept or refuse it. Returns its bytes, 0 where it was refused at a glance."""
        detailed = self._refused < DETAILED
        if not detailed and self._request.kind.schema.fits(value) is False:
            self._misfit = self._misfit or self._request.kind.misfit()
            self._refuse(self._misfit)
            return 0
        size = 0
        try:
            item = dump(value)
            size = len(item)
            self._found.append(self._request.event(item, len(self._found), detailed=detailed))
        except EventHubError as error:
            self._refuse(error)
        return size

    @staticmethod
    def _parsed(array: bytes, body: bytes, start: int) -> list[Any]:
        try:
            items: list[Any] = parse(array)
        except InvalidJson:
            items = parse(
                array, body[:start]
            )  # again, to say where: what stands before it is copied
        return items

    def _fault(self, item: bytes) -> EventHubError | None:
        """What is wrong with an item that is so long that it had better not be parsed.

        Any other must be JSON, or the array is refused, however long that is.
        """
        limit = self._request.limits.event_bytes
        least = len(item.translate(None, _WHITE)) // (6 if b"\\u" in item else 1)  # as compact JSON
        if len(item) > WHOLE and least > limit:
            return too_large(f"the event has {len(item)} bytes", "event_bytes", limit)
        return None

    def _refuse(self, error: EventHubError) -> None:
        self._rejected(error)
        self._refused += 1
        if self._refused > DETAILED:  # one error for all items that are refused in the same words
            error = self._summaries.setdefault((type(error), error.message), error)
            error.details = []
        self._found.append(error.detached())
