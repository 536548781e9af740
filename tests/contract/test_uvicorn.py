"""Everything that the server uses of uvicorn beside its documented interface, in one list.

If a new version of uvicorn changes any of it, a test fails here before anything fails in
production.
"""

import ast
import asyncio
import inspect
from collections.abc import Callable
from typing import Any

import pytest
import uvicorn
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.server import ServerState

from tests.harness.inventory import SOURCE
from tests.harness.loop import in_loop
from tests.harness.transport import RecordedTransport

IMPORTS = {
    "uvicorn": {""},
    "uvicorn.protocols.http.flow_control": {"HIGH_WATER_LIMIT", "FlowControl"},
    "uvicorn.server": {"ServerState"},
}
"""Modules and names that src imports; "" stands for the module itself."""
CONFIG = ("backlog", "http_protocol_class", "loaded_app", "ssl", "timeout_graceful_shutdown")
"""Attributes of a loaded `uvicorn.Config`."""
OVERRIDDEN = {
    "on_tick": ["self", "counter"],
    "startup": ["self", "sockets"],
    "shutdown": ["self", "sockets"],
    "handle_exit": ["self", "sig", "frame"],
    "_wait_tasks_to_complete": ["self"],
}
"""Methods of `uvicorn.Server` that ours extends, with their parameters."""
STATE = {"connections": set, "tasks": set, "default_headers": list}
"""What all connections share."""
PROTOCOL = ["config", "server_state", "app_state", "_loop"]
"""Parameters of a protocol class; the server gives the first three by name."""


def application() -> None: ...


@pytest.fixture
def server() -> uvicorn.Server:
    config = uvicorn.Config(application, http="httptools", lifespan="off", log_config=None)
    config.load()
    return uvicorn.Server(config)


def parameters(function: Callable[..., Any]) -> list[str]:
    return list(inspect.signature(function).parameters)


def test_the_source_imports_what_is_listed() -> None:
    found: dict[str, set[str]] = {}
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("uvicorn"):
                names = {name.name for name in node.names}
                found.setdefault(node.module or "", set()).update(names)
            elif isinstance(node, ast.Import):
                for name in node.names:
                    if name.name.partition(".")[0] == "uvicorn":
                        found.setdefault(name.name, set()).add("")
    assert found == IMPORTS


def test_the_configuration_has_the_listed_attributes(server: uvicorn.Server) -> None:
    assert all(hasattr(server.config, name) for name in CONFIG)


@pytest.mark.parametrize("name", OVERRIDDEN)
def test_the_extended_methods_have_their_parameters(name: str) -> None:
    assert parameters(getattr(uvicorn.Server, name)) == OVERRIDDEN[name]


def test_the_server_has_the_listed_attributes(server: uvicorn.Server) -> None:
    assert (server.started, server.should_exit) == (False, False)
    assert server._captured_signals == []
    assert isinstance(server.server_state, ServerState)


def test_connections_share_the_listed_state() -> None:
    state = ServerState()
    assert {name: type(getattr(state, name)) for name in STATE} == STATE


def test_uvicorn_constructs_a_protocol_class_with_the_listed_arguments(
    server: uvicorn.Server,
) -> None:
    protocol: Any = server.config.http_protocol_class
    assert parameters(protocol) == PROTOCOL


@in_loop
async def test_starting_builds_what_the_server_uses() -> None:
    config = uvicorn.Config(application, http="httptools", lifespan="off", log_config=None)
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup([])
    assert (server.servers, server.lifespan.state) == ([], {})
    assert server.started


@in_loop
async def test_a_stopping_server_tells_each_connection_and_waits_for_tasks() -> None:
    config = uvicorn.Config(application, http="httptools", lifespan="off", log_config=None)
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup([])

    class Connection:
        told = 0

        def shutdown(self) -> None:
            self.told += 1
            connections.discard(self)

    connection = Connection()
    connections: set[Any] = server.server_state.connections
    connections.add(connection)
    task = asyncio.get_running_loop().create_task(asyncio.sleep(0.01))
    server.server_state.tasks.add(task)
    task.add_done_callback(server.server_state.tasks.discard)
    await server.shutdown()
    assert (connection.told, task.done()) == (1, True)


@in_loop
async def test_every_tick_gives_the_date_header() -> None:
    config = uvicorn.Config(
        application, http="httptools", lifespan="off", log_config=None, server_header=False
    )
    config.load()
    server = uvicorn.Server(config)
    assert await server.on_tick(0) is False
    assert [name for name, _ in server.server_state.default_headers] == [b"date"]


@in_loop
async def test_flow_control_pauses_reading_and_makes_writers_wait() -> None:
    assert HIGH_WATER_LIMIT == 65536
    transport = RecordedTransport()
    flow = FlowControl(transport)
    flow.pause_reading()
    assert (flow.read_paused, transport.reading) == (True, False)
    flow.resume_reading()
    assert (flow.read_paused, transport.reading) == (False, True)
    flow.pause_writing()
    waiting = asyncio.get_running_loop().create_task(flow.drain())
    await asyncio.sleep(0)
    assert (flow.write_paused, waiting.done()) == (True, False)
    flow.resume_writing()
    await waiting
    assert not flow.write_paused
