"""A link to a fake server, and what tests send over it."""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from nats.aio.msg import Msg

from eventhub.brokers.nats.link import NatsLink
from eventhub.brokers.nats.log import NatsLog
from eventhub.brokers.nats.streams import NatsStream
from eventhub.brokers.nats.subjects import Subjects
from eventhub.brokers.records import RecordReader
from eventhub.events.channel_types import Retention
from tests.unit.brokers.listening import serving
from tests.unit.brokers.nats.server import FakeNats

SUBJECTS = Subjects("p")
STREAM = "p-log-log-00000001"
"""The stream of `add_stream`."""


def nothing(what: object) -> None:
    """Of no interest here."""


async def ignore(message: Msg) -> None:
    """Of no interest here."""


@asynccontextmanager
async def linked(
    server: FakeNats,
    login: Mapping[str, Any] | None = None,
    on_slow: Callable[[str], None] = nothing,
) -> AsyncIterator[NatsLink]:
    """An open link to the server, which runs as long."""
    async with serving(server):
        link = NatsLink(on_slow)
        await link.open(server.address, login or {})
        try:
            yield link
        finally:
            await link.close()


def add_stream(server: FakeNats, name: str = STREAM, **config: Any) -> None:
    """A stream of the channel type `log`, as another node made it."""
    wanted = {
        "name": name,
        "subjects": ["p.log.log", "p.log.log.>"],
        "max_msgs_per_subject": 11,
        "republish": {"src": "p.log.>", "dest": "p.live.>"},
        **config,
    }
    answer = server.jetstream.api(f"STREAM.CREATE.{name}", json.dumps(wanted).encode())
    assert "error" not in answer, answer


def put(
    server: FakeNats, channel: str, data: bytes = b"1", time: int = 1000, stamp: int = 7
) -> int:
    """Store an event as another node would. Returns its sequence."""
    subject = f"p.log.{channel}"
    stream = server.jetstream.taking(subject)
    assert stream is not None
    headers = {"EventHub": f"{stamp} {time}"}
    return int(server.jetstream.store(stream, subject, headers, data)["seq"])


def log_on(link: NatsLink, events: int = 10, age: int | None = None) -> NatsLog:
    """The log of `log.a` in the stream of `add_stream`."""
    stream = NatsStream("log-log", STREAM, STREAM[-8:])
    retention, records = Retention(events, age), RecordReader("nats")
    return NatsLog(link, stream, "log.a", SUBJECTS.log("log.a"), retention, records)
