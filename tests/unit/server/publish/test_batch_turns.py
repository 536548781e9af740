"""An array is decoded in turns of the event loop, whatever it holds."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import orjson
import pytest

from eventhub.errors import EventHubError
from eventhub.events import arrays
from eventhub.events.event import NewEvent
from eventhub.events.schema import ModelSchema
from eventhub.server.connections.fair_queue import BURST, SLICE_SECONDS
from eventhub.server.publish import batch as batch_module
from eventhub.server.publish.batch import PART_BYTES, PART_COMMAS, BatchDecoder
from eventhub.server.publish.decoder import EventDecoder
from eventhub.server.publish.handling import DETAILED_REFUSALS
from tests.harness.loop import in_loop
from tests.unit.server.publish.batch_request import CHAT, Batch, CountingQueue, codes


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Everything takes half a slice from now on."""
    now = [0.0]

    def clock() -> float:
        now[0] += SLICE_SECONDS / 2
        return now[0]

    return partial(monkeypatch.setattr, "eventhub.server.connections.fair_queue.thread_time", clock)


@pytest.mark.parametrize(
    "item",
    [
        b"[" + b"[]," * 21_000 + b"1]",
        b'{"' + b'":1,"'.join(b"x%d" % number for number in range(6000)) + b'":1}',
    ],
    ids=["empty lists", "unknown fields"],
)
@pytest.mark.parametrize("payload", ["chat", "json"])
@in_loop
async def test_the_turn_ends_between_slow_items(
    item: bytes, payload: str, slow: Callable[[], None]
) -> None:
    slow()
    batch = Batch(payload)
    found = await batch.take(b"[%b]" % b",".join([item] * 5))
    assert len(found) == 5
    assert batch.pauses >= 2


@in_loop
async def test_a_small_array_is_decoded_in_one_turn() -> None:
    batch = Batch()
    await batch.take(orjson.dumps([CHAT] * 100))
    assert batch.pauses == 0


@pytest.mark.parametrize(
    "body",
    [b"1," * 9998 + b"1", b"[" + b"1," * 9000 + b"1]," + b"[]," * 9000 + b"1"],
    ids=["numbers", "long first"],
)
@in_loop
async def test_many_small_items_are_decoded_in_groups(
    body: bytes, slow: Callable[[], None]
) -> None:
    """`[1,1,…]` of 20 KB was one turn of 5 ms, and storing and answering it one of 25."""
    slow()
    batch = Batch("json")
    sizes: list[int] = []
    whole = EventDecoder.decode_all

    def decode_all(decoder: EventDecoder, array: bytes, first: int = 0) -> list[NewEvent] | None:
        found = whole(decoder, array, first)
        sizes.append(len(found or ()))
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EventDecoder, "decode_all", decode_all)
        found = await batch.take(b"[%b]" % body)
    assert [each.data for each in found if isinstance(each, NewEvent)] == [
        orjson.dumps(item) for item in orjson.loads(b"[%b]" % body)
    ]
    assert max(sizes) <= PART_COMMAS + 1
    assert batch.pauses >= 4


@in_loop
async def test_errors_do_not_keep_the_refused_items_in_memory() -> None:
    """Each would hold its item as it was parsed: garbage collections looked at millions of lists,
    for 300 ms.
    """
    found = await Batch().take(orjson.dumps([[], {"sender": 1}] * 3))
    assert codes(found) == ["invalid_event"] * 6
    errors = [each for each in found if isinstance(each, EventHubError)]
    assert [(error.__traceback__, error.__context__, error.__cause__) for error in errors] == [
        (None, None, None)
    ] * 6


@pytest.mark.parametrize("payload", ["chat", "log", "reading"])
@in_loop
async def test_after_the_detailed_refusals_an_item_that_does_not_fit_is_not_encoded(
    payload: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error for each took fifteen times as long as the smallest items that are stored."""
    refreshed: list[Any] = []
    canonical = ModelSchema.canonical

    def counted(*about: Any, **how: Any) -> bytes:
        refreshed.append(about)
        return canonical(*about, **how)

    monkeypatch.setattr(ModelSchema, "canonical", counted)
    fine = {"chat": CHAT, "log": {"level": "info", "message": "m"}, "reading": {"value": 1}}[
        payload
    ]
    batch = Batch(payload)
    found = await batch.take(orjson.dumps([*range(1000), fine]))
    assert codes(found) == ["invalid_event"] * 1000 + [""]
    assert len(refreshed) == DETAILED_REFUSALS + 1
    assert len(batch.refused) == 1000
    assert len({id(error) for error in found[DETAILED_REFUSALS:-1]}) == 1


class SpentQueue(CountingQueue):
    """The time of this turn is used up until the next one is asked for."""

    @property
    def over(self) -> bool:
        return not self.asked

    async def next_turn(self, since: float = 0.0, size: int = BURST) -> None:
        self.asked += 1
        self.size = size


@in_loop
async def test_decoding_waits_for_a_turn_that_has_time_for_its_size() -> None:
    fair_queue = SpentQueue(asyncio.get_running_loop())
    batch = Batch()
    found = await BatchDecoder(batch.request, fair_queue, batch.rejected).decode(b"[1,2,3]")
    assert len(found) == 3
    assert (fair_queue.asked, fair_queue.size) == (1, len(b"[1,2,3]"))


@pytest.mark.parametrize(
    ("size", "commas", "parts"),
    [(PART_BYTES, 0, 1), (PART_BYTES + 1, 0, 2), (0, PART_COMMAS, 1), (0, PART_COMMAS + 1, 2)],
)
@in_loop
async def test_only_an_array_above_a_bound_is_cut_into_parts(
    size: int, commas: int, parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut: list[int] = []
    pieces = arrays.pieces

    def counted(body: bytes, *bounds: int) -> Any:
        cut.append(len(body))
        return pieces(body, *bounds)

    monkeypatch.setattr(batch_module, "pieces", counted)
    found = await Batch("json").take((b"[" + b"1," * commas + b"1]").ljust(size))
    assert len(found) == commas + 1
    assert len(cut) == parts - 1
