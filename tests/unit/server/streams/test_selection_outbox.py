"""server/streams/selection_outbox.py: one cursor for several patterns, and when it may be sent."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

from eventhub.delivery.cursor_encoding import CURSOR_LINES
from eventhub.delivery.encoding import LINES
from eventhub.delivery.pattern_cursor import PatternCursor
from eventhub.delivery.pattern_subscriber import Begins, PatternSince
from eventhub.delivery.shared_cursors import RENEW_SECONDS
from eventhub.events.event import LATEST, Earliest, Event, Last, Position
from eventhub.server.streams.selection_outbox import SelectionOutbox
from tests.harness.virtual_time import in_virtual_time
from tests.unit.server.streams.test_pattern_outbox import Records

PARTS = ["chat.a", "iot.*", "logs.>"]
K7 = Position("k", 7)


class Stream:
    """A stream of two patterns and a channel."""

    def __init__(self, since: PatternSince, base: str = "", bound: int = 10_000) -> None:
        self.told: list[str] = []
        self.records = Records()
        self.outbox = SelectionOutbox(
            CURSOR_LINES,
            PatternCursor(",".join(PARTS), self.records, base),
            self.records,
            bound,
            lambda: self.told.append("full"),
            lambda: self.told.append("drained"),
        )
        self.outbox.begin(PARTS, since)

    def message(self, kind: str, **fields: Any) -> None:
        self.outbox.write(LINES.message(kind, fields))

    def event(self, channel: str, offset: int) -> None:
        self.outbox.write(LINES.event(Event(channel, "k", offset, offset - 1, 0, b"{}", None)))

    def positions(self, channel: str, **positions: int) -> None:
        found = {f"{channel[:-1]}{name}": f"k-{at}" for name, at in positions.items()}
        self.message("positions", channel=channel, positions=found, complete=True)

    def sent(self) -> list[tuple[str, str, str | None]]:
        """The type, the channel and the cursor of what a sender would take now."""
        found = b""
        while self.outbox._chunks:
            found += self.outbox._take_chunks()
        messages = [json.loads(line) for line in found.splitlines()]
        return [(each["type"], each.get("channel", ""), each.get("cursor")) for each in messages]


def run(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    in_virtual_time(scenario)()


def test_a_stream_that_begins_with_the_latest_sends_nothing_until_all_have_begun() -> None:
    async def scenario() -> None:
        stream = Stream(LATEST, "latest")
        stream.message("subscribed", channel="iot.*", channels=1)
        stream.positions("iot.*", a=3)
        stream.event("iot.a", 4)
        stream.message("subscribed", channel="chat.a", position="k-9", recovered=True)
        assert stream.sent() == []
        stream.positions("logs.>", x=1)
        assert stream.sent() == [
            ("subscribed", "iot.*", "*,iot.a@k-3,chat.a@k-9,logs.x@k-1"),
            ("position", "iot.*", "*,iot.a@k-3,chat.a@k-9,logs.x@k-1"),
            ("event", "iot.a", "*,iot.a@k-4,chat.a@k-9,logs.x@k-1"),
            ("subscribed", "chat.a", "*,iot.a@k-4,chat.a@k-9,logs.x@k-1"),
            ("position", "logs.>", "*,iot.a@k-4,chat.a@k-9,logs.x@k-1"),
        ]

    run(scenario)


def test_otherwise_the_cursor_says_how_the_rest_begins_until_all_have_begun() -> None:
    async def scenario() -> None:
        stream = Stream(Begins({"iot.a": K7}, Last(20)), "-20")
        stream.event("iot.b", 4)
        stream.positions("iot.*")
        stream.message("subscribed", channel="chat.a", position="k-9", recovered=True)
        stream.message("positions", channel="logs.>", positions={"logs.x": "k-1"}, complete=False)
        stream.positions("logs.>", y=2)
        stream.event("logs.born", 1)
        assert [cursor for _, _, cursor in stream.sent()] == [
            "*-20,iot.b@k-4",
            "*-20,iot.b@k-4",
            "*-20,iot.b@k-4,chat.a@k-9",
            "*,iot.a@k-7,iot.b@k-4,chat.a@k-9,logs.x@k-1,logs.y@k-2",
            "*,iot.a@k-7,iot.b@k-4,chat.a@k-9,logs.x@k-1,logs.y@k-2,logs.born@k-1",
        ]

    run(scenario)


def test_only_the_last_message_is_sent_if_the_stream_ends_before_all_have_begun() -> None:
    async def scenario() -> None:
        stream = Stream(LATEST, "latest")
        stream.positions("iot.*", a=3)
        stream.event("iot.a", 4)
        stream.message("goodbye", code="shutting_down")
        stream.outbox.close()
        assert stream.sent() == [("goodbye", "", None)]
        stream.event("iot.a", 5)
        assert stream.sent() == []

    run(scenario)


def test_what_waits_for_the_others_counts_as_buffered() -> None:
    async def scenario() -> None:
        stream = Stream(LATEST, "latest", bound=400)
        for offset in range(1, 6):
            stream.event("iot.a", offset)
        await asyncio.sleep(0)
        assert (stream.outbox.full, stream.told) == (True, ["full"])
        assert not stream.outbox.takes_signal(10)
        stream.positions("iot.*")
        stream.message("subscribed", channel="chat.a", position="k-9", recovered=True)
        stream.positions("logs.>")
        assert len(stream.sent()) == 8
        await asyncio.sleep(0)
        assert (stream.outbox.full, stream.told) == (False, ["full", "drained"])

    run(scenario)


def test_a_reader_is_told_that_its_cursor_has_expired() -> None:
    async def scenario() -> None:
        stream = Stream(Earliest(), "earliest")
        stream.outbox.expired = True
        stream.message("subscribed", channel="iot.*", channels=1)
        stream.message("subscribed", channel="chat.a", position="k-9", recovered=True)
        assert [(kind, channel) for kind, channel, _ in stream.sent()] == [
            ("subscribed", "iot.*"),
            ("gap", "iot.*"),
            ("subscribed", "chat.a"),
            ("gap", "chat.a"),
        ]

    run(scenario)


def test_a_quiet_stream_gets_a_new_cursor_before_its_journal_expires() -> None:
    async def scenario() -> None:
        stream = Stream({"iot.a": K7})
        await asyncio.sleep(RENEW_SECONDS + 1)
        stream.outbox.renew_cursor()
        assert stream.sent() == [], "the cursor has no journal"
        for number in range(100):
            stream.event(f"iot.{number}", 1)
        stream.records.store(stream.records.added)
        stream.sent()
        stream.outbox.renew_cursor()
        stream.records.store(stream.records.added - stream.records.stored)
        (renewed,) = stream.sent()
        assert renewed == ("position", ",".join(PARTS), str(stream.outbox.cursor))
        stream.outbox.renew_cursor()
        assert stream.sent() == [], "not before it gets old again"

    run(scenario)
