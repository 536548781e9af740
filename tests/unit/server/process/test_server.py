"""server/process/server.py: signals, the steps of a stop, and an end that hangs."""

import asyncio
import os
import signal
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn

from eventhub.server.http.protocol import protocol_for
from eventhub.server.http.timers import LAST_CALL_SECONDS
from eventhub.server.process import server as module
from eventhub.server.process.server import END_SECONDS, HASTE_SECONDS, HURRY_SECONDS, Server
from tests.harness.virtual_time import in_virtual_time, turns
from tests.unit.server.connections.manager_builder import build
from tests.unit.server.http.connection import GET, Connection


class Listener:
    """A listening socket of asyncio."""

    def __init__(self, steps: list[str]) -> None:
        self._steps = steps

    def close(self) -> None:
        if "closed" not in self._steps:
            self._steps.append("closed")


class Stop:
    """A server that stops; its steps are noted, and uvicorn's part is left out."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, slot: Any = None) -> None:
        self.steps: list[str] = []
        self.manager = build(native=False)
        config = uvicorn.Config(
            app=lambda: None, http=protocol_for(self.manager), log_config=None, lifespan="off"
        )
        self.server = Server(config, self.manager, slot)
        self.server.servers = [Listener(self.steps)]  # type: ignore[list-item]
        self.server.started = True
        drain = self.manager.drain
        self.alone = True
        self.draining = asyncio.Event()
        self.draining.set()
        monkeypatch.setattr(drain, "begin", self._begin)
        monkeypatch.setattr(drain, "run", self._run)
        monkeypatch.setattr(drain, "close", lambda: self.steps.append("refuses"))
        monkeypatch.setattr(drain, "cut_off", lambda: self.steps.append("cut off"))
        monkeypatch.setattr(uvicorn.Server, "shutdown", self._uvicorn)
        self.ends: list[float] = []
        monkeypatch.setattr(module, "_give_up_after", self.ends.append)

    def _begin(self, workers: int) -> None:
        self.manager.drain.alone = self.alone
        self.steps.append(f"begins with {workers}")

    async def _run(self) -> None:
        self.steps.append("drains")
        await self.draining.wait()

    async def _uvicorn(self, sockets: Any = None) -> None:
        self.steps.append("uvicorn")

    def connect(self, *, answers: bool = True) -> Connection:
        """An open HTTP connection."""
        client = Connection(self.manager, answers=answers)
        connections: set[Any] = self.server.server_state.connections
        connections.add(client.protocol)
        return client


@pytest.fixture
def stop(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Stop]:
    return lambda slot=None: Stop(monkeypatch, slot)


@in_virtual_time
async def test_a_node_that_is_alone_stops_listening_before_it_drains(
    stop: Callable[..., Stop],
) -> None:
    one = stop()
    await one.server.shutdown()
    assert one.steps == ["begins with 1", "closed", "drains", "refuses", "uvicorn"]
    assert one.ends == [END_SECONDS]
    assert one.server.config.timeout_graceful_shutdown == HASTE_SECONDS


@in_virtual_time
async def test_a_node_among_others_listens_while_it_drains(stop: Callable[..., Stop]) -> None:
    one = stop()
    one.alone = False
    await one.server.shutdown()
    assert one.steps == ["begins with 1", "drains", "closed", "refuses", "uvicorn"]
    assert one.server.config.timeout_graceful_shutdown is None


@in_virtual_time
async def test_a_worker_stops_with_all_others_and_leaves_a_hanging_end_to_the_supervisor(
    stop: Callable[..., Stop],
) -> None:
    one = stop(SimpleNamespace(mailboxes=[1, 2, 3]))
    await one.server.shutdown()
    assert (one.steps[0], one.ends) == ("begins with 3", [])


@in_virtual_time
async def test_idle_connections_have_time_for_a_last_request(stop: Callable[..., Stop]) -> None:
    one = stop()
    client = one.connect()
    await client.send(GET)
    stopping = asyncio.create_task(one.server.shutdown())
    await asyncio.sleep(LAST_CALL_SECONDS - 0.1)
    assert one.steps == ["begins with 1"]
    await client.send(GET)
    assert client.statuses == [200, 200]
    await asyncio.sleep(0.2)
    await stopping
    assert "drains" in one.steps
    client.lose()


@in_virtual_time
async def test_a_node_among_others_waits_for_idle_connections_only(
    stop: Callable[..., Stop],
) -> None:
    loop = asyncio.get_running_loop()
    for answers, waited in ((True, LAST_CALL_SECONDS), (False, 0.0)):
        one = stop()
        one.alone = False
        client = one.connect(answers=answers)
        await client.send(GET)
        begin = loop.time()
        await one.server.shutdown()
        assert loop.time() - begin == pytest.approx(waited, abs=0.01)
        client.lose()


@in_virtual_time
async def test_a_fault_of_one_last_call_keeps_no_other_from_its_own(
    stop: Callable[..., Stop], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = stop()
    clients = [one.connect() for _ in range(2)]
    called: list[object] = []

    def last_call(connection: object) -> bool:
        called.append(connection)
        raise ZeroDivisionError

    monkeypatch.setattr("eventhub.server.http.protocol.HttpProtocol.last_call", last_call)
    await one.server.shutdown()
    assert len(called) == 2
    assert one.manager.hub.faults.counts == {"last_call": 2}
    for client in clients:
        client.lose()


# Signals


@in_virtual_time
async def test_a_second_signal_ends_the_drain(stop: Callable[..., Stop]) -> None:
    one = stop()
    one.draining.clear()
    one.server.handle_exit(signal.SIGTERM, None)
    stopping = asyncio.create_task(one.server.shutdown())
    await turns()
    assert (one.server.should_exit, one.server.hurried) == (True, False)
    assert not stopping.done()
    one.server.handle_exit(signal.SIGTERM, None)
    one.server.handle_exit(signal.SIGTERM, None)
    await stopping
    assert one.server.hurried
    assert one.steps[-2:] == ["cut off", "uvicorn"]
    assert sorted(one.ends) == [HURRY_SECONDS, END_SECONDS], "the end is waited for once"


@in_virtual_time
async def test_after_an_orderly_stop_its_signal_is_not_raised_again(
    stop: Callable[..., Stop],
) -> None:
    one = stop()
    one.server.handle_exit(signal.SIGTERM, None)
    await one.server.shutdown()
    assert one.server._captured_signals == []


@in_virtual_time
@pytest.mark.parametrize(
    ("second", "slot", "started"),
    [
        (signal.SIGHUP, None, True),
        (signal.SIGTERM, SimpleNamespace(mailboxes=[]), True),
        (signal.SIGTERM, None, False),
    ],
    ids=["a closing terminal", "a worker", "not started"],
)
async def test_not_every_second_signal_is_haste(
    stop: Callable[..., Stop], second: int, slot: Any, *, started: bool
) -> None:
    one = stop(slot)
    one.server.started = started
    one.server.handle_exit(signal.SIGTERM, None)
    one.server.handle_exit(second, None)
    await turns()
    assert (one.server.hurried, one.ends) == (False, [])


@in_virtual_time
async def test_in_haste_running_requests_are_cancelled(
    stop: Callable[..., Stop], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def wait(_: Any) -> None:
        await asyncio.sleep(1000)

    monkeypatch.setattr(uvicorn.Server, "_wait_tasks_to_complete", wait)
    one = stop()
    request = asyncio.create_task(asyncio.sleep(1000))
    one.server.server_state.tasks.add(request)
    one.server.should_exit = True
    one.server.handle_exit(signal.SIGTERM, None)
    await one.server._wait_tasks_to_complete()
    await turns()
    assert request.cancelled()


@in_virtual_time
async def test_without_haste_running_requests_are_waited_for(
    stop: Callable[..., Stop], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def wait(_: Any) -> None:
        await asyncio.sleep(10)

    monkeypatch.setattr(uvicorn.Server, "_wait_tasks_to_complete", wait)
    one = stop()
    request = asyncio.create_task(asyncio.sleep(1000))
    one.server.server_state.tasks.add(request)
    begin = asyncio.get_running_loop().time()
    await one.server._wait_tasks_to_complete()
    assert asyncio.get_running_loop().time() - begin == pytest.approx(10)
    assert not request.cancelled()
    request.cancel()


# A node that cannot go on


@in_virtual_time
async def test_a_server_whose_hub_has_ended_stops_and_has_failed(
    stop: Callable[..., Stop], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def on_tick(_: Any, counter: int) -> bool:
        return False

    monkeypatch.setattr(uvicorn.Server, "on_tick", on_tick)
    one = stop()
    assert await one.server.on_tick(1) is False
    assert not one.server.failed
    monkeypatch.setattr(type(one.manager.hub), "ended", True)
    assert await one.server.on_tick(2) is True
    assert one.server.failed


@in_virtual_time
async def test_a_worker_whose_supervisor_is_gone_stops(stop: Callable[..., Stop]) -> None:
    one = stop()
    taken, alive = os.pipe()
    asyncio.get_running_loop().add_reader(taken, one.server._orphaned, taken)
    os.close(alive)
    await turns()
    assert one.server.should_exit
    assert not asyncio.get_running_loop().remove_reader(taken)
    os.close(taken)


def test_an_end_that_hangs_is_left_with_status_1(monkeypatch: pytest.MonkeyPatch) -> None:
    timers: list[Any] = []
    statuses: list[int] = []

    class Timer:
        daemon = False

        def __init__(self, seconds: float, call: Callable[[], None]) -> None:
            self.seconds, self.call = seconds, call

        def start(self) -> None:
            timers.append(self)

    monkeypatch.setattr(module.threading, "Timer", Timer)  # type: ignore[attr-defined]
    monkeypatch.setattr(os, "_exit", statuses.append)
    module._give_up_after(7.0)
    (timer,) = timers
    assert (timer.seconds, timer.daemon) == (7.0, True)
    timer.call()
    assert statuses == [1]
