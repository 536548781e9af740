"""brokers/redis/publisher.py: how publishes are grouped, and what refusals do."""

import asyncio

import pytest

from eventhub.brokers.redis.channel_queue import CALL_EVENTS
from eventhub.brokers.redis.link import ErrorReply, LinkLost
from eventhub.brokers.redis.publisher import RedisPublisher
from eventhub.brokers.redis.url import ServerAddress
from eventhub.errors import (
    BrokerUnavailable,
    IdempotencyConflict,
)
from eventhub.events.event import NewEvent, Position, Receipt
from tests.unit.brokers.redis.publishing import Publish, Server, publishing, turns


def test_publishes_of_a_tick_share_a_call_and_those_that_come_meanwhile_the_next() -> None:
    async def scenario(server: Server, publisher: RedisPublisher, publish: Publish) -> None:
        tasks = [publish("1"), publish("2", "3"), publish("x", channel="d")]
        await turns()
        assert [[event.data for event in events] for events, _ in server.calls] == [
            [b"1", b"2", b"3"],
            [b"x"],
        ]
        tasks.append(publish("4"))
        await turns()
        assert len(server.calls) == 2, "one call of a channel at a time"
        server.answer([b"e", 1, 2, 3])
        assert [event.data for event in server.calls[1][0]] == [b"4"]
        server.answer([b"e", 1])
        server.answer([b"e", b"1 9"])
        results = await asyncio.gather(*tasks)
        assert results[1] == [Receipt(Position("e", 2), 1), Receipt(Position("e", 3), 1)]
        assert results[3] == [Receipt(Position("e", 1), 9, replayed=True)]

    publishing(scenario)


def test_a_call_has_a_bound_and_order_is_kept() -> None:
    async def scenario(server: Server, publisher: RedisPublisher, publish: Publish) -> None:
        task = publish(*map(str, range(CALL_EVENTS + 1)))
        await turns()
        assert [len(events) for events, _ in server.calls] == [CALL_EVENTS]
        server.answer([b"e", *range(CALL_EVENTS)])
        server.answer([b"e", b"7 conflict"])
        results = await task
        assert isinstance(results[-1], IdempotencyConflict)
        assert results[-1].id == "e-7"
        assert len(results) == CALL_EVENTS + 1

    publishing(scenario)


def test_what_a_server_refuses_for_now_is_sent_again_first() -> None:
    async def scenario(server: Server, publisher: RedisPublisher, publish: Publish) -> None:
        first = publish("1")
        await turns()
        second = publish("2")
        await turns()
        server.answer(ErrorReply("NOSCRIPT no such script"))
        assert [event.data for event in server.calls[0][0]] == [b"1", b"2"]
        server.answer([b"e", 1, 2])
        assert (await first, await second) == (
            [Receipt(Position("e", 1), 1)],
            [Receipt(Position("e", 2), 1)],
        )
        assert server.refusals == ["NOSCRIPT"]

    publishing(scenario)


def test_an_answer_that_is_lost_is_asked_for_again_only_where_there_is_a_key() -> None:
    async def scenario(server: Server, publisher: RedisPublisher, publish: Publish) -> None:
        plain, keyed = publish("1"), publish("2", key="k")
        await turns()
        server.answer(LinkLost("cut"))
        with pytest.raises(BrokerUnavailable, match=r"not known.*cut"):
            await plain
        assert [event.data for event in server.calls[0][0]] == [b"2"]
        server.answer([b"e", 1])
        assert len(await keyed) == 1

    publishing(scenario)


def test_what_could_not_be_sent_in_time_is_never_sent() -> None:
    async def scenario(server: Server, publisher: RedisPublisher, publish: Publish) -> None:
        server.up = False
        with pytest.raises(BrokerUnavailable, match="the event is not stored: away"):
            await publish("1")
        server.up = True
        publisher.resume()
        await turns()
        assert server.calls == []

    publishing(scenario, timeout=0.01)


