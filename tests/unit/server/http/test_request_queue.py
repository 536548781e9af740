"""server/http/request_queue.py: requests of one connection are answered in order."""

import asyncio
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from eventhub.errors import RateLimited
from eventhub.server.connections.fair_queue import FairQueue
from eventhub.server.connections.request_starts import RequestStarts
from eventhub.server.http.flow_control import HIGH_WATER_LIMIT, HeldFlowControl
from eventhub.server.http.request_queue import PIPELINE, RequestQueue
from eventhub.server.http.request_response import RequestResponse
from eventhub.server.http.response_transport import ResponseTransport
from tests.harness.loop import in_loop
from tests.harness.transport import RecordedTransport


class Requests:
    """A queue, and the paths that its application was called with."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.transport = RecordedTransport()
        self.flow = HeldFlowControl(self.transport)
        self.coalescing = ResponseTransport(self.transport, loop)
        self.called: list[str] = []
        tasks: set[asyncio.Task[None]] = set()
        starts = RequestStarts(FairQueue(loop), loop)
        self.queue = RequestQueue(self.app, starts, tasks, loop, self.flow)

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.called.append(scope["path"])
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    def add(self, path: str) -> RequestResponse:
        scope: Any = {"method": "GET", "path": path, "http_version": "1.1"}
        request = RequestResponse(scope, self.coalescing, self.flow, (), lambda: None)
        request.keep_alive = True
        self.queue.add(request)
        return request


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@in_loop
async def test_the_second_request_waits_for_the_first_and_nothing_is_read_meanwhile() -> None:
    requests = Requests()
    requests.add("/a")
    assert requests.transport.reading
    requests.add("/b")
    assert not requests.transport.reading
    await turns()
    assert requests.called == ["/a"]
    requests.queue.remove_first()
    requests.queue.start_first()
    await turns()
    assert requests.called == ["/a", "/b"]
    requests.queue.remove_first()
    requests.queue.remove_first()
    assert not requests.queue


@in_loop
async def test_too_many_requests_behind_one_another_are_refused() -> None:
    requests = Requests()
    for _ in range(PIPELINE):
        requests.add("/a")
        requests.queue.check_room()
    requests.add("/a")
    with pytest.raises(RateLimited):
        requests.queue.check_room()


@in_loop
async def test_much_of_a_body_pauses_reading_and_is_a_backlog() -> None:
    requests = Requests()
    request = requests.add("/a")
    requests.queue.body_received(b"x" * HIGH_WATER_LIMIT)
    assert (requests.transport.reading, requests.queue.backlogged) == (True, False)
    requests.queue.body_received(b"x")
    assert (requests.transport.reading, requests.queue.backlogged) == (False, True)
    request.response_complete = True
    requests.queue.body_received(b"x")
    assert len(request.body) == HIGH_WATER_LIMIT + 1, "of an answered request no more is kept"


@in_loop
async def test_only_the_last_answer_closes_the_connection() -> None:
    requests = Requests()
    first, last = requests.add("/a"), requests.add("/b")
    requests.queue.close_behind_last()
    assert (first.keep_alive, last.keep_alive) == (True, False)


@in_loop
async def test_a_body_that_broke_off_is_due_an_answer_unless_it_has_one() -> None:
    requests = Requests()
    assert not requests.queue.body_broke_off()
    request = requests.add("/a")
    assert requests.queue.body_broke_off()
    assert request.fault is not None
    request.response_complete = True
    assert not requests.queue.body_broke_off()


@in_loop
async def test_a_closed_connection_leaves_no_request_behind() -> None:
    requests = Requests()
    request = requests.add("/a")
    requests.queue.disconnect()
    assert (bool(requests.queue), request.disconnected) == (False, True)
