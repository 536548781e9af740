"""server/http/known_publish.py: publishes of the lane whose broker waits.

The same broker answers on each way: in the lane, by its callback or in a task; and through the
queue and ASGI, which a body in two pieces takes.
"""

import asyncio
from collections.abc import Callable
from functools import partial

import pytest

from eventhub.errors import BrokerUnavailable, TooManyChannels
from eventhub.events.event import Position, Receipt
from eventhub.server.http.known_publish import KnownPublish
from eventhub.server.publish.request import PublishRequest
from tests.harness.loop import in_loop
from tests.harness.virtual_time import turns
from tests.unit.server.http.lane_node import (
    CONFIG,
    EVENT,
    Node,
    post,
    primed,
    running,
    shown,
)
from tests.unit.server.http.slow_broker import SlowBroker

Slow = Callable[[Node], SlowBroker]
in_task = partial(SlowBroker, tasks=True)


@pytest.fixture(params=[SlowBroker, in_task], ids=["by the broker's callback", "in a task"])
def slow(request: pytest.FixtureRequest) -> Slow:
    """Both ways on which the lane waits for a broker."""
    made: Slow = request.param
    return made


OUTCOMES = {
    "stored": None,
    "refused": TooManyChannels("full"),
    "unavailable": BrokerUnavailable("away", retry_after=3),
    "a fault": RuntimeError("a fault of ours"),
}
BODIES = {
    "an event": EVENT,
    "an array": b"[%b,%b]" % (EVENT, EVENT),
    "an array with a refused event": b"[%b,1]" % EVENT,
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("outcome", OUTCOMES.values(), ids=OUTCOMES)
@in_loop
async def test_each_answer_of_the_broker_is_the_same_on_both_ways(
    outcome: Exception | None, body: bytes, slow: Slow
) -> None:
    answers: list[object] = []
    for pieces in (1, 2):
        async with running() as node:
            request = post("chat.a", body)
            connection = await primed(node, post("chat.a"))
            broker = slow(node)
            before = len(connection.transport.written)
            for part in (request[:-pieces], request[-pieces:]) if pieces == 2 else (request,):
                connection.send(part)
                await turns()
            assert len(connection.transport.written) == before, "it waits for the broker"
            await broker.answer(outcome)
            answers.append(shown(connection.transport.written[before:]))
            text = (await node.app.hub.metrics.scrape()).decode().splitlines()
            answers.append([line for line in text if "_seconds_" not in line and "events" in line])
            assert connection.send(post("none.a")) == b"", "the connection goes on"
    assert answers[:2] == answers[2:]


@pytest.mark.parametrize("body", [EVENT, b"[1]"])
@in_loop
async def test_it_takes_the_lane_and_no_head_is_checked_again(
    body: bytes, slow: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running() as node:
        connection = await primed(node, post())
        broker = slow(node)

        def fail(*_: object) -> None:
            raise AssertionError("the head was checked before")

        monkeypatch.setattr(PublishRequest, "__init__", fail)
        connection.send(post(body=body))
        await turns()
        await broker.answer()
        await connection.created(2)


@in_loop
async def test_pipelined_requests_are_answered_in_order_and_the_socket_is_not_read_meanwhile(
    slow: Slow,
) -> None:
    async with running() as node:
        connection = await primed(node, post())
        broker = slow(node)
        connection.send(post(body=b"1") + post(body=b"2") + post(body=b"{"))
        await turns()
        assert [events[0].data for events in broker.asked] == [b"1"]
        assert not connection.transport.reading
        await broker.answer()
        await connection.created(2)
        assert [events[0].data for events in broker.asked] == [b"1", b"2"]
        assert b"HTTP/1.1 400" not in connection.transport.written
        await broker.answer()
        await connection.created(3)
        await turns()
        assert connection.transport.written.count(b"HTTP/1.1 400") == 1
        assert connection.transport.reading


@in_loop
async def test_more_than_a_pipeline_is_refused_behind_the_answers_that_are_due(slow: Slow) -> None:
    async with running() as node:
        connection = await primed(node, post())
        broker = slow(node)
        connection.send(post() * 40)
        await turns()
        for number in range(17):
            await broker.answer()
            await connection.created(2 + number)
        assert connection.transport.written.count(b"HTTP/1.1 429") == 1
        assert connection.over


@in_loop
async def test_a_connection_that_is_lost_meanwhile_gets_no_answer_and_the_event_is_stored(
    slow: Slow,
) -> None:
    async with running() as node:
        connection = await primed(node, post())
        broker = slow(node)
        connection.send(post() * 2)
        await turns()
        before = connection.transport.written
        connection.transport.closed = True
        connection.protocol.connection_lost(None)
        await broker.answer()
        assert connection.transport.written == before
        assert len(broker.asked) == 1, "what waited behind it is not stored"
        assert all(task.done() for task in node.state.tasks)


@in_loop
async def test_a_client_that_ends_its_half_meanwhile_is_answered_and_then_closed(
    slow: Slow,
) -> None:
    async with running() as node:
        connection = await primed(node, post())
        broker = slow(node)
        connection.send(post())
        await turns()
        assert connection.protocol.eof_received()
        await broker.answer()
        await connection.created(2)
        assert b"\r\nconnection: close\r\n" in connection.transport.written
        assert connection.over


@in_loop
async def test_a_server_that_stops_says_that_it_does_not_know_whether_the_event_is_stored(
    slow: Slow,
) -> None:
    async with running() as node:
        connection = await primed(node, post())
        slow(node)
        connection.send(post())
        await turns()
        assert connection.protocol.last_call()
        for task in node.state.tasks:
            task.cancel()
        await turns()
        answer = connection.transport.written
        assert b"shutting_down" in answer
        assert b"\r\nconnection: close\r\n" in answer
        assert connection.over


@in_loop
async def test_an_answer_waits_until_the_client_reads() -> None:
    async with running() as node:
        connection = await primed(node, post())
        broker = in_task(node)
        connection.send(post())
        await turns()
        assert not connection.protocol._requests._requests.backlogged, "its body is not kept"
        connection.protocol.pause_writing()
        await broker.answer()
        assert connection.transport.written.count(b"HTTP/1.1 201") == 1
        connection.protocol.resume_writing()
        await connection.created(2)


@in_loop
async def test_a_client_that_does_not_read_gets_one_answer_and_the_next_request_waits() -> None:
    async with running() as node:
        connection = await primed(node, post())
        broker = SlowBroker(node)
        connection.send(post() + post())
        await turns()
        connection.protocol.pause_writing()
        await broker.answer()
        await broker.answer()
        assert connection.transport.written.count(b"HTTP/1.1 201") == 2
        connection.protocol.resume_writing()
        await connection.created(3)


@in_loop
async def test_no_task_answers_it_and_an_answer_that_comes_twice_is_written_once() -> None:
    async with running() as node:
        connection = await primed(node, post())
        broker = SlowBroker(node)
        before = asyncio.all_tasks()
        connection.send(post())
        assert len(broker.asked) == 1, "it is asked within the read"
        assert asyncio.all_tasks() == before
        done = broker._answers[0]
        await broker.answer()
        done([Receipt(Position("e", 8), 0)])
        assert connection.transport.written.count(b"HTTP/1.1 201") == 2
        assert not [one for one in set[object](node.state.tasks) if isinstance(one, KnownPublish)]


@in_loop
async def test_a_fault_of_the_answer_ends_this_connection_and_a_fault_of_counting_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running() as node:
        connection, other = await primed(node, post()), node.connect()
        broker = SlowBroker(node)
        connection.send(post())
        other.send(post())

        def fail(*_: object) -> None:
            raise ZeroDivisionError

        with monkeypatch.context() as patch:
            patch.setattr(connection.transport, "write", fail)
            await broker.answer()
        assert connection.transport.aborted
        with monkeypatch.context() as patch:
            patch.setattr(node.app.hub, "answered", fail)
            await broker.answer()
        assert b"HTTP/1.1 500" in other.transport.written
        assert not other.over
        assert node.app.hub.faults.counts["publish"] == 2


@in_loop
async def test_a_server_that_stops_cuts_off_a_client_that_does_not_read() -> None:
    async with running() as node:
        connection = await primed(node, post())
        broker = in_task(node)
        connection.send(post())
        await turns()
        connection.protocol.pause_writing()
        await broker.answer()
        for task in node.state.tasks:
            task.cancel()
        await turns()
        assert connection.over
        assert connection.transport.written.count(b"HTTP/1.1 201") == 1


@in_loop
async def test_an_event_with_a_key_has_that_key_and_one_behind_it_has_none(slow: Slow) -> None:
    async with running() as node:
        connection = await primed(node, post("raw.a", EVENT, "Idempotency-Key: k1"))
        broker = slow(node)
        for headers in (["Idempotency-Key: k2"], [], []):
            connection.send(post("raw.a", EVENT, *headers))
            await turns()
            await broker.answer()
        assert [events[0].key for events in broker.asked] == ["k2", None, None]


@in_loop
async def test_it_is_in_the_access_log_with_its_status(slow: Slow) -> None:
    lines: list[tuple[object, ...]] = []
    async with running({**CONFIG, "log": {"access": True}}) as node:
        connection = await primed(node, post())
        node.manager.access_log.write = lambda *line, **_: lines.append(line)  # type: ignore[method-assign]  # noted
        broker = slow(node)
        for outcome in (None, BrokerUnavailable("away")):
            connection.send(post())
            await turns()
            await broker.answer(outcome)
        expected = [201, 503]
        assert lines == [("POST", "/v1/channels/raw.a", one, "192.0.2.1") for one in expected]
