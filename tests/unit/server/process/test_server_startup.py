"""server/process/server.py: what a start does once the application has started."""

import asyncio
import gc
import os
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn

from eventhub.server.http.protocol import protocol_for
from eventhub.server.process import server as module
from eventhub.server.process.server import GARBAGE, Server
from tests.harness.loop import in_loop
from tests.harness.virtual_time import turns
from tests.unit.server.connections.manager_builder import build

SUPERVISOR = 4711


class Start:
    """A server that starts; nothing listens."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, slot: Any = None) -> None:
        self.manager = build(native=False, limits={"head_seconds": 7})
        self.protocol = protocol_for(self.manager)
        config = uvicorn.Config(
            app=lambda: None, http=self.protocol, log_config=None, lifespan="off", backlog=99
        )
        config.load()
        self.server = Server(config, self.manager, slot)
        self.server.lifespan = config.lifespan_class(config)
        self.listening: list[dict[str, Any]] = []
        self.steps: list[Any] = []
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(loop, "create_server", self._create_server)
        monkeypatch.setattr(module, "announce", lambda *given: self.steps.append(given))
        monkeypatch.setattr(module, "age", float)
        for name in ("collect", "freeze", "set_threshold"):
            monkeypatch.setattr(gc, name, lambda *given, name=name: self.steps.append(name))
        monkeypatch.setattr(gc, "set_threshold", lambda objects: self.steps.append(objects))

    async def _create_server(self, factory: Any, **how: Any) -> Any:
        self.listening.append(how)
        self.factory = factory
        return SimpleNamespace(close=lambda: None)


@in_loop
async def test_it_listens_on_all_sockets_and_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Start(monkeypatch)
    sockets: list[Any] = ["first", "second"]
    await one.server.startup(sockets)
    assert [how["sock"] for how in one.listening] == sockets
    for how in one.listening:
        assert (how["backlog"], how["ssl"], how["ssl_handshake_timeout"]) == (99, None, None)
    assert len(one.server.servers) == 2
    assert one.server.started
    assert one.steps[-1] == (one.manager.settings, sockets)


@in_loop
async def test_a_tls_handshake_has_as_long_as_the_head_of_a_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = Start(monkeypatch)
    context: Any = object()
    one.server.config.ssl = context
    sockets: list[Any] = ["only"]
    await one.server.startup(sockets)
    (how,) = one.listening
    assert (how["ssl"], how["ssl_handshake_timeout"]) == (context, 7)


@in_loop
async def test_a_connection_gets_our_protocol_and_the_state_of_the_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = Start(monkeypatch)
    made: list[dict[str, Any]] = []

    def protocol(**given: Any) -> asyncio.Protocol:
        made.append(given)
        return asyncio.Protocol()

    one.server.config.http_protocol_class = protocol  # type: ignore[assignment]
    sockets: list[Any] = ["only"]
    await one.server.startup(sockets)
    assert isinstance(one.factory(), asyncio.Protocol)
    assert made == [
        {
            "config": one.server.config,
            "server_state": one.server.server_state,
            "app_state": one.server.lifespan.state,
        }
    ]


@in_loop
async def test_what_exists_at_the_start_is_never_looked_at_by_collections(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = Start(monkeypatch)
    await one.server.startup([])
    assert one.steps[:3] == ["collect", "freeze", GARBAGE]


@in_loop
async def test_a_node_knows_how_long_it_took_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Start(monkeypatch)
    await one.server.startup([])
    assert one.manager.drain.start_seconds == os.getpid()


@in_loop
async def test_a_worker_tells_its_supervisor_that_it_serves_and_ends_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lifeline, alive = os.pipe()
    served: list[bool] = []
    slot = SimpleNamespace(
        supervisor=SUPERVISOR, lifeline=lifeline, serving=lambda: served.append(True)
    )
    one = Start(monkeypatch, slot)
    await one.server.startup([])
    assert served == [True]
    assert not any(isinstance(step, tuple) for step in one.steps), "the supervisor announces"
    assert one.manager.drain.start_seconds == SUPERVISOR
    await turns()
    assert not one.server.should_exit
    os.close(alive)
    await turns()
    assert one.server.should_exit
    os.close(lifeline)
