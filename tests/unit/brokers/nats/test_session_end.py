"""brokers/nats/session.py: messages that come late, for a session or a channel that has ended."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from nats.aio.msg import Msg

from eventhub.brokers.nats.session import NatsSession
from tests.harness.loop import in_loop
from tests.unit.brokers.nats.links import STREAM, add_stream
from tests.unit.brokers.nats.server import FakeNats
from tests.unit.brokers.nats.sessions import Told, session_on

Callback = Callable[[Msg], Awaitable[None]]


def callbacks(session: NatsSession, monkeypatch: pytest.MonkeyPatch) -> list[Callback]:
    """Those with which the session listens from now on."""
    found: list[Callback] = []
    listen = session.link.listen

    async def noted(subject: str, callback: Callback) -> Any:
        found.append(callback)
        return await listen(subject, callback)

    monkeypatch.setattr(session.link, "listen", noted)
    return found


def announcement(session: NatsSession, sequence: int, last: int) -> Msg:
    headers = {
        "Nats-Stream": STREAM,
        "Nats-Sequence": str(sequence),
        "Nats-Last-Sequence": str(last),
        "EventHub": "7 1000",
    }
    return Msg(session.link._client.library, "p.live.log.a", data=b"1", headers=headers)


@in_loop
async def test_a_session_that_has_ended_delivers_nothing_and_tells_no_gap(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server, told = FakeNats(), Told()
    add_stream(server)
    async with session_on(server, told) as session:
        found = callbacks(session, monkeypatch)
        await session.open("log.a")
        (deliver,) = found
        await deliver(announcement(session, 1, 0))
        assert (len(told.events), told.gaps) == (1, [])
        session.end()
        await deliver(announcement(session, 2, 1))
        await deliver(announcement(session, 9, 8))
        assert (len(told.events), told.gaps) == (1, [])


@in_loop
async def test_a_message_of_a_closed_subscription_is_not_passed_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server, told = FakeNats(), Told()
    add_stream(server)
    async with session_on(server, told) as session:
        found = callbacks(session, monkeypatch)
        await session.open("log.a")
        await session.close("log.a")
        await session.open("log.a")
        first, second = found
        await first(announcement(session, 1, 0))
        assert (told.events, told.gaps) == ([], [])
        await second(announcement(session, 1, 0))
        assert len(told.events) == 1
