"""A session on a fake server, and what it tells."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from eventhub.brokers.nats.idempotency_keys import IdempotencyKeys
from eventhub.brokers.nats.link import NatsLink
from eventhub.brokers.nats.session import NatsSession
from eventhub.brokers.nats.signals import NatsSignals
from eventhub.brokers.nats.streams import NatsStreams
from eventhub.events.channel_types import Retention
from eventhub.events.event import Event
from eventhub.events.signal import Signal
from tests.harness.clock import Clock
from tests.unit.brokers.nats.links import SUBJECTS, linked
from tests.unit.brokers.nats.server import FakeNats


@dataclass
class Told:
    """What a session delivered, and the gaps that it told."""

    events: list[Event] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)
    signals: list[Signal] = field(default_factory=list)

    @property
    def texts(self) -> list[bytes]:
        return [event.data for event in self.events]


def session_over(link: NatsLink, told: Told, clock: Clock | None = None) -> NatsSession:
    def retention(channel: str) -> Retention:
        if channel == "bad.a":
            raise ZeroDivisionError
        return Retention(10, None)

    streams = NatsStreams(link, SUBJECTS, retention, None, -1)
    keys = IdempotencyKeys(link, streams, SUBJECTS, clock or Clock())
    deliver, gap = told.events.append, told.gaps.append
    signals = NatsSignals(link, SUBJECTS, told.signals.append)
    return NatsSession(link, SUBJECTS, streams, keys, retention, deliver, gap, signals)


@asynccontextmanager
async def session_on(server: FakeNats, told: Told) -> AsyncIterator[NatsSession]:
    async with linked(server) as link:
        yield session_over(link, told)
