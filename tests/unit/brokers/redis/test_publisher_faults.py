"""brokers/redis/publisher.py: what is counted, withdrawn and sent again when something fails."""

import asyncio

import pytest

from eventhub.brokers.redis import publisher as publisher_module
from eventhub.brokers.redis.channel_queue import CALL_EVENTS
from eventhub.brokers.redis.link import ErrorReply, LinkLost, pack
from eventhub.brokers.redis.publisher import EVENT_OVERHEAD, RedisPublisher
from eventhub.brokers.redis.url import ServerAddress
from eventhub.errors import BrokerUnavailable, Internal
from eventhub.events.event import NewEvent, Receipt
from tests.harness.eventually import async_eventually
from tests.unit.brokers.redis.publishing import TIMEOUT, Publish, Server, publishing, turns

OTHER = ServerAddress("other", 7000)


def nothing_waits(publisher: RedisPublisher) -> bool:
    return (publisher._waiting_bytes, publisher._queues) == (0, {})


def test_bytes_of_events_that_were_stored_refused_or_lost_no_longer_wait() -> None:
    async def scenario(server: Server, publisher: RedisPublisher, publish: Publish) -> None:
        for reply in ([b"e", 1, 2], ErrorReply("OOM"), LinkLost("cut"), [b"e"], 7):
            task = publish("1", "2" * 50)
            await turns()
            assert publisher._waiting_bytes == 51 + 2 * EVENT_OVERHEAD
            server.answer(reply)
            await asyncio.gather(task, return_exceptions=True)
            assert nothing_waits(publisher), reply

    publishing(scenario)


def test_bytes_of_events_that_were_given_up_or_cancelled_no_longer_wait() -> None:
    async def scenario(server: Server, publisher: RedisPublisher, publish: Publish) -> None:
        server.up = False
        with pytest.raises(BrokerUnavailable):
            await publish("1", "2")
        assert nothing_waits(publisher)
        cancelled = publish("1", "2")
        await turns()
        cancelled.cancel()
        await asyncio.gather(cancelled, return_exceptions=True)
        assert nothing_waits(publisher)

    publishing(scenario, timeout=0.01)


def test_bytes_of_events_that_were_sent_and_given_up_wait_for_their_answer() -> None:
    async def scenario(server: Server, publisher: RedisPublisher, publish: Publish) -> None:
        first = publish("1")
        await turns()
        second = publish("22", "33")
        await turns()
        for task in (first, second):
            task.cancel()
        await asyncio.gather(first, second, return_exceptions=True)
        assert publisher._waiting_bytes == 1 + EVENT_OVERHEAD
        assert list(publisher._queues) == ["c"]
        server.answer([b"e", 1])
        assert nothing_waits(publisher)
        assert server.calls == []

    publishing(scenario)


def test_many_calls_that_time_out_do_not_refuse_those_after_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(publisher_module, "WAITING_BYTES", 1000)

    async def scenario(server: Server, publisher: RedisPublisher, publish: Publish) -> None:
        server.up = False
        for _ in range(5):
            with pytest.raises(BrokerUnavailable, match="not stored: away"):
                await publish("1" * 900)
        server.up = True
        task = publish("1")
        await turns()
        server.answer([b"e", 1])
        assert len(await task) == 1

    publishing(scenario, timeout=0.01)


def test_a_publish_is_refused_only_above_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher_module, "WAITING_BYTES", 2 * (1 + EVENT_OVERHEAD))

    async def scenario(server: Server, publisher: RedisPublisher, publish: Publish) -> None:
        tasks = [publish("1"), publish("2"), publish("3")]
        await turns()
        assert not any(task.done() for task in tasks), "the third found exactly the bound"
        with pytest.raises(BrokerUnavailable, match=r"903 bytes .*at most 602 may"):
            await publish("4")
        server.answer([b"e", 1, 2, 3])
        await asyncio.gather(*tasks)

    publishing(scenario)


def test_a_publish_of_nothing_is_answered_at_once() -> None:
    async def scenario(server: Server, publisher: RedisPublisher, publish: Publish) -> None:
        assert await publish() == []

    publishing(scenario)


def test_a_connection_that_comes_sends_what_waits_and_nothing_twice() -> None:
    async def scenario(server: Server, publisher: RedisPublisher, publish: Publish) -> None:
        under_way = publish("0", channel="d")
        await turns()
        server.up = False
        waiting = publish("1")
        await turns()
        server.up = True
        publisher.resume()
        publisher.resume()
        await turns()
        assert [[event.data for event in events] for events, _ in server.calls] == [[b"0"], [b"1"]]
        server.answer([b"e", 1])
        server.answer([b"e", 1])
        await asyncio.gather(under_way, waiting)
        assert nothing_waits(publisher)

    publishing(scenario)


