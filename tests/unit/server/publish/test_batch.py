"""A JSON array becomes an event or an error for each item."""

import asyncio

import orjson
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from eventhub.config.limit_settings import LimitSettings
from eventhub.errors import EventHubError, InvalidJson, PayloadTooLarge
from eventhub.events.event import NewEvent
from eventhub.server.publish.batch import PART_BYTES, size_error
from eventhub.server.publish.handling import DETAILED_REFUSALS
from tests.harness.loop import in_loop
from tests.unit.server.publish.batch_request import CHAT, Batch, codes


@pytest.mark.parametrize("count", [3, 3000], ids=["at once", "in pieces"])
@in_loop
async def test_items_become_events_in_order_each_with_its_own_key(count: int) -> None:
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
async def test_only_the_item_that_is_too_large_or_too_deep_is_refused(
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


@in_loop
async def test_the_position_of_a_fault_counts_what_stands_before_its_part() -> None:
    body = b"[" + b'{"sender":"ana","text":"oi"},' * 3000 + b"x]"
    with pytest.raises(orjson.JSONDecodeError) as expected:
        orjson.loads(body)
    with pytest.raises(InvalidJson, match=f"line 1, column {expected.value.colno}\\b"):
        await Batch().take(body)


@pytest.mark.parametrize("last", [b'"%b"' % (b"y" * 70_000), b"[" * 40 + b"]" * 40])
@in_loop
async def test_items_that_are_refused_count_as_items(last: bytes) -> None:
    before = [b'"%b"' % (b"x" * 100)] * 500
    found = await Batch("json", batch=501).take(b"[%b]" % b",".join([*before, last]))
    assert [bool(code) for code in codes(found)] == [False] * 500 + [True]
    with pytest.raises(PayloadTooLarge, match="more than 500 events"):
        await Batch("json", batch=500).take(b"[%b]" % b",".join([*before, last]))


@in_loop
async def test_so_many_refusals_have_details() -> None:
    found = await Batch().take(b"[%b]" % b",".join([b"{}"] * (DETAILED_REFUSALS + 2)))
    details = [bool(each.details) for each in found if isinstance(each, EventHubError)]
    assert details == [True] * DETAILED_REFUSALS + [False] * 2
    assert found[-1] is found[-2]


def test_an_item_may_have_so_many_bytes_beside_its_event() -> None:
    limits, item = LimitSettings(event_bytes=40_000), b'"%b"' % (b"y" * 40_000)
    assert [size_error(item, limits, beside) is None for beside in (0, 1, 2)] == [
        False,
        False,
        True,
    ]
