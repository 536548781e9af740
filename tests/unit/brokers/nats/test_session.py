"""brokers/nats/session.py: channels are opened, announced, watched and closed over one link."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from eventhub.brokers.nats import session as session_module
from eventhub.brokers.nats.answers import JetStreamError
from eventhub.brokers.nats.message import offset_of
from eventhub.errors import BrokerUnavailable
from eventhub.events.event import Position
from tests.harness.eventually import async_eventually
from tests.harness.loop import in_loop
from tests.unit.brokers.nats.links import STREAM, add_stream, put
from tests.unit.brokers.nats.server import FakeNats
from tests.unit.brokers.nats.sessions import Told, session_on

FULL = {"error": {"code": 503, "err_code": 10023, "description": "insufficient resources"}}


def server_with(*texts: bytes) -> FakeNats:
    server = FakeNats()
    add_stream(server)
    for text in texts:
        put(server, "log.a", text)
    return server


def listening(server: FakeNats, subject: str = "p.live.log.a") -> int:
    """How many subscriptions the server has for announcements."""
    return sum(
        pattern == subject
        for connection in server.connections
        for pattern in connection.subscriptions.values()
    )


@in_loop
async def test_an_open_channel_is_announced_from_its_position_on() -> None:
    server, told = server_with(b"1"), Told()
    async with session_on(server, told) as session:
        assert session.announced_position("log.a") is None
        begin = await session.open("log.a")
        assert begin == session.announced_position("log.a") == Position("00000001", offset_of(1, 7))
        for text in (b"2", b"3"):
            put(server, "log.a", text)
            put(server, "log.b", text)
        await async_eventually("two events", lambda: told.texts == [b"2", b"3"])
        assert [event.previous for event in told.events] == [begin.offset, offset_of(2, 7)]
        assert session.announced_position("log.a") == told.events[-1].position
        assert told.gaps == []


@in_loop
async def test_a_channel_is_opened_once() -> None:
    server, told = server_with(), Told()
    async with session_on(server, told) as session:
        positions = await asyncio.gather(*(session.open("log.a") for _ in range(3)))
        assert len(set(positions)) == listening(server) == 1
        put(server, "log.a")
        await async_eventually("one event", lambda: len(told.events) == 1)
        assert await session.open("log.a") == told.events[0].position


@in_loop
async def test_what_is_announced_while_the_end_is_looked_up_is_announced_once() -> None:
    server, told = server_with(b"1"), Told()

    def between(subject: str, body: bytes) -> Mapping[str, Any]:
        put(server, "log.a", b"2")
        answer = server.jetstream.api(subject, body)
        put(server, "log.a", b"3")
        return answer

    server.answers["STREAM.MSG.GET"] = between
    async with session_on(server, told) as session:
        begin = await session.open("log.a")
        assert begin.offset == offset_of(2, 7)
        put(server, "log.a", b"4")
        await async_eventually("all events", lambda: told.texts == [b"3", b"4"])
        assert told.events[0].previous == begin.offset


@in_loop
async def test_a_channel_that_could_not_be_opened_leaves_no_subscription() -> None:
    server, told = server_with(), Told()
    server.answers["STREAM.MSG.GET"] = lambda subject, body: FULL
    async with session_on(server, told) as session:
        with pytest.raises(JetStreamError):
            await session.open("log.a")
        await session.link.request("INFO")
        assert (listening(server), session.announced_position("log.a")) == (0, None)
        server.answers.clear()
        await session.open("log.a")
        assert listening(server) == 1


@in_loop
async def test_a_closed_channel_is_not_announced_even_when_it_was_being_opened() -> None:
    server, told = server_with(), Told()
    async with session_on(server, told) as session:
        await session.open("log.a")
        opening = asyncio.create_task(session.open("log.b"))
        await asyncio.sleep(0)
        await session.close("log.a")
        await session.close("log.b")
        await session.close("log.never")
        await opening
        await session.link.request("INFO")
        assert listening(server) == listening(server, "p.live.log.b") == 0
        assert session.announced_position("log.a") is None
        put(server, "log.a")
        put(server, "log.b")
        await session.link.request("INFO")
        assert told == Told()


@in_loop
async def test_a_missing_announcement_is_a_gap() -> None:
    server, told = server_with(b"1"), Told()
    async with session_on(server, told) as session:
        await session.open("log.a")
        connection = server.connections[0]
        kept, connection.subscriptions = connection.subscriptions, {}
        put(server, "log.a", b"lost")
        connection.subscriptions = kept
        put(server, "log.a", b"3")
        put(server, "log.a", b"4")
        await async_eventually("the event after", lambda: told.texts == [b"4"])
        assert told.gaps == ["log.a"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Nats-Stream": "another", "Nats-Sequence": "2", "Nats-Last-Sequence": "1"},
        {"Nats-Stream": STREAM, "Nats-Sequence": "two", "Nats-Last-Sequence": "1"},
        {"Nats-Stream": STREAM, "Nats-Sequence": "2"},
        {"Nats-Stream": STREAM},
        {},
    ],
)
@in_loop
async def test_what_is_no_announcement_of_the_stream_is_ignored(headers: dict[str, str]) -> None:
    server, told = server_with(b"1"), Told()
    async with session_on(server, told) as session:
        await session.open("log.a")
        server.emit("p.live.log.a", b"2", headers or None)
        put(server, "log.a", b"3")
        await async_eventually("the event", lambda: told.texts == [b"3"])
        assert (told.gaps, session.link.callback_error) == ([], None)


@in_loop
async def test_dropped_announcements_are_a_gap_of_a_channel_that_is_announced() -> None:
    told = Told()
    async with session_on(server_with(), told) as session:
        await session.open("log.a")
        for subject in ("p.live.log.a", "p.live.log.b", "p.nodes"):
            session.on_slow(subject)
        assert told.gaps == ["log.a"]


@in_loop
async def test_channels_that_are_not_open_are_opened_with_a_gap_and_others_left_alone() -> None:
    server, told = server_with(), Told()
    async with session_on(server, told) as session:
        await session.open("log.a")
        assert await session.reopen(["log.a", "log.b", "log.c"]) is None
        assert sorted(told.gaps) == ["log.b", "log.c"]
        assert await session.reopen(["log.a", "log.b", "log.c"]) is None
        assert len(told.gaps) == 2


@in_loop
async def test_a_channel_type_whose_stream_cannot_be_used_is_named_and_costs_no_other() -> None:
    server, told = server_with(), Told()
    server.answers["STREAM.CREATE.p-log-full"] = lambda subject, body: FULL
    async with session_on(server, told) as session:
        reason = await session.reopen(["full.a", "full.b", "log.a"])
        assert reason == ("channels of type 'full' cannot be announced: insufficient resources")
        assert (told.gaps, server.asked("STREAM.CREATE.p-log-full")) == (["log.a"], 1)
        server.answers.clear()
        assert await session.reopen(["full.a", "full.b", "log.a"]) is None
        assert sorted(told.gaps) == ["full.a", "full.b", "log.a"]


@in_loop
async def test_a_link_that_does_not_work_is_not_asked_for_type_after_type() -> None:
    server = server_with()
    async with session_on(server, Told()) as session:
        server.answers["STREAM.NAMES"] = lambda subject, body: session.link._on_end()
        with pytest.raises(BrokerUnavailable):
            async with asyncio.timeout(30):
                await session.reopen(["one.a", "two.a"])
        assert server.asked("STREAM.NAMES") == 1


@in_loop
async def test_a_refusal_for_one_channel_is_told_and_a_fault_of_one_costs_no_other() -> None:
    server, told = server_with(), Told()
    add_stream(server, "p-log-bad-00000002", subjects=["p.log.bad", "p.log.bad.>"])
    add_stream(server, "p-log-two-00000003", subjects=["p.log.two", "p.log.two.>"])
    async with session_on(server, told) as session:
        await session.streams.of_channel("bad.b")
        server.answers["STREAM.MSG.GET.p-log-two"] = lambda subject, body: FULL
        reason = await session.reopen(["bad.a", "two.a", "log.a", "log.b"])
        assert reason == "channels of type 'two' cannot be announced: insufficient resources"
        assert sorted(told.gaps) == ["log.a", "log.b"]


@in_loop
async def test_when_a_stream_was_replaced_its_channels_are_opened_again_with_a_gap() -> None:
    server, told = server_with(b"1"), Told()
    async with session_on(server, told) as session:
        await session.open("log.a")
        server.jetstream.streams.clear()
        assert "cannot be used" in str(await session.tick())
        add_stream(server, "p-log-log-00000002")
        assert await session.reopen(["log.a"]) is None
        assert (told.gaps, listening(server)) == (["log.a"], 1)
        put(server, "log.a", b"2")
        await async_eventually("the event", lambda: told.texts == [b"2"])
        assert told.events[0].epoch == "00000002"


@in_loop
async def test_a_tick_tells_what_jetstream_complains_of_while_no_stream_is_known() -> None:
    server = FakeNats()
    async with session_on(server, Told()) as session:
        assert await session.tick() is None
        server.answers["INFO"] = lambda subject, body: FULL
        assert await session.tick() == "insufficient resources"


@in_loop
async def test_a_tick_finds_a_lost_announcement() -> None:
    server, told = server_with(b"1"), Told()
    async with session_on(server, told) as session:
        await session.open("log.a")
        connection = server.connections[0]
        kept = {sid: one for sid, one in connection.subscriptions.items() if "live" in one}
        for sid in kept:
            del connection.subscriptions[sid]
        put(server, "log.a", b"lost")
        assert await session.tick() is None
        assert told.gaps == []
        assert await session.tick() is None
        assert told.gaps == ["log.a"]


@in_loop
async def test_a_tick_ends_a_link_that_is_lost_or_whose_messages_cannot_be_processed() -> None:
    server = server_with()
    async with session_on(server, Told()) as session:
        session.link.callback_error = ZeroDivisionError("s3cret")
        with pytest.raises(BrokerUnavailable, match=r"could not be processed: ZeroDivisionError$"):
            await session.tick()
        session.link.callback_error = None
        await session.streams.of_channel("log.a")
        await session.link.close()
        with pytest.raises(BrokerUnavailable):
            await session.tick()


@in_loop
async def test_after_its_end_a_session_tells_nothing() -> None:
    server, told = server_with(), Told()
    async with session_on(server, told) as session:
        await session.open("log.a")
        session.end()
        session.on_slow("p.live.log.a")
        put(server, "log.a")
        await async_eventually(
            "the announcement",
            lambda: session.announced_position("log.a").offset >> 16 == 1,  # type: ignore[union-attr]
        )
        assert told == Told()


@in_loop
async def test_between_two_ticks_the_end_of_the_link_is_noticed_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with session_on(server_with(), Told()) as session:
        monkeypatch.setattr(session_module, "TICK_SECONDS", 0.001)
        await session.idle()
        monkeypatch.setattr(session_module, "TICK_SECONDS", 3600)
        idle = asyncio.create_task(session.idle())
        await asyncio.sleep(0)
        assert not idle.done()
        await session.link.close()
        async with asyncio.timeout(30):
            await idle