def test_what_was_sent_and_not_answered_in_time_is_not_known() -> None:
    async def scenario(server: Server, publisher: RedisPublisher, publish: Publish) -> None:
        with pytest.raises(BrokerUnavailable, match="not known"):
            await publish("1")

    publishing(scenario, timeout=0.01)


def test_results_that_are_known_are_given_when_others_are_not() -> None:
    async def scenario(server: Server, publisher: RedisPublisher, publish: Publish) -> None:
        task = asyncio.create_task(
            publisher.publish([NewEvent("c", b"1", 1), NewEvent("d", b"2", 1)])
        )
        await turns()
        server.answer([b"e", 1])
        server.answer(ErrorReply("OOM command not allowed"))
        stored, refused = await task
        assert stored == Receipt(Position("e", 1), 1)
        assert isinstance(refused, BrokerUnavailable)
        assert "maxmemory" in refused.message

    publishing(scenario)


def test_a_cancelled_publish_is_withdrawn_and_disturbs_no_other() -> None:
    async def scenario(server: Server, publisher: RedisPublisher, publish: Publish) -> None:
        first = publish("1")
        await turns()
        gone, other = publish("2"), publish("3")
        await turns()
        gone.cancel()
        await turns()
        server.answer([b"e", 1])
        assert [event.data for event in server.calls[0][0]] == [b"3"]
        server.answer([b"e", 2])
        assert (len(await first), len(await other)) == (1, 1)

    publishing(scenario)


def test_too_much_that_waits_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eventhub.brokers.redis.publisher.WAITING_BYTES", 1000)

    async def scenario(server: Server, publisher: RedisPublisher, publish: Publish) -> None:
        first = publish("1" * 1000)
        await turns()
        with pytest.raises(BrokerUnavailable, match="wait for Redis already"):
            await publish("2")
        server.answer([b"e", 1])
        await first
        third = publish("3")
        await turns()
        server.answer([b"e", 2])
        assert len(await third) == 1

    publishing(scenario)


@pytest.mark.parametrize("refusal", ["NOSCRIPT no such script", "ASK 7 127.0.0.1:7000"])
def test_events_that_are_sent_again_keep_their_order(refusal: str) -> None:
    async def scenario(server: Server, publisher: RedisPublisher, publish: Publish) -> None:
        server.known.add(ServerAddress("127.0.0.1", 7000))
        first = publish("1", "2", "3")
        await turns()
        second = publish("4")
        await turns()
        server.answer(ErrorReply(refusal))
        assert [event.data for event in server.calls[0][0]] == [b"1", b"2", b"3", b"4"]
        server.answer([b"e", 1, 2, 3, 4])
        assert [len(await first), len(await second)] == [3, 1]

    publishing(scenario)


def test_events_with_keys_whose_answer_was_lost_keep_their_order() -> None:
    async def scenario(server: Server, publisher: RedisPublisher, publish: Publish) -> None:
        tasks = [publish(text, key=f"k{text}") for text in "123"]
        await turns()
        tasks.append(publish("4"))
        server.answer(LinkLost("cut"))
        assert [event.data for event in server.calls[0][0]] == [b"1", b"2", b"3"]
        await turns()
        server.answer([b"e", 1, 2, 3])
        assert [event.data for event in server.calls[0][0]] == [b"4"]
        server.answer([b"e", 4])
        await asyncio.gather(*tasks)

    publishing(scenario)


def test_when_there_is_a_connection_again_nothing_under_way_is_sent_twice() -> None:
    async def scenario(server: Server, publisher: RedisPublisher, publish: Publish) -> None:
        first, second = publish("1"), publish("x", channel="d")
        await turns()
        third = publish("2")
        publisher.resume()
        publisher.resume()
        await turns()
        assert len(server.calls) == 2
        server.answer([b"e", 1])
        server.answer([b"e", 1])
        server.answer([b"e", 2])
        assert server.calls == []
        await asyncio.gather(first, second, third)

    publishing(scenario)
