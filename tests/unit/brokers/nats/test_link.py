"""brokers/nats/link.py: each request has one end, and leaves nothing behind."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from nats.aio.msg import Msg
from nats.errors import ConnectionClosedError, SlowConsumerError

from eventhub.brokers.nats import link as link_module
from eventhub.brokers.nats import pending_replies
from eventhub.brokers.nats.answers import NO_RESPONDERS, NOT_SENT, Answer, JetStreamError
from eventhub.brokers.nats.link import NatsLink
from eventhub.brokers.nats.pending_replies import Reply
from eventhub.errors import BrokerUnavailable
from tests.harness.eventually import async_eventually
from tests.harness.loop import in_loop
from tests.unit.brokers.nats.links import add_stream, ignore, linked, nothing, put
from tests.unit.brokers.nats.server import FakeNats


def expected(link: NatsLink) -> int:
    """How many replies the link expects."""
    return len(link._replies._callbacks)


def silent(subject: str, body: bytes) -> None:
    """No answer."""


@in_loop
async def test_a_request_gets_its_answer_or_its_error_and_then_expects_nothing() -> None:
    async with linked(FakeNats()) as link:
        names = link.request("STREAM.NAMES", {"subject": "a"})
        answers = await asyncio.gather(link.request("INFO"), names)
        assert list(answers) == [{"streams": 0}, {"streams": None}]
        with pytest.raises(JetStreamError) as refused:
            await link.request("STREAM.INFO.none")
        assert refused.value.code == 10059
        assert expected(link) == 0


@in_loop
async def test_a_request_that_is_not_answered_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "REQUEST_SECONDS", 0.05)
    server = FakeNats()
    server.answers["INFO"] = silent
    async with linked(server) as link:
        with pytest.raises(BrokerUnavailable, match="JetStream does not answer"):
            await link.request("INFO")
        with pytest.raises(BrokerUnavailable, match="does not send the requested"):
            await link.collect("INFO", "t", {}, lambda message: True)
        assert expected(link) == 0


@in_loop
async def test_a_ping_without_an_answer_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "PING_SECONDS", 0.05)
    server = FakeNats()
    async with linked(server) as link:
        server.mute = True
        with pytest.raises(BrokerUnavailable, match="the NATS server does not answer"):
            await link.ping()


@in_loop
async def test_whoever_waits_for_an_answer_is_told_of_the_connections_end() -> None:
    server = FakeNats()
    server.answers["INFO"] = silent
    async with linked(server) as link:
        waiting = [
            asyncio.create_task(link.request("INFO")),
            asyncio.create_task(link.collect("INFO", "t", {}, lambda message: True)),
            asyncio.create_task(link.store_one("INFO", b"", {})),
        ]
        await async_eventually("the requests", lambda: server.asked("INFO") == 3)
        server.cut()
        async with asyncio.timeout(30):
            ends = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(end) for end in ends] == [BrokerUnavailable] * 3
        assert expected(link) == 0


@in_loop
async def test_on_a_connection_that_has_ended_nothing_is_sent() -> None:
    server = FakeNats()
    async with linked(server) as link:
        subscription = await link.listen("a", ignore)
        await link.close()
        store, store_one = link.store("a", b"1", {}, print), link.store_one("a", b"", {})
        for call in (link.request("INFO"), store, store_one):
            with pytest.raises(JetStreamError) as refused:
                await call
            assert refused.value.code == NOT_SENT
        for other in (link.publish("a", b"1"), link.listen("b", ignore), link.ping()):
            with pytest.raises(BrokerUnavailable):
                await other
        await link.request_without_answer("INFO")
        await link.unlisten(subscription)
        assert (server.requests, expected(link)) == ([], 0)


@in_loop
async def test_a_write_that_fails_is_a_lost_connection_and_takes_no_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object) -> None:
        raise ConnectionClosedError

    async with linked(FakeNats()) as link:
        monkeypatch.setattr(link._client, "publish", broken)
        with pytest.raises(JetStreamError) as refused:
            await link.store("a", b"1", {}, print)
        assert refused.value.code == NOT_SENT
        with pytest.raises(BrokerUnavailable):
            await link.publish("a", b"1")
        assert (link._replies._unacknowledged, expected(link)) == (0, 0)


@in_loop
async def test_messages_are_sent_to_subscribers_until_they_leave() -> None:
    received: list[bytes] = []

    async def take(message: Msg) -> None:
        received.append(message.data)

    async with linked(FakeNats()) as link:
        subscription = await link.listen("a", take)
        await link.publish("a", b"1")
        await async_eventually("the message", lambda: received == [b"1"])
        await link.unlisten(subscription)
        await link.publish("a", b"2")
        await link.request("INFO")
        assert received == [b"1"]


@in_loop
async def test_an_event_is_acknowledged_once_and_its_answer_can_be_forgotten() -> None:
    server, answers = FakeNats(), list[Answer]()
    add_stream(server)
    async with linked(server) as link:
        for _ in range(2):
            await link.store("p.log.log.a", b"1", {}, answers.append)
        forgotten = await link.store("p.log.log.a", b"1", {}, answers.append)
        link.forget(forgotten)
        assert await link.store_one("p.log.log.a", b"1", {}) == {
            "stream": "p-log-log-00000001",
            "seq": 4,
        }
        assert [answer["seq"] for answer in answers if isinstance(answer, dict)] == [1, 2]
        assert (link._replies._unacknowledged, expected(link)) == (0, 0)


@in_loop
async def test_whoever_no_longer_waits_for_an_acknowledgement_leaves_nothing_behind() -> None:
    server = FakeNats()
    server.answers["a"] = silent
    async with linked(server) as link:
        storing = asyncio.create_task(link.store_one("a", b"1", {}))
        await async_eventually("the event", lambda: server.asked("a"))
        storing.cancel()
        await asyncio.gather(storing, return_exceptions=True)
        assert (link._replies._unacknowledged, expected(link)) == (0, 0)


@in_loop
async def test_without_a_stream_nobody_takes_an_event() -> None:
    async with linked(FakeNats()) as link:
        with pytest.raises(JetStreamError) as refused:
            await link.store_one("p.log.log.a", b"1", {})
        assert refused.value.code == NO_RESPONDERS


@in_loop
async def test_events_wait_for_room_in_the_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pending_replies, "WINDOW", 1)
    server, held = FakeNats(), list[bytes]()

    def hold(subject: str, body: bytes) -> None:
        held.append(body)

    server.answers["a"] = hold
    async with linked(server) as link:
        first = await link.store("a", b"1", {}, print)
        second = asyncio.create_task(link.store("a", b"2", {}, print))
        await async_eventually("the first", lambda: held == [b"1"])
        assert not second.done()
        link.forget(first)
        await second
        await async_eventually("the second", lambda: held == [b"1", b"2"])
        assert link._replies._unacknowledged_bytes == len(b"2") + 1


@in_loop
async def test_requested_messages_are_taken_until_it_is_enough() -> None:
    server, taken = FakeNats(), list[bytes]()

    def answer(subject: str, body: bytes) -> Mapping[str, Any]:
        for text in (b"1", b"2", b"3"):
            server.emit(server.inbox + "t", text)
        return {}

    def take(message: Reply) -> bool:
        taken.append(message.data)
        return len(taken) < 2

    server.answers["NEXT"] = answer
    async with linked(server) as link:
        await link.collect("NEXT", "t", {}, take)
        await link.ping()
        assert (taken, expected(link)) == ([b"1", b"2"], 0)
        with pytest.raises(ZeroDivisionError):
            await link.collect("NEXT", "t", {}, lambda message: bool(1 // 0))
        assert expected(link) == 0
        await link.request("INFO")


@in_loop
async def test_messages_of_a_consumer_find_their_request_by_its_name() -> None:
    server, found = FakeNats(), list[bytes]()
    add_stream(server)
    put(server, "log.a", b"1")
    async with linked(server) as link:
        token = link.new_token()
        assert link.new_token() != token
        config = {"opt_start_seq": 1, "filter_subject": "p.log.log.a"}
        stream = "p-log-log-00000001"
        await link.request(f"CONSUMER.CREATE.{stream}.{token}", {"config": config})

        def take(message: Reply) -> bool:
            found.append(message.data)
            return False

        await link.collect(f"CONSUMER.MSG.NEXT.{stream}.{token}", token, {"batch": 5}, take)
        assert found == [b"1"]


@in_loop
async def test_tokens_of_two_links_differ() -> None:
    """They name consumers, which all nodes share."""
    server = FakeNats()
    async with linked(server) as one:
        other = NatsLink(nothing)
        await other.open(server.address, {})
        assert one.new_token() != other.new_token()
        await other.close()


@in_loop
async def test_the_first_error_of_a_callback_is_kept_and_those_of_the_network_are_not() -> None:
    async def fail(message: Msg) -> None:
        raise ZeroDivisionError(message.data.decode())

    async with linked(FakeNats()) as link:
        for harmless in (ConnectionClosedError(), OSError(), TimeoutError()):
            await link._on_error(harmless)
        assert link.callback_error is None
        await link.listen("a", fail)
        await link.publish("a", b"first")
        await link.publish("a", b"second")
        await async_eventually("the error", lambda: link.callback_error)
        await link.request("INFO")
        assert str(link.callback_error) == "first"


@in_loop
async def test_dropped_messages_are_reported_with_their_subject() -> None:
    slow: list[str] = []
    async with linked(FakeNats(), on_slow=slow.append) as link:
        subscription = await link.listen("a", ignore)
        await link._on_error(SlowConsumerError("a.b", "", 1, subscription))
        assert (slow, link.callback_error) == (["a.b"], None)
        assert subscription.pending_msgs == 0
        limits = (subscription._pending_msgs_limit, subscription._pending_bytes_limit)
        assert limits == (link_module.SUBSCRIPTION_MESSAGES, link_module.SUBSCRIPTION_BYTES)


@in_loop
async def test_a_link_that_was_not_opened_keeps_nothing_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    link = NatsLink(nothing)
    ended: list[bool] = []

    async def fails(*_: object, **__: object) -> None:
        raise OSError(111, "Connection refused")

    async def close() -> None:
        ended.append(True)

    monkeypatch.setattr(link._client, "connect", fails)
    monkeypatch.setattr(link._client, "close", close)
    with pytest.raises(BrokerUnavailable, match="Connection refused"):
        await link.open("nats://127.0.0.1:1", {})
    assert (link.closed.is_set(), ended) == (True, [True])
