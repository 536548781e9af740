"""server/streams/pattern_outbox.py: cursors, and what is held back until a record is stored."""

import asyncio
from collections.abc import Awaitable, Callable

import orjson

from eventhub.delivery.cursor_encoding import CURSOR_BLOCKS, CURSOR_LINES, CursorForm
from eventhub.delivery.encoding import LINES
from eventhub.delivery.pattern_cursor import PatternCursor, RecordName
from eventhub.events.event import Event, Position
from eventhub.events.signal import Signal
from eventhub.server.streams.pattern_outbox import PatternOutbox

PATTERN = "logs.>"


class Records:
    """Journals whose records are stored when a test says so."""

    def __init__(self) -> None:
        self.added = self.stored = 0
        self.waiting: dict[Callable[[], None], None] = {}

    def new(self) -> str:
        return "0123456789ab"

    def add(self, name: RecordName, record: bytes) -> None:
        self.added += 1

    def when_stored(self, wake: Callable[[], None]) -> None:
        self.waiting[wake] = None

    def forget(self, wake: Callable[[], None]) -> None:
        self.waiting.pop(wake, None)

    def store(self, count: int = 1) -> None:
        self.stored += count
        waiting, self.waiting = self.waiting, {}
        for wake in waiting:
            wake()


class Owner:
    def __init__(self, form: CursorForm = CURSOR_LINES, bound: int = 10_000) -> None:
        self.told: list[str] = []
        self.records = Records()
        self.outbox = PatternOutbox(
            form,
            PatternCursor(PATTERN, self.records),
            self.records,
            bound,
            lambda: self.told.append("full"),
            lambda: self.told.append("drained"),
        )

    def sent(self) -> list[bytes]:
        """What a sender would take now."""
        found = b""
        while self.outbox._chunks:
            found += self.outbox._take_chunks()
        return found.splitlines()


def event(channel: str = "logs.a", offset: int = 7) -> bytes:
    return LINES.event(Event(channel, "k", offset, offset - 1, 0, b"{}", None))


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(20):
            await scenario()

    asyncio.run(main())


def test_events_and_gaps_move_the_cursor_and_carry_it() -> None:
    async def scenario() -> None:
        owner = Owner()
        owner.outbox.write(event("logs.a", 7) + event("logs.b", 3))
        gap = {"channel": "logs.a", "position": "k-9", "reason": "slow"}
        owner.outbox.write(LINES.message("gap", gap, Position("k", 9)))
        cursors = [orjson.loads(line)["cursor"] for line in owner.sent()]
        assert cursors == [
            "*,logs.a@k-7",
            "*,logs.a@k-7,logs.b@k-3",
            "*,logs.a@k-9,logs.b@k-3",
        ]

    run(scenario)


def test_as_server_sent_events_the_cursor_is_the_id() -> None:
    async def scenario() -> None:
        owner = Owner(CURSOR_BLOCKS)
        owner.outbox.write(event())
        *_, identity, end = owner.sent()
        assert (identity, end) == (b"id: *,logs.a@k-7", b"")

    run(scenario)


def test_a_message_that_does_not_concern_positions_has_no_cursor() -> None:
    """It may be written while other encodings have moved the reader on, or not yet."""

    async def scenario() -> None:
        for form in (CURSOR_LINES, CURSOR_BLOCKS):
            owner = Owner(form)
            owner.outbox.write(event())
            owner.sent()
            signal = Signal("logs.a", b"{}", 0, None)
            owner.outbox.write(LINES.signal(signal))
            owner.outbox.write(LINES.message("goodbye", {"reconnect_in": 1.0}))
            text = b"\n".join(owner.sent())
            assert b"signal" in text
            assert b"goodbye" in text
            assert b"*" not in text

    run(scenario)


def test_what_follows_a_record_is_sent_when_that_is_stored_and_in_order() -> None:
    async def scenario() -> None:
        owner = Owner()
        owner.outbox.write_placed(b"1\n")
        owner.records.added = 2
        owner.outbox.write_placed(b"2\n")
        owner.records.added = 3
        owner.outbox.write_placed(b"3\n")
        assert owner.sent() == [b"1"]
        owner.records.store()
        assert owner.sent() == []
        owner.records.store()
        assert owner.sent() == [b"2"]
        owner.records.store()
        owner.outbox.write_placed(b"4\n")
        assert owner.sent() == [b"3", b"4"]
        assert not owner.records.waiting

    run(scenario)


