"""brokers/nats/log.py: requests about one channel's messages."""

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest

from eventhub.brokers.base import PAGE_BYTES
from eventhub.brokers.nats.answers import JetStreamError
from eventhub.brokers.nats.message import offset_of
from eventhub.brokers.nats.subjects import NANOSECONDS
from eventhub.errors import BrokerUnavailable
from tests.harness.loop import in_loop
from tests.unit.brokers.nats.links import STREAM, add_stream, linked, log_on, put
from tests.unit.brokers.nats.server import FakeNats

FULL = {"error": {"code": 500, "err_code": 10023, "description": "insufficient resources"}}


def server_with(*data: bytes) -> FakeNats:
    """A server whose channel log.a has these events."""
    server = FakeNats()
    add_stream(server)
    for text in data:
        put(server, "log.a", text)
    return server


@in_loop
async def test_the_newest_message_and_the_first_after_a_sequence() -> None:
    server = server_with(b"1", b"2")
    put(server, "log.b")
    put(server, "log.a", b"4", time=2000, stamp=9)
    async with linked(server) as link:
        log = log_on(link)
        assert log.epoch == "00000001"
        newest = await log.newest()
        assert newest is not None
        assert (newest.sequence, newest.offset) == (4, offset_of(4, 9))
        assert (newest.time, newest.data) == (2000, b"4")
        following = [await log.following(sequence) for sequence in range(5)]
        assert [found and found.sequence for found in following] == [1, 2, 4, 4, None]


@in_loop
async def test_a_refusal_is_not_an_empty_channel() -> None:
    server = server_with()
    async with linked(server) as link:
        assert await log_on(link).newest() is None
        server.answers["STREAM.MSG.GET"] = lambda subject, body: FULL
        with pytest.raises(JetStreamError):
            await log_on(link).newest()


@in_loop
async def test_the_end_of_an_empty_channel_is_before_the_streams_next_message() -> None:
    server = server_with()
    put(server, "log.b")
    async with linked(server) as link:
        assert await log_on(link).end() == (1, offset_of(2, 0))
        put(server, "log.a")
        assert await log_on(link).end() == (2, offset_of(2, 7))


@in_loop
async def test_an_event_that_is_stored_while_the_end_is_looked_for_is_the_end() -> None:
    server = server_with()

    def store_first(subject: str, body: bytes) -> Mapping[str, Any]:
        put(server, "log.a")
        return server.jetstream.api(subject, body)

    server.answers["STREAM.INFO"] = store_first
    async with linked(server) as link:
        assert await log_on(link).end() == (1, offset_of(1, 7))


@in_loop
async def test_a_reader_has_a_cheap_consumer_that_ends_with_it() -> None:
    server, made = server_with(b"1", b"2", b"3"), dict[str, Any]()

    def note(subject: str, body: bytes) -> Mapping[str, Any]:
        made.update(json.loads(body))
        return server.jetstream.api(subject, body)

    server.answers["CONSUMER.CREATE"] = note
    async with linked(server) as link:
        async with log_on(link).reader(2) as reader:
            assert reader.total == 2
            assert list(server.jetstream.streams[STREAM].consumers) == [reader.name]
        with suppress(ZeroDivisionError):
            async with log_on(link).reader(0) as all_of_it:
                assert all_of_it.total == 3
                assert all_of_it.name != reader.name
                raise ZeroDivisionError
        await link.request("INFO")  # behind the deletion
        assert server.jetstream.streams[STREAM].consumers == {}
    assert made["stream_name"] == STREAM
    assert made["config"] == {
        "name": all_of_it.name,
        "filter_subject": "p.log.log.a",
        "deliver_policy": "by_start_sequence",
        "opt_start_seq": 1,
        "ack_policy": "none",
        "replay_policy": "instant",
        "num_replicas": 1,
        "mem_storage": True,
        "inactive_threshold": 10 * NANOSECONDS,
    }


@in_loop
async def test_a_server_that_lags_behind_where_a_reader_begins_is_refused() -> None:
    server = server_with(b"1", b"2", b"3", b"4")
    stream = server.jetstream.streams[STREAM]
    async with linked(server) as link:
        stream.lag = 2
        async with log_on(link).reader(3) as reader:
            assert reader.total == 2
        with pytest.raises(BrokerUnavailable, match="has not caught up"):
            async with log_on(link).reader(4):
                raise AssertionError
        await link.request("INFO")
        assert stream.consumers == {}


@pytest.mark.parametrize(
    ("skip", "limit", "newest", "found"),
    [
        (0, 2, 4, [1, 2]),
        (1, 2, 4, [1, 2, 3]),
        (0, 9, 4, [1, 2, 3, 4]),
        (2, 9, 4, [1, 2, 3, 4]),
        (0, 1, 4, [1]),
        (0, 9, 2, [1, 2]),
        (0, 9, 3, [1, 2]),  # 3 is of another channel
    ],
)
@in_loop
async def test_messages_come_up_to_a_number_and_to_the_newest(
    skip: int, limit: int, newest: int, found: list[int]
) -> None:
    server = server_with(b"1", b"2")
    stream = server.jetstream.streams[STREAM]
    put(server, "log.b")
    for _ in range(2):
        put(server, "log.a")
    texts = {1: 1, 2: 2, 4: 3, 5: 4}
    last = {4: 5}.get(newest, newest)
    async with linked(server) as link:
        log = log_on(link)
        async with log.reader(1) as reader:
            messages = await log.pull(reader, skip, limit, last)
        assert [texts[stored.sequence] for stored in messages] == found
        assert stream.last == 5


@in_loop
async def test_large_messages_come_in_smaller_pages_but_at_least_one() -> None:
    half, whole = b"1" * (PAGE_BYTES // 2), b"1" * (PAGE_BYTES + 1)
    server = server_with(half, half, b"1", whole, b"1")
    async with linked(server) as link:
        log = log_on(link)
        for begin, skip, found in ((1, 0, [1, 2]), (1, 2, [1, 2, 3]), (4, 0, [4]), (3, 1, [3, 4])):
            async with log.reader(begin) as reader:
                messages = await log.pull(reader, skip, 9, 5)
            assert [stored.sequence for stored in messages] == found


@in_loop
async def test_any_other_status_is_told() -> None:
    server = server_with(b"1")
    server.answers["CONSUMER.MSG.NEXT"] = lambda subject, body: {"status": 408}
    async with linked(server) as link:
        log = log_on(link)
        with pytest.raises(BrokerUnavailable, match="status 408"):
            async with log.reader(1) as reader:
                await log.pull(reader, 0, 1, 1)


@in_loop
async def test_a_request_for_messages_ends_by_itself_at_the_server() -> None:
    server, asked = server_with(b"1", b"2", b"3"), list[dict[str, int]]()

    def note(subject: str, body: bytes) -> None:
        asked.append(json.loads(body))
        for stored in server.jetstream.streams[STREAM].messages:
            reply = f"$JS.ACK.{STREAM}.{subject.split('.')[-1]}.1.{stored.sequence}.1.0.0"
            (connection,) = server.connections
            sid = next(iter(connection.subscriptions))
            connection.give(sid, stored.subject, reply, stored.headers, stored.data)

    server.answers["CONSUMER.MSG.NEXT"] = note
    async with linked(server) as link:
        log = log_on(link)
        async with log.reader(1) as reader:
            messages = await log.pull(reader, 1, 1, 3)
    assert asked == [{"batch": 2, "expires": 10 * NANOSECONDS, "max_bytes": PAGE_BYTES}]
    assert [stored.sequence for stored in messages] == [1, 2]
