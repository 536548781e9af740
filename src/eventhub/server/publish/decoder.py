"""Decodes the JSON of a publish request into events that fit the channel type.

`batch.py` and `ndjson.py` call it for each part of an array and for each line.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import repeat

from eventhub.common.nesting import check_depth
from eventhub.config.limit_settings import LimitSettings
from eventhub.errors import InvalidEvent, PayloadTooLarge
from eventhub.events.channel_types import ChannelType
from eventhub.events.cloudevents import CloudEvent
from eventhub.events.event import NewEvent, Position, build_many
from eventhub.observability.tracing import Attributes
from eventhub.server.connections.limit_errors import too_large


class EventDecoder:
    """Decodes the events of one request."""

    __slots__ = (
        "_channel",
        "_channel_type",
        "_key",
        "_limits",
        "_now",
        "_part",
        "attributes",
        "author",
        "expected",
    )

    def __init__(
        self,
        channel: str,
        channel_type: ChannelType,
        limits: LimitSettings,
        now: Callable[[], int],
        key: str | None,
        part: str,
    ) -> None:
        """`part` is what the body consists of, for the keys of parts: `item` or `line`."""
        self._channel = channel
        self._channel_type = channel_type
        self._limits = limits
        self._now = now
        self._key = key
        self._part = part
        self.attributes: Attributes = None
        """The attributes of each event that is decoded from now on."""
        self.author: str | None = None
        """The principal, for a channel type that checks senders."""
        self.expected: Position | None = None
        """The precondition of the next single event."""

    def decode(self, body: bytes, index: int | None = None, *, detailed: bool = True) -> NewEvent:
        """Validate one event. Raises EventHubError.

        `index` is its place in an array or a stream. `detailed`: the error lists the faults.
        """
        data = self.canonical(body, detailed=detailed)
        key = self._key if index is None or self._key is None else self._key_of_part(index)
        attributes = self._channel_type.keyed(data, self.attributes)
        expected = self.expected if index is None else None
        return NewEvent(self._channel, data, self._now(), attributes, key, expected)

    def decode_cloudevent(
        self, found: CloudEvent, index: int | None = None, *, detailed: bool = True
    ) -> NewEvent:
        """Validate the data of a CloudEvent. Raises EventHubError.

        Its source and id are its idempotency key, unless the request has one.
        """
        data = self.canonical(found.data, detailed=detailed)
        key = found.key
        if self._key is not None:
            key = self._key if index is None else self._key_of_part(index)
        attributes = {**(self.attributes or {}), **found.attributes}
        stored = self._channel_type.keyed(data, attributes)
        expected = self.expected if index is None else None
        return NewEvent(self._channel, data, self._now(), stored, key, expected)

    def canonical(self, body: bytes, *, detailed: bool = True) -> bytes:
        """The canonical JSON of one event. Raises EventHubError."""
        if len(body) > self._limits.event_bytes:
            raise too_large(
                f"the event has {len(body)} bytes", "event_bytes", self._limits.event_bytes
            )
        check_depth(body, self._limits.depth, "limits.depth")
        data = self._channel_type.canonical(body, detailed=detailed)
        if self._channel_type.checks_sender:
            self._channel_type.check_sender(data, self.author)
        return data

    def canonical_all(self, array: bytes) -> list[bytes] | None:
        """The canonical JSON of each item of an array. None if any of them is refused."""
        found = self._channel_type.schema.canonical_all(array)
        if not found:
            return found
        if len(max(found, key=len)) > self._limits.event_bytes:
            return None
        brackets = array.count(b"[") + array.count(b"{") - 1
        fits = self._are_shallow(found, brackets) and self._are_of_author(found)
        return found if fits else None

    def canonical_each(self, bodies: Sequence[bytes]) -> list[bytes] | None:
        """The canonical JSON of each of these events. None if any of them is refused."""
        if max(map(len, bodies)) > self._limits.event_bytes:
            return None
        if (found := self._channel_type.schema.canonical_each(bodies)) is None:
            return None
        text = b"".join(bodies)
        brackets = text.count(b"[") + text.count(b"{")
        fits = self._are_shallow(found, brackets) and self._are_of_author(found)
        return found if fits else None

    def decode_all(self, array: bytes, first: int = 0) -> list[NewEvent] | None:
        """Validate the items of a JSON array together. None if any of them is refused.

        `first` is the place of the first item, where the array is a part of a longer one.
        """
        if (found := self.canonical_all(array)) is None:
            return None
        keys = (
            repeat(None)
            if self._key is None
            else map(self._key_of_part, range(first, first + len(found)))
        )
        if (attributes := self._attributes_of(found)) is None:
            return None
        rows = zip(
            repeat(self._channel),
            found,
            repeat(self._now()),
            attributes,
            keys,
            repeat(None),
            strict=False,  # all but `found` have no end
        )
        return build_many(NewEvent, rows)

    def check_count(self, count: int) -> None:
        """Raises PayloadTooLarge if an array has more events than limits.batch."""
        if count > self._limits.batch:
            raise PayloadTooLarge(
                f"the array has more than {self._limits.batch} events, which is the limit"
                " (limits.batch); send fewer, or a stream"
            ).with_limit("batch")

    def _attributes_of(self, found: Sequence[bytes]) -> Iterable[Attributes] | None:
        """The attributes of each of these events. None if any of them has no valid key."""
        if self._channel_type.key is None:
            return repeat(self.attributes)
        try:
            return [self._channel_type.keyed(data, self.attributes) for data in found]
        except InvalidEvent:
            return None

    def _are_shallow(self, found: Sequence[bytes], brackets: int) -> bool:
        """Whether none has more brackets than levels are allowed. `brackets`: of all of them."""
        depth = self._limits.depth
        # JSON is an object if it is not less than a brace. Then each of the others has a bracket.
        elsewhere = len(found) - 1 if min(found) >= b"{" else 0
        return brackets - elsewhere <= depth or all(
            data.count(b"{") + data.count(b"[") <= depth for data in found
        )

    def _are_of_author(self, found: Sequence[bytes]) -> bool:
        channel_type = self._channel_type
        return not channel_type.checks_sender or all(
            channel_type.is_sender(data, self.author) for data in found
        )

    def _key_of_part(self, index: int) -> str:
        """The key of an item or a line.

        The space in it makes it different from every producer's key. The word makes the key of an
        item different from that of a line.
        """
        return f"{self._key} {self._part} {index}"
