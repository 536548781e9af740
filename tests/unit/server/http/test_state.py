"""server/http/state.py: each transition of the table is reached, and the connection follows it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from eventhub.server.http.protocol import HttpProtocol, protocol_for
from eventhub.server.http.request_handler import RequestHandler
from eventhub.server.http.state import PARSING, TRANSITIONS, HttpState, HttpTrigger
from eventhub.server.publish.fast_path import AcceptedHead
from eventhub.server.publish.response import PublishResponse
from eventhub.server.publish.waiting_publish import WaitingPublish
from tests.harness.loop import in_loop
from tests.harness.transport import RecordedTransport
from tests.unit.server.connections.manager_builder import build

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
DECLINED = b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"
HEAD_OF_POST = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n"


class Connection:
    """A connection, whose application answers when it is told to."""

    def __init__(self) -> None:
        self.manager = build()
        self.transport = RecordedTransport()
        self.proceed = asyncio.Event()
        bound: Any = protocol_for(self.manager)
        config: Any = type("Config", (), {"loaded_app": self.app})
        self.protocol: HttpProtocol = bound(config, ServerState(), {})
        self.protocol.connection_made(self.transport)

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.proceed.wait()
        length = (b"content-length", b"0")
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        await send({"type": "http.response.body"})

    @property
    def state(self) -> HttpState:
        return self.protocol._requests._state


Step = Callable[[Connection], Awaitable[None]]


def sends(data: bytes) -> Step:
    async def step(connection: Connection) -> None:
        connection.protocol.data_received(data)

    return step


async def answer(connection: Connection) -> None:
    connection.proceed.set()
    for _ in range(10):  # turns of the loop
        await asyncio.sleep(0)
    assert b"200 OK" in connection.transport.written


async def half_close(connection: Connection) -> None:
    connection.protocol.eof_received()


async def lose(connection: Connection) -> None:
    connection.protocol.connection_lost(None)


async def last_call(connection: Connection) -> None:
    connection.protocol.last_call()


class Waits:
    """A lane that knows each head, and whose broker never answers."""

    def find(self, key: object) -> AcceptedHead:
        request: Any = None
        return AcceptedHead(request, 0)

    def publish(self, *_: object) -> WaitingPublish:
        return WaitingPublish(lambda outcome: PublishResponse(200, (), b""))


async def whole_request(connection: Connection) -> None:
    lane: Any = connection.protocol._requests._lane
    lane._fast_path = Waits()
    connection.protocol.data_received(GET)


TO: dict[HttpState, tuple[Step, ...]] = {
    HttpState.START: (),
    HttpState.HEAD: (sends(GET[:20]),),
    HttpState.BODY: (sends(HEAD_OF_POST),),
    HttpState.RECEIVED: (sends(GET),),
    HttpState.DISCARDING: (sends(HEAD_OF_POST), answer),
    HttpState.IDLE: (sends(GET), answer),
    HttpState.LAST_CALL: (sends(GET), answer, last_call),
    HttpState.ENDED: (half_close,),
    HttpState.DETACHED: (lose,),
}
BY: dict[HttpTrigger, Step] = {
    HttpTrigger.REQUEST_BEGUN: sends(GET[:20]),
    HttpTrigger.HEAD_COMPLETE: sends(GET[20:]),
    HttpTrigger.REQUEST_COMPLETE: sends(b"{}"),
    HttpTrigger.WHOLE_REQUEST: whole_request,
    HttpTrigger.ANSWERED: answer,
    HttpTrigger.LAST_CALL: last_call,
    HttpTrigger.STOPPED: half_close,
    HttpTrigger.DETACHED: lose,
}
SPECIAL: dict[tuple[HttpState, HttpTrigger], Step] = {
    (HttpState.HEAD, HttpTrigger.REQUEST_BEGUN): sends(DECLINED[20:]),
}
TABLE = [(state, trigger) for state, triggers in TRANSITIONS.items() for trigger in triggers]


@in_loop
@pytest.mark.parametrize("transition", TABLE, ids=lambda each: f"{each[0].name}-{each[1].name}")
async def test_each_transition_is_taken(
    transition: tuple[HttpState, HttpTrigger], monkeypatch: pytest.MonkeyPatch
) -> None:
    state, trigger = transition
    connection = Connection()
    for step in TO[state]:
        await step(connection)
    assert connection.state is state
    taken: list[tuple[HttpState, HttpTrigger, HttpState]] = []
    move = RequestHandler._move

    def noted(requests: RequestHandler, trigger: HttpTrigger) -> None:
        before = requests._state
        move(requests, trigger)
        taken.append((before, trigger, requests._state))

    monkeypatch.setattr(RequestHandler, "_move", noted)
    await SPECIAL.get(transition, BY[trigger])(connection)
    assert taken[0] == (state, trigger, TRANSITIONS[state][trigger])
    if connection.state is not HttpState.DETACHED:
        await lose(connection)
    assert len(connection.manager.connection_limits.idle) == 0
    assert connection.manager.connection_limits.open == 0
    connection.proceed.set()


def test_every_state_and_trigger_stands_in_the_table() -> None:
    assert set(TRANSITIONS) == set(HttpState) == set(TO)
    assert {trigger for _, trigger in TABLE} == set(HttpTrigger)
    assert set(HttpState) - PARSING == {HttpState.ENDED, HttpState.DETACHED}
