"""server/publish/ndjson.py: lines of a body in whatever pieces it arrives. What it stores and
answers over HTTP is tested with a real server.
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
from eventhub.server.connections.turns import SLICE_SECONDS, LoopTurns
from eventhub.server.publish.handling import Handling
from eventhub.server.publish.ndjson import BLANK_LINES, KEYED_LINES, LINES_PER_GROUP, NdjsonPublish
from tests.builders import channel_type
from tests.loop import in_loop

LIMIT = 8


@pytest.fixture(autouse=True)
def _no_time_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that groups end by their lines alone."""
    monkeypatch.setattr("eventhub.server.connections.turns.thread_time", lambda: 0.0)


class Lines:
    """Takes any line for an event."""

    channel = "logs.a"
    channel_type = channel_type()
    handling = Handling.STRICT
    headers: Mapping[bytes, bytes] = {}
    key: str | None = None
    limits = SimpleNamespace(event_bytes=LIMIT)

    def decode(self, body: bytes, index: int | None = None, *, detailed: bool = True) -> NewEvent:
        return NewEvent(self.channel, body, 0)

    def begin_trace(self) -> None: ...

    async def publish(
        self, hub: Any, events: Sequence[NewEvent]
    ) -> Sequence[Receipt | EventHubError]:
        stored: list[Receipt] = await hub.publish(events)
        return stored

    def end_trace(self, outcomes: Sequence[Receipt | EventHubError]) -> None: ...


class Hub:
    """Stores what it gets."""

    def __init__(self) -> None:
        self.stored: list[bytes] = []

    def rejected(self, channel: str, error: EventHubError) -> None:
        assert isinstance(error, PayloadTooLarge)

    async def publish(self, events: Sequence[NewEvent]) -> list[Receipt]:
        self.stored += [event.data for event in events]
        return [Receipt(Position("a", len(self.stored)), 0)] * len(events)


def desk(hub: Any) -> Any:
    """A gateway, as much of it as taking lines needs."""
    return SimpleNamespace(hub=hub, turns=LoopTurns(asyncio.get_running_loop()))


def ingest(*chunks: bytes, end: bytes = b"") -> tuple[list[bytes], list[int], int]:
    """The lines stored, the numbers of those refused, and the last number."""
    hub = Hub()
    identity = SimpleNamespace(charge_for=lambda kind: None)

    async def take() -> NdjsonPublish:
        stream = NdjsonPublish(desk(hub), Lines(), identity)  # type: ignore[arg-type]  # as much of these as taking lines needs
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
def test_lines_fare_the_same_however_they_arrive(
    body: bytes, size: int, expected: tuple[list[bytes], list[int], int]
) -> None:
    assert ingest(*(body[at : at + size] for at in range(0, len(body), size))) == expected


def test_a_last_line_that_is_too_long_is_refused_and_not_forgotten() -> None:
    assert ingest(b"1\n", b"123456789") == ([b"1"], [2], 2)


@pytest.mark.parametrize("end", [b"\n", b"x\n", b"\n1", b"x\n1\n"])
def test_a_line_that_is_too_long_is_one_when_its_end_comes_with_the_end_of_the_body(
    end: bytes,
) -> None:
    stored = [b"1"] * end.count(b"1")
    assert ingest(b"x" * (LIMIT + 1), end=end) == (stored, [1], 1 + len(stored))


