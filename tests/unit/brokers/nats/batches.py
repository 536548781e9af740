"""Calls of `publish` over a session on a fake server."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from eventhub.brokers.nats.publish_batch import PublishBatch
from eventhub.brokers.nats.session import NatsSession
from eventhub.events.event import NewEvent
from tests.unit.brokers.nats.jetstream import Stored
from tests.unit.brokers.nats.links import STREAM, add_stream
from tests.unit.brokers.nats.server import FakeNats
from tests.unit.brokers.nats.sessions import Told, session_on

NOW = 1_795_000_000_000


def event(text: bytes = b"1", key: str | None = None, channel: str = "log.a") -> NewEvent:
    return NewEvent(channel, text, NOW, None, key)


def refusal(code: int) -> Mapping[str, Any]:
    return {"error": {"code": 400, "err_code": code, "description": "no"}}


def stored(server: FakeNats) -> list[Stored]:
    return server.jetstream.streams[STREAM].messages


@asynccontextmanager
async def session_with_stream() -> AsyncIterator[tuple[FakeNats, NatsSession]]:
    server = FakeNats()
    add_stream(server)
    async with session_on(server, Told()) as session:
        yield server, session


async def attempted(session: NatsSession, *events: NewEvent) -> PublishBatch:
    batch = PublishBatch(events)
    async with asyncio.timeout(30):
        await batch.attempt(session)
    return batch


def answer_in_order(server: FakeNats, answers: Sequence[Mapping[str, Any] | None]) -> None:
    """Answer the events so, one after the other; None stores the event."""
    left = list(answers)

    def answer(subject: str, body: bytes) -> Mapping[str, Any]:
        found = left.pop(0) if left else None
        if found is None:
            stream = server.jetstream.streams[STREAM]
            return server.jetstream.store(stream, subject, {"EventHub": f"7 {NOW}"}, body)
        return found

    server.answers["p.log."] = answer
