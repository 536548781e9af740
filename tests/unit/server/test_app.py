"""server/app.py: which tasks run beside the hub, and what starting and stopping does."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from eventhub.config.settings import Settings
from eventhub.server import app as module
from eventhub.server.app import Application, create_app, open_telemetry
from eventhub.server.process.supervisor import HEARTBEAT_SECONDS, WorkerSlot
from tests.harness.virtual_time import in_virtual_time, turns

ALWAYS = {"heartbeats", "rates", "admin", "pulse"}


def application(**settings: Any) -> Application:
    return create_app(Settings.model_validate(settings), Path())


def test_these_tasks_run_on_every_node() -> None:
    assert application()._tasks().keys() == ALWAYS


def test_a_key_set_is_kept_fresh() -> None:
    issuer = "https://issuer.example"
    auth = {"tokens": {"jwks": f"{issuer}/keys", "issuer": issuer, "audience": "hub"}}
    assert application(auth=auth)._tasks().keys() == {*ALWAYS, "keys"}


def test_a_worker_answers_its_siblings_and_reports_to_its_supervisor() -> None:
    slot = WorkerSlot(0, [], [], 1, -1)
    app = Application(Settings(workers=1), Path(), slot)
    assert app._tasks().keys() == {*ALWAYS, "siblings", "seat"}


@in_virtual_time
async def test_a_worker_says_again_and_again_that_it_is_alive(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[float] = []
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(WorkerSlot, "heartbeat", lambda _: said.append(loop.time()))
    saying = asyncio.create_task(module._send_heartbeats(WorkerSlot(0, [], [], 1, -1)))
    await asyncio.sleep(2.5 * HEARTBEAT_SECONDS)
    assert [round(moment - said[0]) for moment in said] == [0, 1, 2]
    saying.cancel()


def test_each_task_is_that_of_its_part() -> None:
    issuer = "https://issuer.example"
    auth = {"tokens": {"jwks": f"{issuer}/keys", "issuer": issuer, "audience": "hub"}}
    slot = WorkerSlot(0, [], [], 1, -1)
    certificates: Any = SimpleNamespace(run=object(), readings=object())
    app = Application(Settings.model_validate({"auth": auth}), Path(), slot, certificates)
    manager, tasks = app.manager, app._tasks()
    assert manager.authentication.key_set is not None
    assert app._workers is not None
    assert tasks["heartbeats"] == manager.send_heartbeats
    assert tasks["rates"] == manager.publish_quota.run
    assert tasks["admin"] == manager.operators.block_replication.run
    assert tasks["keys"] == manager.authentication.key_set.run
    assert tasks["siblings"] == app._workers.run
    assert tasks["certificates"] is certificates.run


@in_virtual_time
async def test_a_worker_reports_through_its_own_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[WorkerSlot] = []
    monkeypatch.setattr(WorkerSlot, "heartbeat", lambda slot: heard.append(slot))
    slot = WorkerSlot(3, [], [], 1, -1)
    seat = Application(Settings(), Path(), slot)._tasks()["seat"]
    reporting = asyncio.create_task(seat())
    await turns()
    assert heard == [slot]
    reporting.cancel()


def test_nothing_is_traced_unless_it_is_configured() -> None:
    metrics: Any = None
    assert open_telemetry(Settings(), metrics) is None


@in_virtual_time
async def test_a_node_serves_while_its_lifespan_lasts_and_drains_at_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = application()
    steps: list[str] = []

    async def drains() -> None:
        steps.append("drains")

    monkeypatch.setattr(app.manager.drain, "run", drains)
    monkeypatch.setattr(app.manager.drain, "close", lambda: steps.append("refuses"))
    async with app._lifespan(None):
        assert app.hub.started.is_set()
        assert not app.hub.ended
        await turns()
        assert steps == []
    assert steps == ["drains", "refuses"]
    assert app.hub.draining


@in_virtual_time
async def test_a_node_that_has_drained_already_does_so_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = application()
    monkeypatch.setattr(app.manager.drain, "run", lambda: pytest.fail("it has drained"))
    async with app._lifespan(None):
        app.hub.draining = True


@in_virtual_time
async def test_a_task_that_fails_is_started_again_and_ends_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = application()
    starts: list[int] = []

    async def failing() -> None:
        starts.append(1)
        if len(starts) < 3:
            raise ZeroDivisionError
        await asyncio.sleep(1000)

    monkeypatch.setattr(app, "_tasks", lambda: {"failing": failing})
    async with app._lifespan(None):
        await asyncio.sleep(5)
        assert len(starts) == 3
        assert app.hub.faults.counts == {"failing": 2}


@in_virtual_time
async def test_an_error_of_a_callback_is_a_fault() -> None:
    app = application()
    async with app._lifespan(None):
        asyncio.get_running_loop().call_soon(lambda: 1 / 0)
        await turns()
        assert app.hub.faults.counts.total() == 1


@in_virtual_time
async def test_a_server_has_its_routes_before_its_first_request() -> None:
    app = application()
    asked = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
    built: dict[str, bool] = {}

    async def receive() -> dict[str, Any]:
        return next(asked)

    async def send(message: Any) -> None:
        built[message["type"]] = "routes" in vars(app)

    assert "routes" not in vars(app)  # tests that only publish do not wait for them
    await app({"type": "lifespan", "state": {}}, receive, send)
    assert built == {"lifespan.startup.complete": True, "lifespan.shutdown.complete": True}