def test_an_event_that_cannot_be_encoded_is_refused_alone_and_the_others_keep_their_order() -> None:
    async def scenario(server: Server, publisher: RedisPublisher, publish: Publish) -> None:
        server.broken = {b"bad"}
        mixed, good = publish("1", "bad", "2"), publish("3")
        await turns()
        assert [event.data for event in server.calls[0][0]] == [b"1", b"2", b"3"]
        server.answer([b"e", 1, 2, 3])
        first, refused, second = await mixed
        assert isinstance(first, Receipt)
        assert isinstance(refused, Internal)
        assert isinstance(second, Receipt)
        assert second.position.offset == 2
        assert len(await good) == 1
        assert nothing_waits(publisher)

    publishing(scenario)


def test_a_call_of_which_nothing_can_be_encoded_raises_the_reason() -> None:
    async def scenario(server: Server, publisher: RedisPublisher, publish: Publish) -> None:
        server.broken = {b"bad"}
        with pytest.raises(ZeroDivisionError):
            await publish("bad")
        assert (server.calls, nothing_waits(publisher)) == ([], True)

    publishing(scenario)


def test_events_that_can_be_encoded_alone_and_not_together_are_all_refused() -> None:
    async def scenario(server: Server, publisher: RedisPublisher, publish: Publish) -> None:
        server.largest = 1
        with pytest.raises(ZeroDivisionError):
            await publish("1", "2")
        assert (server.calls, nothing_waits(publisher)) == ([], True)

    publishing(scenario)


def test_an_answer_that_cannot_be_read_leaves_the_outcome_open_and_the_queue_goes_on() -> None:
    async def scenario(server: Server, publisher: RedisPublisher, publish: Publish) -> None:
        first = publish("1")
        await turns()
        second = publish("2")
        await turns()
        server.answer([b"e", b"rubbish"])
        with pytest.raises(BrokerUnavailable, match=r"not known.*something unexpected"):
            await first
        assert [event.data for event in server.calls[0][0]] == [b"2"]
        server.answer([b"e", 1])
        assert len(await second) == 1
        assert nothing_waits(publisher)

    publishing(scenario)


def test_a_redirect_is_followed_with_asking_where_that_server_is_known() -> None:
    async def scenario(server: Server, publisher: RedisPublisher, publish: Publish) -> None:
        task = publish("1")
        await turns()
        server.known = {OTHER}
        server.answer(ErrorReply("ASK 5 other:7000"))
        assert server.sent[-2] == (OTHER, pack("ASKING"))
        assert server.sent[-1][0] == OTHER
        server.answer([b"e", 1])
        assert len(await task) == 1
        assert server.refusals == ["ASK"]

    publishing(scenario)


@pytest.mark.parametrize("reply", ["ASK 5 other:7000", "MOVED 5 other:7000", "LOADING"])
def test_what_was_refused_for_now_is_sent_again_later(
    reply: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher_module, "RETRY_SECONDS", 0)

    async def scenario(server: Server, publisher: RedisPublisher, publish: Publish) -> None:
        task = publish("1")
        await turns()
        asked = len(server.sent)
        server.known = set() if reply.startswith("ASK") else {OTHER}
        server.answer(ErrorReply(reply))
        assert len(server.sent) == asked, "not at once"
        await async_eventually("the next attempt", lambda: server.calls)
        assert server.sent[-1][0] is None
        server.answer([b"e", 1])
        assert len(await task) == 1

    publishing(scenario)


def test_a_large_call_that_is_lost_half_way_gives_the_results_that_are_known() -> None:
    async def scenario(server: Server, publisher: RedisPublisher, publish: Publish) -> None:
        task = publish(*map(str, range(CALL_EVENTS + 2)))
        await turns()
        server.answer([b"e", *range(CALL_EVENTS)])
        await asyncio.sleep(TIMEOUT + 1)
        results = await task
        assert isinstance(results[0], Receipt)
        for result in results[CALL_EVENTS:]:
            assert isinstance(result, BrokerUnavailable)
            assert "is not known" in result.message

    publishing(scenario)


def test_of_a_call_that_is_given_up_each_event_says_whether_it_was_sent() -> None:
    async def scenario(server: Server, publisher: RedisPublisher, publish: Publish) -> None:
        server.reason = None
        events = [NewEvent(channel, b"1", 1) for channel in "abc"]
        task = asyncio.create_task(publisher.publish(events))
        await turns()
        server.answer([b"e", 1])
        server.up = False
        server.answer(ErrorReply("LOADING"))
        await asyncio.sleep(TIMEOUT + 1)
        stored, waiting, sent = await task
        assert isinstance(stored, Receipt)
        assert isinstance(waiting, BrokerUnavailable)
        assert isinstance(sent, BrokerUnavailable)
        assert waiting.message == "the event is not stored: no answer in time"
        assert "is not known" in sent.message

    publishing(scenario)
