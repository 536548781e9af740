"""brokers/nats/idempotency_keys.py: one record for each key, whoever writes it first."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from eventhub.brokers.idempotency import KEY_AGE
from eventhub.brokers.nats.answers import JetStreamError
from eventhub.brokers.nats.idempotency_keys import ATTEMPTS, IdempotencyKeys
from eventhub.brokers.nats.streams import NatsStreams
from eventhub.errors import BrokerUnavailable, IdempotencyConflict
from eventhub.events.channel_types import Retention
from eventhub.events.event import NewEvent, Position, Receipt
from tests.harness.clock import Clock
from tests.harness.loop import in_loop
from tests.unit.brokers.nats.jetstream import Stored
from tests.unit.brokers.nats.links import SUBJECTS, linked
from tests.unit.brokers.nats.server import FakeNats

FIRST = Position("e", 65_543)


@asynccontextmanager
async def keys_on(server: FakeNats, clock: Clock) -> AsyncIterator[IdempotencyKeys]:
    async with linked(server) as link:
        streams = NatsStreams(link, SUBJECTS, lambda channel: Retention(10, None), None, -1)
        yield IdempotencyKeys(link, streams, SUBJECTS, clock)


def event(clock: Clock, data: bytes = b"1", key: str = "k", channel: str = "log.a") -> NewEvent:
    return NewEvent(channel, data, clock(), None, key)


def records(server: FakeNats) -> list[Stored]:
    return server.jetstream.stream("keys").messages


@in_loop
async def test_the_first_claim_writes_the_record_and_every_other_finds_it() -> None:
    server, clock = FakeNats(), Clock()
    async with keys_on(server, clock) as keys:
        first = await keys.claim(event(clock))
        clock.advance(5)
        again = await keys.claim(event(clock))
        assert (first, first.receipt) == (again, None)
        assert (first.record, first.time, len(first.id)) == (1, clock() - 5000, 16)
        (record,) = records(server)
        assert json.loads(record.data) == [first.digest, first.time, first.stamp, first.id, None]
        assert record.headers["Nats-Expected-Last-Subject-Sequence"] == "0"
        assert record.headers["Nats-Expected-Stream"].startswith("p-keys-")
        assert record.subject == first.subject == SUBJECTS.key("log.a", "k")


@in_loop
async def test_keys_belong_to_their_channel() -> None:
    server, clock = FakeNats(), Clock()
    async with keys_on(server, clock) as keys:
        claims = [
            await keys.claim(event(clock)),
            await keys.claim(event(clock, key="other")),
            await keys.claim(event(clock, channel="log.b")),
        ]
        assert len({claim.id for claim in claims}) == 3


@in_loop
async def test_many_nodes_that_claim_a_key_at_once_have_one_claim() -> None:
    server, clock = FakeNats(), Clock()
    async with keys_on(server, clock) as keys:
        claims = await asyncio.gather(*(keys.claim(event(clock)) for _ in range(5)))
        assert len({claim.id for claim in claims}) == 1
        assert len(records(server)) == 1


@in_loop
async def test_a_record_of_what_is_stored_gives_the_first_receipt() -> None:
    server, clock = FakeNats(), Clock()
    async with keys_on(server, clock) as keys:
        claim = await keys.claim(event(clock))
        assert await keys.holder(event(clock)) is None
        await keys.stored(claim, FIRST)
        again = await keys.claim(event(clock))
        assert again.receipt == Receipt(FIRST, claim.time, replayed=True)
        assert (again.id, again.stamp) == (claim.id, claim.stamp)
        assert await keys.holder(event(clock)) == FIRST
        assert await keys.holder(event(clock, key="other")) is None


@in_loop
async def test_a_position_is_written_over_its_own_record_only() -> None:
    server, clock = FakeNats(), Clock()
    async with keys_on(server, clock) as keys:
        claim = await keys.claim(event(clock))
        await keys.stored(claim, FIRST)
        with pytest.raises(JetStreamError):
            await keys.stored(claim, Position("e", 9))
        assert await keys.holder(event(clock)) == FIRST


@in_loop
async def test_other_data_is_a_conflict_that_names_the_first_event_once_it_is_stored() -> None:
    server, clock = FakeNats(), Clock()
    async with keys_on(server, clock) as keys:
        claim = await keys.claim(event(clock))
        with pytest.raises(IdempotencyConflict) as conflict:
            await keys.claim(event(clock, b"2"))
        assert conflict.value.id is None
        await keys.stored(claim, FIRST)
        with pytest.raises(IdempotencyConflict) as conflict:
            await keys.claim(event(clock, b"2"))
        assert conflict.value.id == str(FIRST)


@pytest.mark.parametrize("data", [b"1", b"2"])
@in_loop
async def test_a_record_is_outdated_after_the_age_of_keys(data: bytes) -> None:
    server, clock = FakeNats(), Clock()
    async with keys_on(server, clock) as keys:
        first = await keys.claim(event(clock))
        clock.advance(KEY_AGE / 1000)
        assert (await keys.claim(event(clock))).id == first.id
        clock.advance(0.001)
        second = await keys.claim(event(clock, data))
        assert (second.id != first.id, second.record, second.time) == (True, 2, clock())


@in_loop
async def test_a_record_that_vanishes_meanwhile_is_written_anew() -> None:
    server, clock = FakeNats(), Clock()

    def vanish(subject: str, body: bytes) -> Mapping[str, Any]:
        server.jetstream.stream("keys").remove(lambda stored: True)
        return server.jetstream.api(subject, body)

    async with keys_on(server, clock) as keys:
        first = await keys.claim(event(clock))
        server.answers["STREAM.MSG.GET"] = vanish
        assert (await keys.claim(event(clock))).id != first.id


@in_loop
async def test_a_key_that_others_write_again_and_again_is_given_up() -> None:
    server, clock = FakeNats(), Clock()
    wrong = {"error": {"code": 400, "err_code": 10071, "description": "wrong last sequence"}}
    async with keys_on(server, clock) as keys:
        server.answers["p.key."] = lambda subject, body: wrong
        with pytest.raises(BrokerUnavailable, match="many publishers"):
            await keys.claim(event(clock))
        assert server.asked("p.key.") == server.asked("STREAM.MSG.GET") == ATTEMPTS


@in_loop
async def test_other_refusals_are_told_at_once() -> None:
    server, clock = FakeNats(), Clock()
    full = {"error": {"code": 503, "err_code": 10077, "description": "maximum bytes exceeded"}}
    async with keys_on(server, clock) as keys:
        await keys.claim(event(clock))
        server.answers["p.key."] = lambda subject, body: full
        with pytest.raises(JetStreamError, match="maximum bytes"):
            await keys.claim(event(clock, key="other"))
        assert server.asked("p.key.") == 2
        server.answers["STREAM.MSG.GET"] = lambda subject, body: full
        with pytest.raises(JetStreamError, match="maximum bytes"):
            await keys.holder(event(clock))


@pytest.mark.parametrize("content", [b"no", b"[1]", b"7", b'["d",1,2,"i",3]'])
@in_loop
async def test_a_record_that_someone_else_wrote_is_not_taken_for_a_claim(content: bytes) -> None:
    server, clock = FakeNats(), Clock()
    async with keys_on(server, clock) as keys:
        await keys.claim(event(clock))
        records(server)[0].data = content
        with pytest.raises(BrokerUnavailable, match="cannot be read; use a new key"):
            await keys.claim(event(clock))
