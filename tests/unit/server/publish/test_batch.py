"""server/publish/batch.py: an array becomes events and errors, in turns of the event loop."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import orjson
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from eventhub.auth.principal import ANYONE
from eventhub.config.limit_settings import LimitSettings
from eventhub.errors import EventHubError, InvalidJson, PayloadTooLarge
from eventhub.events.event import NewEvent
from eventhub.events.schema import ModelSchema
from eventhub.server.connections.turns import BURST, SLICE_SECONDS, LoopTurns
from eventhub.server.publish.batch import PART_BYTES, PART_COMMAS, BatchDecoder
from eventhub.server.publish.decoder import EventDecoder
from eventhub.server.publish.handling import DETAILED_REFUSALS
from eventhub.server.publish.request import PublishRequest
from tests.harness.loop import in_loop
from tests.unit.server.connections.manager_builder import build

CHAT = {"sender": "ana", "text": "oi"}


class CountingTurns(LoopTurns):
    """Counts the turns that were asked for."""

    asked = 0

    async def next_turn(self, since: float = 0.0, size: int = BURST) -> None:
        self.asked += 1
        await super().next_turn(since, size)


class Batch:
    """A publish request with an array."""

    def __init__(self, payload: str = "chat", key: str = "", **limits: Any) -> None:
        manager = build(channels={"a": {"payload": payload}}, limits=LimitSettings(**limits))
        headers = {b"idempotency-key": key.encode()} if key else {}
        scope: dict[str, Any] = {
            "path": "/v1/channels/a",
            "query_string": b"",
            "headers": [],
            "client": None,
        }
        self.request = PublishRequest(manager, scope, headers, ANYONE)
        self.refused: list[EventHubError] = []
        self.pauses = 0

    async def take(self, body: bytes) -> list[NewEvent | EventHubError]:
        turns = CountingTurns(asyncio.get_running_loop())
        found = await BatchDecoder(self.request, turns, self.refused.append).decode(body)
        self.pauses = turns.asked
        return found


def codes(found: list[NewEvent | EventHubError]) -> list[str]:
    return [each.code if isinstance(each, EventHubError) else "" for each in found]


@pytest.mark.parametrize("count", [3, 3000], ids=["at once", "in pieces"])
@in_loop
async def test_each_item_is_an_event_in_order_with_a_key_of_its_own(count: int) -> None:
    batch = Batch(key="k")
    body = orjson.dumps(
        [{**CHAT, "text": f"text {number}, [\\"} for number in range(count)],
        option=orjson.OPT_INDENT_2,
    )
    assert (len(body) > PART_BYTES) == (count == 3000)
    found = await batch.take(body)
    assert [(each.data, each.key) for each in found if isinstance(each, NewEvent)] == [
        (orjson.dumps({**CHAT, "text": f"text {number}, [\\"}), f"k item {number}")
        for number in range(count)
    ]


@pytest.mark.parametrize("count", [10, 3000], ids=["at once", "in pieces"])
@in_loop
async def test_a_refused_item_has_an_error_in_its_place_and_the_others_keep_their_index(
    count: int,
) -> None:
    batch = Batch(key="k")
    items = [{"text": 1} if number % 7 == 3 else CHAT for number in range(count)]
    found = await batch.take(orjson.dumps(items))
    assert codes(found) == ["invalid_event" if number % 7 == 3 else "" for number in range(count)]
    assert [each.key for each in found if isinstance(each, NewEvent)] == [
        f"k item {n}" for n in range(count) if n % 7 != 3
    ]
    assert len(batch.refused) == codes(found).count("invalid_event")


@pytest.mark.parametrize(
    ("item", "code"),
    [
        (b'"' + b"x" * 70_000 + b'"', "payload_too_large"),
        (b"[" * 900 + b"[]," * 20_000 + b"1" + b"]" * 900, "too_deep"),
        (b"[" + b"[]," * 100_000 + b"1]", "payload_too_large"),
    ],
    ids=["long", "deep", "long and dear"],
)
@in_loop
async def test_an_item_that_is_too_large_or_too_deep_is_refused_and_its_neighbours_are_taken(
    item: bytes, code: str
) -> None:
    found = await Batch("json").take(b"[1,%b,2]" % item)
    assert codes(found) == ["", code, ""]


@in_loop
async def test_white_space_and_escapes_do_not_make_an_item_too_large() -> None:
    white = b'{"a":' + b" " * 70_000 + b"1}"
    escaped = b'"' + b"\\u00e9" * 20_000 + b'"'
    found = await Batch("json").take(b"[%b,%b]" % (white, escaped))
    assert [each.data for each in found if isinstance(each, NewEvent)] == [
        b'{"a":1}',
        '"{}"'.format("é" * 20_000).encode(),
    ]


@pytest.mark.parametrize("fault", [b"x", b'"\xff"', b'{"a":}', b"[1,}", b"01", b","])
@in_loop
async def test_a_json_error_has_its_position_in_the_whole_body(fault: bytes) -> None:
    line = b'{"sender":"an\xc3\xa9","text":"oi"},'
    body = b"[" + b"\n".join([line * 3] * 700) + b"\n" + line + fault + b"," + line * 10 + b"1]"
    with pytest.raises(orjson.JSONDecodeError) as expected:
        orjson.loads(body)
    with pytest.raises(
        InvalidJson,
        match=f"line {expected.value.lineno}, column {expected.value.colno}|in UTF-8: byte",
    ):
        await Batch().take(body)


@pytest.mark.parametrize("size", [1, 100])
@in_loop
async def test_too_many_items_are_refused_whatever_the_size(size: int) -> None:
    with pytest.raises(PayloadTooLarge, match="more than 500 events"):
        await Batch("json", batch=500).take(orjson.dumps(["x" * size] * 501))
    assert len(await Batch("json", batch=500).take(orjson.dumps(["x" * size] * 500))) == 500


ITEMS = [
    b"1",
    b'"a, ]"',
    b"[]",
    b'{"a":[1]}',
    b"[" * 40 + b"]" * 40,
    b"[" * 40 + b"x" + b"]" * 40,
    b"[" * 1023 + b"]" * 1023,
    b"[" * 1024 + b"]" * 1024,
    b'"' + b"y" * 5000 + b'"',
    b'"' + b"y" * 5000 + b"\\x" + b'"',
    b"z" * 5000,
    b"[" * 40 + b"}" * 40,
    b"x",
    b"",
    b"01",
    b"[" * 300 + b"]" * 300,
    b"[1",
    b"1]",
    b'"\xff"',
    b'{"a"}',
    b"NaN",
    b"1e999",
    b"18446744073709551616",
    b" 7 ",
    b"[" * 40 + b"1," * 3000 + b"1" + b"]" * 40,
]
SHORT = dict.fromkeys((b"1", b'"a, ]"', b"[]", b" 7 "))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(ITEMS) | st.sampled_from([*SHORT]), max_size=4))
def test_an_array_gives_the_same_events_at_once_and_in_parts(items: list[bytes]) -> None:
    """Nothing but its items decides what becomes of it, if none of them is longer than what is
    parsed at once.
    """

    async def outcome(body: bytes) -> list[str | bytes] | None:
        try:
            found = await Batch("json", event_bytes=4096).take(body)
        except EventHubError:  # for one of its faults, where there are several
            return None
        return [each.data if isinstance(each, NewEvent) else each.code for each in found]

    array = b"[" + b",".join(items) + b"]"
    assume(len(array) <= PART_BYTES)
    padded = array + b" " * PART_BYTES
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("eventhub.server.publish.batch.PART_COMMAS", 100_000)
        at_once = asyncio.run(outcome(array))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("eventhub.server.publish.batch.PART_COMMAS", 3)
        in_pieces = [asyncio.run(outcome(array)), asyncio.run(outcome(padded))]
    assert [asyncio.run(outcome(padded)), *in_pieces] == [at_once] * 3


@in_loop
async def test_a_very_long_item_is_refused_without_parsing_it() -> None:
    assert codes(await Batch("json").take(b'[1,"%b\\x",2]' % (b"y" * 70_000))) == [
        "",
        "payload_too_large",
        "",
    ]


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Everything takes half a slice from now on."""
    now = [0.0]

    def clock() -> float:
        now[0] += SLICE_SECONDS / 2
        return now[0]

    return partial(monkeypatch.setattr, "eventhub.server.connections.turns.thread_time", clock)


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
