"""server/streams/outbox.py: bounds, the end, and cursors of several channels."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import orjson
import pytest

from eventhub.delivery.cursor_encoding import CURSOR_BLOCKS
from eventhub.delivery.encoding import EVENT_STREAM, LINES
from eventhub.errors import PayloadTooLarge, SlowConsumer
from eventhub.events.event import Event, Position
from eventhub.server.streams import outbox as outbox_module
from eventhub.server.streams.outbox import CHUNK_BYTES, CursorOutbox, Outbox

LONG = 60.0
"""A timeout that no test reaches."""


@dataclass
class Owner:
    """A connection that notes the calls of its outbox."""

    told: list[str] = field(default_factory=list)

    def outbox(self, bound: int = 100) -> Outbox:
        return Outbox(
            LINES, bound, lambda: self.told.append("full"), lambda: self.told.append("drained")
        )

    def cursors(self, cursor: dict[str, str], bound: int = 1000) -> CursorOutbox:
        return CursorOutbox(
            CURSOR_BLOCKS,
            cursor,
            bound,
            lambda: self.told.append("full"),
            lambda: self.told.append("drained"),
        )


def run(scenario: Callable[[Owner], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(10):
            await scenario(Owner())

    asyncio.run(main())


async def tick() -> None:
    """Let callbacks that are due run."""
    await asyncio.sleep(0)


# Taking


def test_take_joins_what_was_written_in_order() -> None:
    async def scenario(owner: Owner) -> None:
        outbox = owner.outbox()
        for data in (b"a", b"bc", b"d"):
            outbox.write(data)
        assert outbox.size == 4
        assert await outbox.take(LONG) == b"abcd"
        assert outbox.size == 0

    run(scenario)


def test_take_waits_for_a_write() -> None:
    async def scenario(owner: Owner) -> None:
        outbox = owner.outbox()
        taking = asyncio.create_task(outbox.take(LONG))
        await tick()
        assert not taking.done()
        outbox.write(b"a")
        assert await taking == b"a"
        again = asyncio.create_task(outbox.take(LONG))
        await tick()
        assert not again.done(), "what was taken is gone"
        outbox.write(b"b")
        assert await again == b"b"

    run(scenario)


def test_take_returns_nothing_after_its_timeout_and_loses_nothing() -> None:
    async def scenario(owner: Owner) -> None:
        outbox = owner.outbox()
        assert await outbox.take(0.01) == b""
        assert await outbox.take(0) == b""
        outbox.write(b"a")
        assert await outbox.take(0) == b"a"

    run(scenario)


def test_a_long_buffer_is_taken_in_chunks_of_whole_messages() -> None:
    async def scenario(owner: Owner) -> None:
        outbox = owner.outbox(bound=10 * CHUNK_BYTES)
        half = b"x" * (CHUNK_BYTES // 2 + 1)
        for _ in range(5):
            outbox.write(half)
        outbox.write(b"y" * (3 * CHUNK_BYTES))
        sizes = [len(await outbox.take(LONG) or b"") for _ in range(3)]
        assert sizes == [2 * len(half), 2 * len(half), len(half) + 3 * CHUNK_BYTES]
        assert outbox.size == 0

    run(scenario)


def test_a_cancelled_take_loses_nothing() -> None:
    async def scenario(owner: Owner) -> None:
        outbox = owner.outbox()
        taking = asyncio.create_task(outbox.take(LONG))
        await tick()
        taking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await taking
        outbox.write(b"a")
        assert await outbox.take(LONG) == b"a"

    run(scenario)


# Bounds


def test_the_bound_itself_is_not_full_and_one_byte_more_is() -> None:
    async def scenario(owner: Owner) -> None:
        outbox = owner.outbox(bound=100)
        outbox.write(b"x" * 100)
        assert not outbox.full
        outbox.write(b"x")
        assert outbox.full
        assert owner.told == [], "never from inside write"
        await tick()
        assert owner.told == ["full"]

    run(scenario)


def test_on_full_is_called_once_however_much_more_is_written() -> None:
    async def scenario(owner: Owner) -> None:
        outbox = owner.outbox(bound=10)
        for _ in range(5):
            outbox.write(b"x" * 11)
        await tick()
        await tick()
        assert owner.told == ["full"]
        assert outbox.size == 55, "what a feed writes meanwhile is kept: the feed stops by itself"

    run(scenario)


def test_it_is_drained_when_a_quarter_is_left_and_can_fill_again() -> None:
    async def scenario(owner: Owner) -> None:
        outbox = owner.outbox(bound=4 * CHUNK_BYTES)
        for _ in range(4):
            outbox.write(b"x" * CHUNK_BYTES)
        outbox.write(b"x")
        assert outbox.full
        for left in (3, 2):
            await outbox.take(LONG)
            assert outbox.size == left * CHUNK_BYTES + 1
            assert outbox.full
        await outbox.take(LONG)
        assert outbox.full, "one byte more than a quarter"
        await outbox.take(LONG)
        assert not outbox.full
        await tick()
        assert owner.told == ["full", "drained"]
        outbox.write(b"x" * (4 * CHUNK_BYTES + 1))
        await tick()
        assert owner.told == ["full", "drained", "full"]

    run(scenario)


def test_exactly_a_quarter_left_is_drained() -> None:
    async def scenario(owner: Owner) -> None:
        outbox = owner.outbox(bound=4 * CHUNK_BYTES)
        outbox.write(b"x" * (4 * CHUNK_BYTES))
        outbox.write(b"x" * CHUNK_BYTES)
        await outbox.take(LONG)
        assert not outbox.full

    run(scenario)


def test_neither_callback_is_called_for_a_fast_reader() -> None:
    async def scenario(owner: Owner) -> None:
        outbox = owner.outbox(bound=10)
        for _ in range(20):
            outbox.write(b"x" * 10)
            await outbox.take(LONG)
        await tick()
        assert owner.told == []

    run(scenario)


# The end


def test_after_close_the_rest_is_taken_and_then_none() -> None:
    async def scenario(owner: Owner) -> None:
        outbox = owner.outbox()
        outbox.write(b"a")
        outbox.close()
        outbox.write(b"b")
        assert outbox.size == 1
        assert await outbox.take(LONG) == b"a"
        assert await outbox.take(LONG) is None
        assert await outbox.take(0) is None
        assert outbox.error is None

    run(scenario)


def test_close_wakes_take() -> None:
    async def scenario(owner: Owner) -> None:
        outbox = owner.outbox()
        taking = asyncio.create_task(outbox.take(LONG))
        await tick()
        outbox.close()
        outbox.close()
        assert await taking is None

    run(scenario)


def test_the_first_error_is_kept() -> None:
    async def scenario(owner: Owner) -> None:
        outbox = owner.outbox()
        first = SlowConsumer("slow")
        outbox.write(b"a")
        outbox.fail(first)
        outbox.fail(PayloadTooLarge("late"))
        outbox.write(b"b")
        assert outbox.error is first
        assert await outbox.take(LONG) == b"a"
        assert await outbox.take(LONG) is None

    run(scenario)


def test_an_error_after_close_is_kept() -> None:
    async def scenario(owner: Owner) -> None:
        outbox = owner.outbox()
        outbox.close()
        error = SlowConsumer("slow")
        outbox.fail(error)
        assert outbox.error is error

    run(scenario)


def test_writes_after_close_never_make_it_full() -> None:
    async def scenario(owner: Owner) -> None:
        outbox = owner.outbox(bound=10)
        outbox.close()
        outbox.write(b"x" * 1000)
        await tick()
        assert (outbox.full, outbox.size, owner.told) == (False, 0, [])

    run(scenario)


def test_the_rest_must_be_sent_within_close_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "CLOSE_SECONDS", 0.01)

    async def scenario(owner: Owner) -> None:
        outbox = owner.outbox(bound=10 * CHUNK_BYTES)
        for _ in range(3):
            outbox.write(b"x" * CHUNK_BYTES)
        outbox.close()
        assert len(await outbox.take(LONG) or b"") == CHUNK_BYTES
        expired = asyncio.Event()
        asyncio.get_running_loop().call_later(
            0.02, expired.set
        )  # timers fire in the order of their times
        await expired.wait()
        assert outbox.size == 0
        assert await outbox.take(LONG) is None

    run(scenario)


def test_a_second_close_does_not_give_more_time() -> None:
    async def scenario(owner: Owner) -> None:
        outbox = owner.outbox()
        outbox.close()
        timer = outbox._close_timer
        outbox.close()
        outbox.fail(SlowConsumer("slow"))
        assert timer is not None
        assert outbox._close_timer is timer
        assert timer.when() <= asyncio.get_running_loop().time() + outbox_module.CLOSE_SECONDS

    run(scenario)


@pytest.mark.parametrize("closed", [True, False])
def test_the_rest_can_be_discarded_at_any_time(closed: bool) -> None:  # noqa: FBT001  # a parameter of the test
    async def scenario(owner: Owner) -> None:
        outbox = owner.outbox()
        outbox.write(b"a")
        if closed:
            outbox.close()
        outbox.discard()
        outbox.write(b"b")
        assert outbox.size == 0
        assert await outbox.take(LONG) is None
        assert outbox._close_timer is None or outbox._close_timer.cancelled(), (
            "no timer outlives the connection"
        )
        outbox.discard()

    run(scenario)


def test_discard_wakes_take() -> None:
    async def scenario(owner: Owner) -> None:
        outbox = owner.outbox()
        taking = asyncio.create_task(outbox.take(LONG))
        await tick()
        outbox.discard()
        assert await taking is None

    run(scenario)


def test_a_close_after_a_discard_starts_no_timer() -> None:
    async def scenario(owner: Owner) -> None:
        outbox = owner.outbox()
        outbox.discard()
        outbox.close()
        assert outbox._close_timer is None

    run(scenario)


# Cursors of several channels


def event(channel: str, offset: int) -> Event:
    return Event(channel, "k3x9", offset, offset - 1, 0, b'{"text":"id: \\"x\\" \xe2\x80\xa8"}')


def ids(data: bytes | None) -> list[str | None]:
    """The id of each block."""
    assert data is not None
    blocks = data.decode().removesuffix("\n\n").split("\n\n")
    return [
        next((line[4:] for line in block.split("\n") if line.startswith("id: ")), None)
        for block in blocks
    ]


def test_the_id_of_every_event_is_a_cursor_of_all_channels_so_far() -> None:
    async def scenario(owner: Owner) -> None:
        outbox = owner.cursors({})
        for channel, position in (("chat.a", 5), ("logs", 7)):
            fields = {
                "channel": channel,
                "position": f"k3x9-{position}",
                "head": "k3x9-99",
                "recovered": True,
            }
            outbox.write(LINES.message("subscribed", fields, Position("k3x9", position)))
        outbox.write(LINES.event(event("logs", 8)) + LINES.event(event("chat.a", 6)))
        outbox.write(
            LINES.message("gap", {"channel": "logs", "position": "k3x9-20"}, Position("k3x9", 20))
        )
        assert ids(await outbox.take(LONG)) == [
            "chat.a@k3x9-5",
            "chat.a@k3x9-5,logs@k3x9-7",
            "chat.a@k3x9-5,logs@k3x9-8",
            "chat.a@k3x9-6,logs@k3x9-8",
            "chat.a@k3x9-6,logs@k3x9-20",
        ]

    run(scenario)


def test_channels_that_have_not_begun_keep_the_reader_s_position_in_the_cursor() -> None:
    async def scenario(owner: Owner) -> None:
        outbox = owner.cursors({"chat.a": "k3x9-41", "logs": "k3x9-7"})
        outbox.write(LINES.event(event("logs", 8)))
        assert ids(await outbox.take(LONG)) == ["chat.a@k3x9-41,logs@k3x9-8"]

    run(scenario)


def test_messages_without_a_position_do_not_change_the_cursor() -> None:
    async def scenario(owner: Owner) -> None:
        outbox = owner.cursors({})
        outbox.write(LINES.message("error", {"code": "internal"}))
        outbox.write(LINES.event(event("logs", 8)))
        outbox.write(
            LINES.message("goodbye", {"code": "shutting_down", "message": "", "reconnect_in": 1.5})
        )
        data = await outbox.take(LONG)
        assert ids(data) == [None, "logs@k3x9-8", "logs@k3x9-8"]
        assert data is not None
        assert b"retry: 1500\nevent: goodbye\n" in data

    run(scenario)


def test_events_differ_from_those_of_one_channel_in_their_id_only() -> None:
    async def scenario(owner: Owner) -> None:
        outbox = owner.cursors({})
        one = event("logs", 8)
        outbox.write(LINES.event(one))
        assert await outbox.take(LONG) == EVENT_STREAM.event(one).replace(
            b"id: k3x9-8", b"id: logs@k3x9-8"
        )
        fields = {"channel": "logs", "position": "k3x9-9"}
        outbox.write(LINES.message("gap", fields))
        assert await outbox.take(LONG) == EVENT_STREAM.message(
            "gap", fields, Position("k3x9", 9)
        ).replace(b"id: ", b"id: logs@")

    run(scenario)


def test_the_bound_counts_encoded_bytes() -> None:
    async def scenario(owner: Owner) -> None:
        line = LINES.event(event("logs", 8))
        outbox = owner.cursors({}, bound=len(line) + 5)
        outbox.write(line)
        assert outbox.full
        assert outbox.size == len(await outbox.take(LONG) or b"")

    run(scenario)


def test_each_data_line_is_the_json_that_was_written() -> None:
    async def scenario(owner: Owner) -> None:
        outbox = owner.cursors({})
        line = LINES.event(event("logs", 8))
        outbox.write(line)
        data = await outbox.take(LONG)
        assert data is not None
        assert [
            orjson.loads(row[6:]) for row in data.split(b"\n") if row.startswith(b"data: ")
        ] == [orjson.loads(line)]

    run(scenario)