def test_a_sender_that_waits_is_woken_when_the_record_is_stored() -> None:
    async def scenario() -> None:
        owner = Owner()
        owner.records.added = 1
        owner.outbox.write_placed(b"1\n")
        taking = asyncio.create_task(owner.outbox.take(60))
        await asyncio.sleep(0)
        owner.records.store()
        assert await taking == b"1\n"

    run(scenario)


def test_what_is_held_counts_for_the_bound() -> None:
    async def scenario() -> None:
        owner = Owner(bound=100)
        owner.records.added = 1
        owner.outbox.write_placed(b"x" * 60)
        assert not owner.outbox.full
        owner.outbox.write_placed(b"x" * 60)
        assert owner.outbox.full
        await asyncio.sleep(0)
        assert owner.told == ["full"]
        owner.records.store()
        owner.sent()
        await asyncio.sleep(0)
        assert owner.told == ["full", "drained"]

    run(scenario)


def test_a_goodbye_follows_every_event_before_it() -> None:
    async def scenario() -> None:
        owner = Owner()
        owner.records.added = 1
        owner.outbox.write(event())
        owner.outbox.write(LINES.message("goodbye", {}))
        owner.outbox.close()
        owner.outbox.write_placed(b"more\n")
        owner.outbox.write(event())
        assert [orjson.loads(line)["type"] for line in owner.sent()] == ["event", "goodbye"]
        assert not owner.records.waiting
        owner.outbox.discard()

    run(scenario)


def test_nothing_is_kept_for_a_client_that_has_gone() -> None:
    async def scenario() -> None:
        owner = Owner()
        owner.records.added = 1
        owner.outbox.write(event())
        owner.outbox.discard()
        assert not owner.records.waiting
        owner.records.store()
        assert owner.sent() == []

    run(scenario)


def test_a_client_is_told_after_subscribed_that_its_cursor_has_expired() -> None:
    async def scenario() -> None:
        for expired in (False, True):
            owner = Owner()
            owner.outbox.expired = expired
            owner.outbox.write(LINES.message("subscribed", {"channel": PATTERN, "channels": 0}))
            begun, *rest = map(orjson.loads, owner.sent())
            assert begun["recovered"] is not expired
            gap = {"type": "gap", "channel": PATTERN, "reason": "expired", "cursor": "*"}
            assert rest == [gap] * expired

    run(scenario)


def test_what_is_held_back_leaves_less_room_for_signals() -> None:
    async def scenario() -> None:
        owner = Owner(bound=400)
        assert (owner.outbox.takes_signal(100), owner.outbox.takes_signal(101)) == (True, False)
        owner.records.added = 1
        owner.outbox.write_placed(b"x" * 60)
        assert (owner.outbox.takes_signal(40), owner.outbox.takes_signal(41)) == (True, False)
        owner.records.store()
        assert (owner.outbox.takes_signal(40), owner.outbox.takes_signal(41)) == (True, False)
        owner.sent()
        assert owner.outbox.takes_signal(100)

    run(scenario)


def test_what_comes_after_something_held_waits_for_its_turn() -> None:
    """Its own record is stored, and the stream has not been woken yet."""

    async def scenario() -> None:
        owner = Owner()
        owner.records.added = 1
        owner.outbox.write_placed(b"1\n")
        owner.records.stored = 1
        owner.outbox.write_placed(b"2\n")
        assert owner.sent() == []
        owner.records.store(0)
        assert owner.sent() == [b"1", b"2"]

    run(scenario)


def test_what_is_sent_and_what_is_held_fill_the_outbox_together_and_it_says_so_once() -> None:
    async def scenario() -> None:
        owner = Owner(bound=10)
        owner.outbox.write_placed(b"12345\n")
        owner.records.added = 1
        owner.outbox.write_placed(b"123\n")
        assert not owner.outbox.full, "it is at its bound"
        owner.outbox.write_placed(b"\n")
        assert owner.outbox.full
        owner.outbox.write_placed(b"1\n")
        await asyncio.sleep(0)
        assert owner.told == ["full"]

    run(scenario)


def test_what_is_written_to_a_closed_outbox_moves_no_cursor() -> None:
    async def scenario() -> None:
        owner = Owner()
        owner.outbox.write(event("logs.a", 7))
        owner.outbox.close()
        owner.outbox.write(event("logs.a", 8))
        assert str(owner.outbox.cursor) == "*,logs.a@k-7"

    run(scenario)
