"""server/http/publish_lane.py, server/publish/fast_path.py: publishes that are answered at once."""

import asyncio
import re

import pytest

from eventhub.errors import BrokerUnavailable
from eventhub.server.connections import request_starts
from eventhub.server.connections.request_starts import ANSWERED_AT_ONCE
from eventhub.server.http import publish_lane
from eventhub.server.http.known_publish import KnownPublish
from eventhub.server.publish import fast_path
from tests.harness.loop import in_loop
from tests.unit.server.http.lane_node import CONFIG, EVENT, KEY, WITH_KEYS, post, primed, running


@in_loop
async def test_a_head_that_was_accepted_is_answered_before_the_read_returns() -> None:
    async with running() as node:
        connection = await primed(node, post())
        assert connection.send(post()).startswith(b"HTTP/1.1 201 Created\r\n")
        assert all(task.done() for task in node.state.tasks), "no task answers it"
        assert connection.send(post(body=b"[0]"[1:2])).startswith(b"HTTP/1.1 201")
        assert await node.stored("raw.a") == [EVENT, EVENT, b"0"]


@in_loop
async def test_another_connection_of_the_same_client_takes_the_lane_at_once() -> None:
    async with running() as node:
        await primed(node, post())
        assert node.connect().send(post()).startswith(b"HTTP/1.1 201")
        assert node.connect("192.0.2.9").send(post()) == b"", "it may be another principal"


@in_loop
async def test_a_key_is_stored_once_and_another_event_with_it_is_a_conflict() -> None:
    async with running() as node:
        connection = await primed(node, post())
        first = connection.send(post("raw.a", EVENT, "Idempotency-Key: k1"))
        again = connection.send(post("raw.a", EVENT, "Idempotency-Key: k1"))
        other = connection.send(post("raw.a", b"1", "Idempotency-Key: k1"))
        assert first.startswith(b"HTTP/1.1 201")
        assert b"idempotent-replayed: true" in again
        assert again.endswith(first.partition(b"\r\n\r\n")[2])
        assert other.startswith(b"HTTP/1.1 422")
        assert connection.send(post("raw.a", EVENT, "Idempotency-Key: k2")).startswith(
            b"HTTP/1.1 201"
        )
        assert await node.stored("raw.a") == [EVENT] * 3


@in_loop
async def test_many_requests_of_one_read_are_answered_in_order_up_to_the_bound_of_a_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(request_starts, "thread_time", lambda: 0.0)  # the machine is fast
    async with running() as node:
        connection = await primed(node, post(body=b"0"))
        count = ANSWERED_AT_ONCE + 8
        bodies = [b"%d" % number for number in range(count)]
        answer = connection.send(b"".join(post(body=body) for body in bodies))
        assert answer.count(b"HTTP/1.1 201") == ANSWERED_AT_ONCE
        await connection.created(1 + count)
        assert await node.stored("raw.a") == [b"0", *bodies]