class SlowHub(Hub):
    """Stores when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.faults = Faults()
        self.asked, self.let = asyncio.Event(), asyncio.Event()

    async def publish(self, events: Sequence[NewEvent]) -> list[Receipt]:
        self.asked.set()
        await self.let.wait()
        return await super().publish(events)


@in_loop
async def test_a_goodbye_while_lines_are_being_stored_waits_for_what_becomes_of_them_and_takes_no_more() -> (
    None
):
    hub = SlowHub()
    stream = NdjsonPublish(desk(hub), Lines(), SimpleNamespace(charge_for=lambda kind: None))  # type: ignore[arg-type]  # as above
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
async def test_whoever_is_shut_out_while_lines_are_stored_is_told_what_became_of_them() -> None:
    hub = SlowHub()
    stream = NdjsonPublish(desk(hub), Lines(), SimpleNamespace(charge_for=lambda kind: None))  # type: ignore[arg-type]  # as above
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
async def test_a_stream_has_no_more_lines_with_a_key_than_are_remembered(count: int) -> None:
    hub, lines = Hub(), Lines()
    lines.key = "k"
    stream = NdjsonPublish(desk(hub), lines, SimpleNamespace(charge_for=lambda kind: None))  # type: ignore[arg-type]  # as above
    with (
        pytest.raises(PayloadTooLarge, match="at most 50000 lines")
        if count > KEYED_LINES
        else nullcontext()
    ):
        await stream._take_chunk(b"1\n" * count, last=True)
    assert (stream._response._line, len(hub.stored)) == (KEYED_LINES, KEYED_LINES)


@pytest.mark.parametrize("broker", [MemoryBroker, SqliteBroker])
def test_the_keys_of_a_whole_stream_are_kept(broker: type) -> None:
    assert signature(broker).parameters["max_keys"].default >= 2 * KEYED_LINES


@in_loop
async def test_a_goodbye_between_chunks_ends_the_stream_at_once() -> None:
    stream = NdjsonPublish(desk(Hub()), Lines(), SimpleNamespace(charge_for=lambda kind: None))  # type: ignore[arg-type]  # as above
    await stream._take_chunk(b"1\n2", last=False)
    stream.goodbye(ShuttingDown("soon", retry_after=1))
    assert (stream._response.ended, stream._response._line) == (True, 1)


class Till:
    """A toll that notes what it gets, for one whose rate allows `burst` at once."""

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
async def test_every_line_is_paid_for_whatever_becomes_of_it(
    lines: bytes, due: int, size: int
) -> None:
    till = Till()
    stream = NdjsonPublish(desk(Hub()), Lines(), SimpleNamespace(charge_for=lambda kind: till))  # type: ignore[arg-type]  # as above
    for at in range(0, len(lines), size):
        await stream._take_chunk(lines[at : at + size], last=False)
    assert sum(till.paid) == due
    assert max(till.paid) <= LINES_PER_GROUP + 1


@in_loop
async def test_who_may_publish_few_at_once_pays_for_few_at_once_and_blank_lines_are_not_among_them() -> (
    None
):
    till = Till(burst=3)
    stream = NdjsonPublish(desk(Hub()), Lines(), SimpleNamespace(charge_for=lambda kind: till))  # type: ignore[arg-type]  # as above
    await stream._take_chunk(b"1\n\n123456789\n" * 30 + b"\n" * 100, last=False)
    assert sum(till.paid) == 60 + 130 // BLANK_LINES
    assert len(till.paid) <= 21
    assert max(till.paid) <= 3 + LINES_PER_GROUP // BLANK_LINES


@in_loop
async def test_others_have_their_turn_between_lines_that_take_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]

    def clock() -> float:
        now[0] += SLICE_SECONDS
        return now[0]

    monkeypatch.setattr("eventhub.server.connections.turns.thread_time", clock)
    lines = Lines()
    lines.limits = SimpleNamespace(event_bytes=2000)
    hub = Hub()
    stream = NdjsonPublish(desk(hub), lines, SimpleNamespace(charge_for=lambda kind: None))  # type: ignore[arg-type]  # as above
    groups: list[int] = []
    publish = hub.publish

    async def counted(events: Sequence[NewEvent]) -> list[Receipt]:
        groups.append(len(events))
        return await publish(events)

    monkeypatch.setattr(hub, "publish", counted)
    await stream._take_chunk((b"x" * 1000 + b"\n") * 20, last=False)
    assert groups == [1] * 20
