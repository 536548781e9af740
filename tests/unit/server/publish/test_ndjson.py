"""server/publish/ndjson.py: groups, charges and ends of a stream. A real server is tested in
integration/test_publish.py.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from inspect import signature
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from eventhub.brokers.memory import MemoryBroker
from eventhub.brokers.sqlite import SqliteBroker
from eventhub.common.faults import Faults
from eventhub.errors import EventHubError, PayloadTooLarge, ShuttingDown, TokenExpired
from eventhub.events.event import NewEvent, Position, Receipt
from eventhub.events.refused_event import Received
from eventhub.server.connections.fair_queue import SLICE_SECONDS, FairQueue
from eventhub.server.publish.handling import Handling
from eventhub.server.publish.ndjson import BLANK_LINES, KEYED_LINES, LINES_PER_GROUP, NdjsonPublish
from tests.harness.builders import channel_type
from tests.harness.loop import in_loop

LIMIT = 8


@pytest.fixture(autouse=True)
def _no_time_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that groups end by their lines alone."""
    monkeypatch.setattr("eventhub.server.connections.fair_queue.thread_time", lambda: 0.0)


class FakeDecoder:
    """Makes an event of every line."""

    attributes = None

    def decode(self, body: bytes, index: int | None = None, *, detailed: bool = True) -> NewEvent:
        return NewEvent("logs.a", body, 0)

    def canonical_each(self, bodies: Sequence[bytes]) -> Sequence[bytes] | None:
        refused = any(len(body) > LIMIT or body.isspace() for body in bodies)
        return None if refused else bodies


class FakeRequest:
    """A request for which every line is an event."""

    channel = "logs.a"
    channel_type = channel_type()
    handling = Handling.STRICT
    headers: Mapping[bytes, bytes] = {}
    key: str | None = None
    limits = SimpleNamespace(event_bytes=LIMIT)
    decoder = FakeDecoder()
    is_traced = False

    def begin_trace(self) -> None: ...

    def received(self, line: bytes, *, cut: bool) -> None: ...

    async def publish(
        self, hub: Any, events: Sequence[NewEvent]
    ) -> Sequence[Receipt | EventHubError]:
        stored: list[Receipt] = await hub.publish(events)
        return stored

    def end_trace(self, outcomes: Sequence[Receipt | EventHubError]) -> None: ...


class FakeHub:
    """Stores what it gets."""

    publishes_now = False

    def __init__(self) -> None:
        self.stored: list[bytes] = []

    def now(self) -> int:
        return 0

    def rejected(
        self, channel: str, error: EventHubError, received: Received | None = None
    ) -> None:
        assert isinstance(error, PayloadTooLarge)

    async def publish(self, events: Sequence[NewEvent]) -> list[Receipt]:
        self.stored += [event.data for event in events]
        return [Receipt(Position("a", len(self.stored)), 0)] * len(events)


def stream_to(hub: Any, request: Any = None, charge: Any = None) -> NdjsonPublish:
    """A stream with as much of a connection manager and an identity as it needs."""
    manager: Any = SimpleNamespace(hub=hub, fair_queue=FairQueue(asyncio.get_running_loop()))
    identity: Any = SimpleNamespace(charge_for=lambda channel_type: charge)
    lines: Any = request or FakeRequest()
    return NdjsonPublish(manager, lines, identity)


def read(*chunks: bytes, end: bytes = b"") -> tuple[list[bytes], list[int], int]:
    """The lines stored, the numbers of those refused, and the last number."""
    hub = FakeHub()

    async def take() -> NdjsonPublish:
        stream = stream_to(hub)
        for chunk in chunks:
            await stream._take_chunk(chunk, last=False)
            assert stream._splitter.held <= LIMIT
        await stream._take_chunk(end, last=True)
        return stream

    stream = asyncio.run(take())
    return (
        hub.stored,
        [orjson.loads(detail)["line"] for detail in stream._response._refusals],
        stream._response._line,
    )


@pytest.mark.parametrize("size", [1, 2, 3, 9, 100])
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"1\n2", ([b"1", b"2"], [], 2)),
        (b"1\n\n \r\n2\n", ([b"1", b"2"], [], 4)),
        (b"12345678\n123456789\n1", ([b"12345678", b"1"], [2], 3)),
        (b"1\n123456789", ([b"1"], [2], 2)),
        (b"1\n123456789012", ([b"1"], [2], 2)),
        (b"          \n1", ([b"1"], [1], 2)),
        (b"1\n                    ", ([b"1"], [2], 2)),
        (b"", ([], [], 0)),
    ],
)
def test_the_result_does_not_depend_on_the_chunks(
    body: bytes, size: int, expected: tuple[list[bytes], list[int], int]
) -> None:
    assert read(*(body[at : at + size] for at in range(0, len(body), size))) == expected


def test_a_last_line_that_is_too_long_is_refused() -> None:
    assert read(b"1\n", b"123456789") == ([b"1"], [2], 2)


@pytest.mark.parametrize("end", [b"\n", b"x\n", b"\n1", b"x\n1\n"])
def test_a_long_line_that_ends_with_the_last_chunk_is_one_line(
    end: bytes,
) -> None:
    stored = [b"1"] * end.count(b"1")
    assert read(b"x" * (LIMIT + 1), end=end) == (stored, [1], 1 + len(stored))


