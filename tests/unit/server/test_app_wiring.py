"""server/app.py: the parts are connected, and get the settings and the directory."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from eventhub.config.settings import Settings
from eventhub.errors import ConfigurationError
from eventhub.observability.metrics import Metrics, Reading
from eventhub.server.app import Application, create_app, open_telemetry
from eventhub.server.process.supervisor import WorkerSlot
from eventhub.server.process.worker_metrics import WorkerSocket
from tests.harness.virtual_time import in_virtual_time

TRACED = {"tracing": {"endpoint": "http://127.0.0.1:1"}}


async def responses(app: Application, *paths: str) -> list[httpx.Response]:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return [await client.get(path) for path in paths]


def metrics(app: Application) -> str:
    (response,) = asyncio.run(responses(app, "/metrics"))
    return response.text


async def certificate_readings() -> AsyncIterator[Reading]:
    yield "eventhub_certificate", "A certificate", {(): 1}, ()


def test_a_scrape_has_the_figures_of_all_parts() -> None:
    certificates: Any = SimpleNamespace(readings=certificate_readings)
    text = metrics(Application(Settings(), Path(), certificates=certificates))
    for name in (
        "eventhub_broker_up",
        "eventhub_ready",
        "eventhub_cursor_records_total",
        "process_cpu_seconds_total",
        "eventhub_history_bytes",
        "eventhub_certificate",
    ):
        assert f"\n{name} " in text or f"\n{name}{{" in text, name
    assert "eventhub_workers" not in text


def test_only_a_broker_in_memory_has_a_history_in_memory(tmp_path: Path) -> None:
    settings = Settings(broker="sqlite:///events.db")
    assert "eventhub_history_bytes" not in metrics(create_app(settings, tmp_path))
    assert (tmp_path / "events.db").exists()


def test_a_scrape_of_a_worker_has_the_figures_of_all_workers() -> None:
    mailbox = WorkerSocket.open()
    text = metrics(Application(Settings(), Path(), WorkerSlot(0, [], [mailbox], 1, -1)))
    assert "\neventhub_workers_unreachable 0" in text
    assert 'worker="0"' in text
    mailbox.put.close()
    mailbox.take.close()


def test_pages_and_the_api_are_served_with_headers_of_safety() -> None:
    page, api = asyncio.run(responses(create_app(Settings()), "/chat/lobby", "/v1/channels"))
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert api.headers["x-content-type-options"] == "nosniff"


def test_files_of_the_settings_are_below_the_directory_of_the_configuration(
    tmp_path: Path,
) -> None:
    (tmp_path / "number.json").write_text('{"type": "number"}')
    (tmp_path / "secret").write_bytes(b"s" * 32)
    settings = Settings.model_validate(
        {
            "channels": {"log": {"payload": "number.json"}},
            "auth": {"tokens": {"keys": [{"algorithm": "HS256", "file": "secret"}]}},
        }
    )
    app = create_app(settings, tmp_path)
    assert [kind.name for kind in app.hub.types] == ["log"]
    for name in ("number.json", "secret"):
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).unlink()
        with pytest.raises(ConfigurationError, match=name):
            create_app(settings, tmp_path)
        (tmp_path / name).write_bytes(content)


def test_bad_credentials_are_bounded_as_configured() -> None:
    app = create_app(Settings.model_validate({"limits": {"bad_credentials": 3}}))
    assert app.manager.authentication._bad_credentials == 3


@in_virtual_time
async def test_how_late_the_loop_is_is_measured_while_it_serves() -> None:
    app = create_app(Settings())
    async with app._lifespan(None):
        await asyncio.sleep(1)
        (scraped,) = await responses(app, "/metrics")
    counts = [line for line in scraped.text.splitlines() if "loop_delay_seconds_count" in line]
    assert [float(line.split(" ")[1]) > 0 for line in counts] == [True]


@in_virtual_time
async def test_spans_are_exported_while_it_serves_and_until_all_else_has_ended() -> None:
    app = create_app(Settings())
    steps: list[Any] = []

    async def stop() -> None:
        steps.append(("stops", app.hub.ended))

    telemetry: Any = SimpleNamespace(start=lambda node: steps.append(node), stop=stop)
    app._telemetry = telemetry
    async with app._lifespan(None):
        assert steps == [app.hub.nodes.own]
    assert steps[1:] == [("stops", True)]


@in_virtual_time
async def test_the_end_of_the_hub_ends_the_node(monkeypatch: pytest.MonkeyPatch) -> None:
    app = create_app(Settings())

    async def ends() -> None:
        app.hub.started.set()
        raise ZeroDivisionError

    monkeypatch.setattr(app.hub, "run", ends)
    with pytest.raises(ExceptionGroup) as ended:
        async with app._lifespan(None):
            await asyncio.sleep(1000)
    assert ended.group_contains(ZeroDivisionError)


def test_where_spans_go_makes_telemetry_that_counts_what_is_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[tuple[Any, ...]] = []
    module: Any = SimpleNamespace(Telemetry=lambda *given: made.append(given))
    monkeypatch.setitem(sys.modules, "eventhub.observability.otel", module)
    settings, counted = Settings.model_validate(TRACED), Metrics([])
    open_telemetry(settings, counted)
    assert made == [(settings.tracing, counted.spans_dropped)]


def test_a_node_counts_the_spans_that_its_telemetry_drops(monkeypatch: pytest.MonkeyPatch) -> None:
    dropped: list[Any] = []
    module: Any = SimpleNamespace(Telemetry=lambda settings, drop: dropped.append(drop))
    monkeypatch.setitem(sys.modules, "eventhub.observability.otel", module)
    app = create_app(Settings.model_validate(TRACED))
    dropped[0](3)
    assert "\neventhub_spans_dropped_total 3.0" in metrics(app)


def test_without_opentelemetry_no_tracing_can_be_configured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "eventhub.observability.otel", None)
    with pytest.raises(ConfigurationError, match=r"and eventhub\.observability\.otel cannot"):
        open_telemetry(Settings.model_validate(TRACED), Metrics([]))
