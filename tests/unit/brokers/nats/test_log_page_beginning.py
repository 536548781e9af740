"""brokers/nats/log_page.py: the position before the first event of a log."""

from collections.abc import Mapping
from typing import Any

import pytest

from eventhub.brokers.nats.log import StreamState
from eventhub.brokers.nats.log_page import _empty_page
from eventhub.events.event import Position
from tests.harness.loop import in_loop
from tests.unit.brokers.nats.links import STREAM, add_stream, put
from tests.unit.brokers.nats.server import FakeNats
from tests.unit.brokers.nats.test_log_page import EPOCH, NOW, read

BEGINNING = Position(EPOCH, 0)


@pytest.mark.parametrize(
    ("state", "lost"),
    [
        (StreamState(1, 5), None),
        (StreamState(4, 5), "expired"),
        (StreamState(4, 5, drops_oldest=False), None),
    ],
)
def test_the_beginning_of_an_empty_channel(state: StreamState, lost: str | None) -> None:
    """Only age and size leave a channel empty."""
    assert _empty_page(EPOCH, BEGINNING, state, None).lost == lost


@pytest.mark.parametrize(
    ("events", "gone", "config", "lost"),
    [
        (10, 0, {"max_age": 1}, None),
        (10, 1, {"max_age": 1}, "expired"),
        (10, 1, {"max_bytes": 1000}, "expired"),
        (10, 1, {"max_age": 0, "max_bytes": -1}, None),
        (2, 1, {"max_age": 0, "max_bytes": -1}, "expired"),
    ],
)
@in_loop
async def test_the_beginning_of_a_log_that_may_have_lost_it(
    events: int, gone: int, config: Mapping[str, Any], lost: str | None
) -> None:
    """The messages 1 and 2 are of another channel, 3 to 5 of this one."""
    server = FakeNats()
    add_stream(server, **config)
    for channel in ("log.b", "log.b", "log.a", "log.a", "log.a"):
        put(server, channel, time=NOW)
    server.jetstream.streams[STREAM].remove(lambda stored: stored.sequence <= gone)
    page = await read(server, BEGINNING, events=events)
    assert page.lost == lost
    assert [event.offset >> 16 for event in page.events] == [3, 4, 5][-events:]