@in_loop
async def test_a_request_behind_one_that_is_being_answered_waits_for_it() -> None:
    async with running() as node:
        connection = await primed(node, post())
        both = connection.send(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n" + post())
        assert both == b""
        await connection.created(2)
        statuses = re.findall(rb"HTTP/1.1 (\d+)", connection.transport.written)
        assert statuses == [b"201", b"200", b"201"]


@in_loop
async def test_a_body_in_pieces_behind_a_whole_request_goes_through_the_queue() -> None:
    async with running() as node:
        connection = await primed(node, post())
        part = post()[:-3]
        assert connection.send(post() + part).count(b"HTTP/1.1 201") == 1
        assert (await connection.ask(post()[-3:])).count(b"HTTP/1.1 201") == 1
        assert await node.stored("raw.a") == [EVENT] * 3


@in_loop
async def test_a_credential_is_checked_each_time() -> None:
    async with running(WITH_KEYS) as node:
        request = post("raw.a", EVENT, f"Authorization: Bearer {KEY}")
        connection = await primed(node, request)
        assert connection.send(request).startswith(b"HTTP/1.1 201")
        assert connection.send(post("raw.a", EVENT, "Authorization: Bearer ehk_no")) == b""
        node.manager.authentication.generation += 1
        assert connection.send(request) == b"", "keys have changed: the head is checked again"


@in_loop
async def test_the_rate_holds_and_refusals_say_when_to_come_again() -> None:
    async with running(WITH_KEYS) as node:
        request = post("raw.a", EVENT, f"Authorization: Bearer {KEY}")
        connection = await primed(node, request)
        answers = [connection.send(request) for _ in range(10)]
        statuses = [answer[9:12] for answer in answers]
        assert statuses[0] == b"201"
        assert statuses[-1] == b"429"
        assert b"retry-after: " in answers[-1]
        assert len(await node.stored("raw.a")) == 1 + statuses.count(b"201")


@in_loop
async def test_it_waits_where_publishers_wait() -> None:
    async with running() as node:
        connection = await primed(node, post())
        node.app.hub.backpressure.fell_behind("raw.a")
        assert connection.send(post()) == b""
        assert len(await node.stored("raw.a")) == 1
        node.app.hub.backpressure.caught_up("raw.a")
        await connection.created(2)


@in_loop
async def test_a_server_that_is_about_to_stop_closes_behind_the_answer() -> None:
    async with running() as node:
        connection = await primed(node, post())
        node.app.hub.draining = True
        assert connection.send(post()) == b""
        assert b"connection: close" in await connection.ask()
        assert connection.transport.closed


@in_loop
async def test_a_client_that_does_not_read_its_answers_is_not_served_further() -> None:
    async with running() as node:
        connection = await primed(node, post())
        connection.protocol.pause_writing()
        assert connection.send(post()) == b""
        await asyncio.sleep(0)
        assert connection.transport.written.count(b"HTTP/1.1 201") == 1
        connection.protocol.resume_writing()
        await connection.created(2)


@pytest.mark.parametrize("fault", [RuntimeError("x"), BrokerUnavailable("away")])
@in_loop
async def test_a_fault_of_the_broker_is_answered_and_the_connection_goes_on(
    fault: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(event: object) -> None:
        raise fault

    async with running() as node:
        connection = await primed(node, post())
        with monkeypatch.context() as patch:
            patch.setattr(node.app.hub, "publish_now", fail)
            status = connection.send(post())[9:12]
        assert status == (b"503" if isinstance(fault, BrokerUnavailable) else b"500")
        assert connection.send(post()).startswith(b"HTTP/1.1 201")


@in_loop
async def test_it_is_counted_as_every_publish(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running() as node:
        connection = await primed(node, post())
        connection.send(post())
        connection.send(post(body=b"{"))
        text = (await node.app.hub.metrics.scrape()).decode()
    for line in (
        'eventhub_events_published_total{type="raw"} 2.0',
        'eventhub_events_rejected_total{code="invalid_json",type="raw"} 1.0',
        'eventhub_publish_seconds_count{type="raw"} 3.0',
        "eventhub_broker_publish_seconds_count 2.0",
    ):
        assert line in text


@in_loop
async def test_only_so_many_heads_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_path, "HEADS", 4)
    async with running() as node:
        connection = node.connect()
        for number in range(10):
            await connection.ask(post(f"raw.c{number}"))
        heads = node.connect().protocol.fast_path._heads
        assert len(heads) == 4
        assert connection.send(post("raw.c0")) == b""


@in_loop
async def test_a_large_head_is_not_remembered() -> None:
    async with running() as node:
        request = post("raw.a", EVENT, f"X-Trace: {'x' * publish_lane.HEAD_BYTES}")
        connection = await primed(node, request)
        assert connection.send(request) == b""


@in_loop
async def test_with_tracing_a_publish_that_need_not_wait_takes_the_lane_and_one_that_waits_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running() as node:
        connection = await primed(node, post())
        monkeypatch.setattr(connection.protocol.fast_path, "traced", True)
        assert connection.send(post()).startswith(b"HTTP/1.1 201 ")
        monkeypatch.setattr(node.app.hub, "_publishes_now", False)
        monkeypatch.setattr(KnownPublish, "__init__", _must_not_be_called)
        assert (await connection.ask(post())).startswith(b"HTTP/1.1 201 ")


def _must_not_be_called(*_: object) -> None:
    raise AssertionError("the request takes the lane")


@in_loop
async def test_with_cors_a_request_of_no_page_is_answered_at_once_and_may_be_cached_for_none() -> (
    None
):
    async with running({**CONFIG, "origins": ["https://app.example"]}) as node:
        connection = await primed(node, post())
        for _ in range(3):
            assert b"\r\nvary: Origin\r\n" in connection.send(post())
        assert b"\r\nvary: Origin\r\n" in connection.send(post(body=b"{"))
        of_page = post("raw.a", EVENT, "Origin: https://app.example")
        for _ in range(2):
            answer = await connection.ask(of_page)
            assert b"\r\naccess-control-allow-origin: https://app.example\r\n" in answer


@in_loop
async def test_each_request_is_in_the_access_log() -> None:
    lines: list[tuple[object, ...]] = []
    async with running({**CONFIG, "log": {"access": True}}) as node:
        node.manager.access_log.write = lambda *line, **_: lines.append(line)  # type: ignore[method-assign]  # noted
        connection = await primed(node, post())
        for body in (EVENT, EVENT, b"{", b"[1,{]"):
            if not connection.send(post(body=body)):
                await connection.ask()
        expected = [201, 201, 201, 400, 400]
        assert lines == [("POST", "/v1/channels/raw.a", one, "192.0.2.1") for one in expected]


@in_loop
async def test_an_idle_connection_that_has_published_is_the_youngest() -> None:
    async with running() as node:
        first, second = await primed(node, post()), await primed(node, post())
        first.send(post())
        idle = node.manager.connection_limits.idle
        assert len(idle) == 2
        idle.make_room()
        assert second.transport.ended or second.transport.closed
        assert not first.transport.closed