class SlowHub(FakeHub):
    """Stores nothing before `let` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.faults = Faults()
        self.asked, self.let = asyncio.Event(), asyncio.Event()

    async def publish(self, events: Sequence[NewEvent]) -> list[Receipt]:
        self.asked.set()
        await self.let.wait()
        return await super().publish(events)


@in_loop
async def test_a_goodbye_while_a_group_is_stored_waits_for_its_outcome_and_stores_no_more() -> None:
    hub = SlowHub()
    stream = stream_to(hub)
    taking = asyncio.create_task(stream._take_chunk(b"1\n" * (LINES_PER_GROUP + 50), last=False))
    await hub.asked.wait()
    stream.goodbye(ShuttingDown("soon", retry_after=1.5))
    assert not stream._response.ended
    hub.let.set()
    await taking
    assert stream._response.ended
    assert (stream._response._line, len(hub.stored)) == (LINES_PER_GROUP, LINES_PER_GROUP), (
        "the producer goes on with the next line"
    )
    assert stream._response.error is not None
    assert stream._response.error.as_dict()["retry_after"] == 1.5


@in_loop
async def test_a_producer_that_is_disconnected_while_a_group_is_stored_is_told_its_outcome() -> (
    None
):
    hub = SlowHub()
    stream = stream_to(hub)
    stream._finished = True
    taking = asyncio.create_task(stream._take_chunk(b"1\n" * (LINES_PER_GROUP + 50), last=False))
    await hub.asked.wait()
    stream.fail(TokenExpired("it has expired"))
    assert not stream._response.ended
    hub.let.set()
    await taking
    assert (stream._response.ended, stream._response._line, len(hub.stored)) == (
        True,
        LINES_PER_GROUP,
        LINES_PER_GROUP,
    )
    assert stream._response.error is not None
    assert stream._response.error.code == "token_expired"


@in_loop
@pytest.mark.parametrize("count", [KEYED_LINES, KEYED_LINES + 1, KEYED_LINES + 3 * LINES_PER_GROUP])
async def test_a_stream_with_a_key_has_at_most_keyed_lines(count: int) -> None:
    hub, lines = FakeHub(), FakeRequest()
    lines.key = "k"
    stream = stream_to(hub, lines)
    with (
        pytest.raises(PayloadTooLarge, match="at most 50000 lines")
        if count > KEYED_LINES
        else nullcontext()
    ):
        await stream._take_chunk(b"1\n" * count, last=True)
    assert (stream._response._line, len(hub.stored)) == (KEYED_LINES, KEYED_LINES)


@pytest.mark.parametrize("broker", [MemoryBroker, SqliteBroker])
def test_brokers_keep_the_keys_of_a_whole_stream(broker: type) -> None:
    assert signature(broker).parameters["max_keys"].default >= 2 * KEYED_LINES


@in_loop
async def test_a_goodbye_between_chunks_ends_the_stream_at_once() -> None:
    stream = stream_to(FakeHub())
    await stream._take_chunk(b"1\n2", last=False)
    stream.goodbye(ShuttingDown("soon", retry_after=1))
    assert (stream._response.ended, stream._response._line) == (True, 1)


class FakeCharge:
    """Notes what is paid; the rate allows `burst` events at once."""

    def __init__(self, burst: int = 1000) -> None:
        self.burst = burst
        self.paid: list[int] = []

    def wait(self) -> float:
        return 0.0

    def pay(self, count: int) -> None:
        self.paid.append(count)


@pytest.mark.parametrize(
    ("lines", "due"),
    [
        (b"1\n" * 1000, 1000),
        (b"123456789\n" * 1000, 1000),
        (b"\n" * 1000, 1000 // BLANK_LINES),
        (b"\r\n" * 1000, 1000 // BLANK_LINES),
        (b"1\n123456789\n\n" * 200, 400 + 200 // BLANK_LINES),
    ],
    ids=["taken", "refused", "empty", "blank", "of each kind"],
)
@pytest.mark.parametrize("size", [70, 100_000])
@in_loop
async def test_every_line_is_charged_stored_or_refused(lines: bytes, due: int, size: int) -> None:
    charge = FakeCharge()
    stream = stream_to(FakeHub(), charge=charge)
    for at in range(0, len(lines), size):
        await stream._take_chunk(lines[at : at + size], last=False)
    assert sum(charge.paid) == due
    assert max(charge.paid) <= LINES_PER_GROUP + 1


@in_loop
async def test_a_small_burst_is_charged_in_small_groups_of_lines_that_are_not_blank() -> None:
    charge = FakeCharge(burst=3)
    stream = stream_to(FakeHub(), charge=charge)
    await stream._take_chunk(b"1\n\n123456789\n" * 30 + b"\n" * 100, last=False)
    assert sum(charge.paid) == 60 + 130 // BLANK_LINES
    assert len(charge.paid) <= 21
    assert max(charge.paid) <= 3 + LINES_PER_GROUP // BLANK_LINES


@in_loop
async def test_the_turn_ends_between_slow_lines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]

    def clock() -> float:
        now[0] += SLICE_SECONDS
        return now[0]

    monkeypatch.setattr("eventhub.server.connections.fair_queue.thread_time", clock)
    lines = FakeRequest()
    lines.limits = SimpleNamespace(event_bytes=2000)
    hub = FakeHub()
    stream = stream_to(hub, lines)
    groups: list[int] = []
    publish = hub.publish

    async def counted(events: Sequence[NewEvent]) -> list[Receipt]:
        groups.append(len(events))
        return await publish(events)

    monkeypatch.setattr(hub, "publish", counted)
    await stream._take_chunk((b"x" * 1000 + b"\n") * 20, last=False)
    assert groups == [1] * 20
