"""server/publish/ndjson.py: lines that are decoded and stored together."""

import json
from typing import Any

import pytest

from eventhub.events.event import NewEvents, Receipts
from eventhub.hub.hub import Hub
from eventhub.server.publish.batch import PART_BYTES, PART_COMMAS
from eventhub.server.publish.decoder import EventDecoder
from eventhub.server.publish.ndjson import LINES_PER_GROUP
from tests.harness.loop import in_loop
from tests.unit.server.http.lane_node import Node, post, running

NDJSON = "Content-Type: application/x-ndjson"


@pytest.fixture
def together(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many events were stored in each step."""
    counts: list[int] = []
    store = Hub.publish_all_now

    def note(hub: Hub, events: NewEvents) -> Any:
        receipts = store(hub, events)
        assert isinstance(receipts, Receipts)
        counts.append(receipts.number)
        return receipts

    monkeypatch.setattr(Hub, "publish_all_now", note)
    return counts


async def published(node: Node, *lines: bytes, headers: tuple[str, ...] = ()) -> Any:
    """The counts in the answer."""
    body = b"\n".join(lines)
    answer = await node.connect().ask(post("raw.a", body, NDJSON, *headers))
    return json.loads(answer.partition(b"\r\n\r\n")[2].splitlines()[-1])


@in_loop
async def test_valid_lines_are_stored_in_one_step_and_in_order(together: list[int]) -> None:
    async with running() as node:
        answer = await published(node, b"1", b' {"a" : 2}\r', b'"x"')
        assert (answer["line"], answer["accepted"], answer["rejected"]) == (3, 3, 0)
        assert answer["id"].endswith("-3")
        assert await node.stored("raw.a") == [b"1", b'{"a":2}', b'"x"']
        assert together == [3]


@pytest.mark.parametrize("refused", [b"{", b"1,2", b"12345678901234567890123", b"[" * 40, b" "])
@in_loop
async def test_a_line_that_needs_a_look_does_not_affect_the_others(
    refused: bytes, together: list[int]
) -> None:
    async with running() as node:
        answer = await published(node, b"1", refused, b"3", b"4")
        blank = refused.isspace()
        assert (answer["line"], answer["accepted"]) == (4, 3)
        assert answer["rejected"] == (0 if blank else 1)
        assert await node.stored("raw.a") == [b"1", b"3", b"4"]
        assert together == []


@in_loop
async def test_lines_behind_a_group_with_a_refused_line_are_stored_together_again(
    together: list[int],
) -> None:
    async with running() as node:
        lines = [b"{", *[b"1"] * (LINES_PER_GROUP + 9)]
        answer = await published(node, *lines)
        assert (answer["accepted"], answer["rejected"]) == (LINES_PER_GROUP + 9, 1)
        assert together == [10]


@pytest.mark.parametrize(
    ("line", "counts"),
    [
        (b'"%b"' % (b"x" * (PART_BYTES // 4 - 2)), [4]),
        (b'"%b"' % (b"x" * (PART_BYTES // 4 - 1)), [2, 2]),
        (b"[%b]" % b",".join([b"1"] * (PART_COMMAS // 4 + 1)), [4]),
        (b"[%b]" % b",".join([b"1"] * (PART_COMMAS // 4 + 2)), [2, 2]),
        (b'"%b"' % (b"x" * PART_BYTES), []),
    ],
    ids=range(5),
)
@in_loop
async def test_a_step_takes_no_more_than_a_turn_may(
    line: bytes, counts: list[int], together: list[int]
) -> None:
    async with running() as node:
        assert (await published(node, *[line] * 4))["accepted"] == 4
        assert together == counts


@in_loop
async def test_lines_with_a_key_are_stored_one_by_one(together: list[int]) -> None:
    async with running() as node:
        keyed = ("Idempotency-Key: k",)
        assert (await published(node, b"1", b"2", headers=keyed))["accepted"] == 2
        await published(node, b"1", b"2", headers=keyed)
        assert await node.stored("raw.a") == [b"1", b"2"]
        assert together == []


@in_loop
async def test_each_line_has_the_attributes_of_the_request(
    together: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    stored: list[NewEvents] = []
    async with running() as node:
        store = node.app.hub.publish_all_now

        def note(events: NewEvents) -> Any:
            stored.append(events)
            return store(events)

        monkeypatch.setattr(node.app.hub, "publish_all_now", note)
        await published(node, b"1", b"2", headers=("ce-source: /a",))
    ((channel, data, time, attributes),) = stored
    assert (channel, data, attributes) == ("raw.a", [b"1", b"2"], {"source": "/a"})
    assert abs(Hub.now() - time) < 3_600_000


@in_loop
async def test_with_a_broker_that_waits_lines_are_decoded_together_and_stored_in_a_group(
    together: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    alone: list[bytes] = []
    decode = EventDecoder.decode

    def note(decoder: EventDecoder, body: bytes, *args: Any, **options: Any) -> Any:
        alone.append(body)
        return decode(decoder, body, *args, **options)

    monkeypatch.setattr(EventDecoder, "decode", note)
    monkeypatch.setattr(Hub, "publishes_now", property(lambda hub: False))
    async with running() as node:
        answer = await published(node, b"1", b"2")
        assert (answer["accepted"], answer["id"][-2:]) == (2, "-2")
        assert await node.stored("raw.a") == [b"1", b"2"]
        assert (together, alone) == ([], [])
