"""filtering.py: what a group of live readers with one filter remembers."""

import pytest

from eventhub.delivery import filtering
from eventhub.delivery.encoding import LINES, Encoding
from eventhub.delivery.filtering import QUIET_MILLISECONDS, FilteredEncoding, FilteredReaders
from eventhub.events.event import Event
from eventhub.filters.registry import Filters
from tests.unit.delivery.fanout_audience import Audience, Reader


def event(channel: str, time: int, data: bytes = b"0") -> Event:
    return Event(channel, "e", 1, 0, time, data)


def replaced(encoding: Encoding, event: Event, error: Exception) -> bytes:
    raise AssertionError(error)


def positions(readers: FilteredReaders, *events: Event) -> int:
    """How many messages say where the readers stand, after these events."""
    return readers.select(events, replaced).data.count(b'"type":"position"')


def group() -> FilteredReaders:
    return FilteredReaders(FilteredEncoding(LINES, Filters().get("data == 1")))


def test_a_position_follows_a_while_after_the_last_message_of_its_channel() -> None:
    readers = group()
    assert positions(readers, event("a.a", 5000)) == 1, "nothing is known of the channel"
    assert positions(readers, event("a.a", 5000 + QUIET_MILLISECONDS - 1)) == 0
    assert positions(readers, event("a.b", 5000)) == 1, "each channel has its own"
    assert positions(readers, event("a.a", 5000 + QUIET_MILLISECONDS)) == 1
    assert positions(readers, event("a.a", 5000 + QUIET_MILLISECONDS, b"1")) == 0
    assert positions(readers, event("a.a", 5000 + 2 * QUIET_MILLISECONDS - 1)) == 0
    assert positions(readers, event("a.a", 5000 + 2 * QUIET_MILLISECONDS)) == 1


def test_a_bounded_number_of_channels_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filtering, "QUIET_CHANNELS", 2)
    readers, most = group(), 0
    for number in range(7):
        positions(readers, event(f"a.{number}", 5000))
        most = max(most, len(readers._quiet))
    assert most == 2


def test_a_reader_that_lagged_is_not_told_again_that_its_filter_failed() -> None:
    audience, reader = Audience(), Reader()
    encoding = FilteredEncoding(LINES, Filters().get("data.x == 1"))
    for _ in range(2):
        audience.fanout.add(reader, encoding, reader.write)
        audience.push()
        audience.finish()
        audience.fanout.remove(reader, encoding)
    assert b"".join(reader.writes).count(b"filter_failed") == 1
