"""server/run.py: one process or several, and the status with which a run ends."""

import signal
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
import uvicorn

from eventhub.config.settings import Settings
from eventhub.errors import ConfigurationError
from eventhub.server import run as module
from eventhub.server.app import Application
from eventhub.server.process.supervisor import WorkerSlot
from eventhub.server.run import serve
from eventhub.server.websocket.protocol import WebSocketProtocol
from tests.harness.certificates import Authority

SHARED = "redis://127.0.0.1:1"
"""A broker that workers can share. Nothing connects to it."""


class Ran:
    """What was started, in place of servers and workers."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.steps: list[str] = []
        self.servers: list[FakeServer] = []
        self.supervisors: list[tuple[Any, ...]] = []
        self.announced: list[Any] = []
        self.handlers: dict[int, Any] = {}
        self.sighup: Any = signal.SIG_DFL
        self.orderly = True
        self.ends: Callable[[FakeServer], None] = lambda server: None
        self.sockets = [[socket.socket()], [socket.socket()]]
        monkeypatch.setattr(module, "Server", lambda *given: FakeServer(self, *given))
        monkeypatch.setattr(module, "Supervisor", lambda *given: FakeSupervisor(self, *given))
        monkeypatch.setattr(module, "raise_descriptors", lambda: self.steps.append("descriptors"))
        monkeypatch.setattr(module, "listen", self._listen)
        monkeypatch.setattr(module, "announce", lambda *given: self.announced.append(given))
        monkeypatch.setattr(signal, "getsignal", lambda number: self.sighup)
        monkeypatch.setattr(signal, "signal", self.handlers.__setitem__)

    def _listen(self, settings: Settings) -> list[list[socket.socket]]:
        self.steps.append("listens")
        return self.sockets[: settings.workers]

    def close(self) -> None:
        for own in self.sockets:
            own[0].close()


class FakeServer:
    failed = hurried = False

    def __init__(self, ran: Ran, config: uvicorn.Config, manager: Any, slot: Any) -> None:
        self._ran, self.config, self.manager, self.slot = ran, config, manager, slot
        ran.servers.append(self)

    def handle_exit(self, number: int, frame: object) -> None: ...

    def run(self, sockets: list[socket.socket]) -> None:
        self.sockets = sockets
        self.worker = structlog.contextvars.get_contextvars().get("worker")
        self._ran.ends(self)


class FakeSupervisor:
    def __init__(self, ran: Ran, *given: Any) -> None:
        self._ran = ran
        ran.supervisors.append(given)

    def run(self) -> bool:
        return self._ran.orderly


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ran]:
    one = Ran(monkeypatch)
    yield one
    one.close()
    structlog.contextvars.clear_contextvars()


def slot(ran: Ran) -> WorkerSlot:
    return WorkerSlot(1, ran.sockets[1], [], 1, -1)


def test_one_worker_serves_in_this_process(ran: Ran) -> None:
    serve(Settings(), Path())
    (server,) = ran.servers
    assert (server.slot, server.sockets) == (None, ran.sockets[0])
    assert ran.steps == ["descriptors", "listens"]
    assert ran.supervisors == []


def test_uvicorn_gets_our_application_and_protocols_and_none_of_its_own_logs(ran: Ran) -> None:
    serve(Settings(), Path())
    (server,) = ran.servers
    config = server.config
    assert isinstance(config.app, Application)
    assert config.app.manager is server.manager
    assert config.ws is WebSocketProtocol
    assert isinstance(config.http, type)
    assert (config.loop, config.lifespan) == ("uvloop", "on")
    assert config.log_config is None
    assert (config.access_log, config.proxy_headers, config.server_header) == (False,) * 3
    assert config.timeout_graceful_shutdown == 2
    assert config.ssl_context_factory is None


def test_with_tls_uvicorn_gets_the_context_whose_certificate_is_kept_fresh(
    ran: Ran, tmp_path: Path
) -> None:
    pair = Authority(tmp_path, "ours").issue("it", days=2)
    for name, text in pair.files().items():
        (tmp_path / name).write_text(text)
    tls = {"certificate": "cert.pem", "key": "key.pem"}
    serve(Settings.model_validate({"tls": tls}), tmp_path)
    (server,) = ran.servers
    app = server.config.app
    assert isinstance(app, Application)
    assert app._certificates is not None
    assert server.config.ssl_context_factory is not None
    context = server.config.ssl_context_factory(server.config, lambda: pytest.fail("unused"))
    assert context is app._certificates.context


@pytest.mark.parametrize("how", ["failed", "hurried"])
def test_a_run_that_failed_or_was_hurried_is_no_success(ran: Ran, how: str) -> None:
    ran.ends = lambda server: setattr(server, how, True)
    with pytest.raises(SystemExit) as ended:
        serve(Settings(), Path())
    assert ended.value.code == 1


def test_a_closing_terminal_stops_the_server_but_for_one_that_nohup_started(ran: Ran) -> None:
    ran.sighup = signal.SIG_IGN
    serve(Settings(), Path())
    assert ran.handlers == {}
    ran.sighup = signal.SIG_DFL
    serve(Settings(), Path())
    assert ran.handlers == {signal.SIGHUP: ran.servers[1].handle_exit}


def test_several_workers_have_a_supervisor(ran: Ran) -> None:
    settings = Settings.model_validate(
        {"workers": 2, "broker": SHARED, "shutdown": {"spread": 30, "grace": 4}}
    )
    serve(settings, Path())
    ((sockets, _, announce, drain_seconds),) = ran.supervisors
    assert (sockets, drain_seconds) == (ran.sockets, 34)
    assert ran.servers == []
    announce()
    assert ran.announced == [(settings, ran.sockets[0])]


def test_a_supervisor_whose_workers_failed_ends_with_status_1(ran: Ran) -> None:
    ran.orderly = False
    with pytest.raises(SystemExit) as ended:
        serve(Settings(workers=2, broker=SHARED), Path())
    assert ended.value.code == 1


def test_a_worker_serves_its_own_sockets_and_leaves_signals_to_the_supervisor(ran: Ran) -> None:
    serve(Settings(workers=2, broker=SHARED), Path())
    ((_, work, _, _),) = ran.supervisors
    own = slot(ran)
    work(own)
    (server,) = ran.servers
    assert (server.slot, server.sockets, server.worker) == (own, own.sockets, 1)
    app = server.config.app
    assert isinstance(app, Application)
    assert app._slot is own
    assert ran.handlers == {}


def test_a_worker_that_starts_later_looks_at_the_certificate_again(
    ran: Ran, tmp_path: Path
) -> None:
    authority = Authority(tmp_path, "ours")
    for name, text in authority.issue("first", days=2).files().items():
        (tmp_path / name).write_text(text)
    tls = {"certificate": "cert.pem", "key": "key.pem"}
    serve(Settings.model_validate({"workers": 2, "broker": SHARED, "tls": tls}), tmp_path)
    ((_, work, _, _),) = ran.supervisors
    for name, text in authority.issue("second", days=5).files().items():
        (tmp_path / name).write_text(text)
    work(slot(ran))
    app = ran.servers[0].config.app
    assert isinstance(app, Application)
    assert app._certificates is not None
    assert app._certificates._loaded.not_after > datetime.now(UTC) + timedelta(days=4)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"host": "0.0.0.0"}, "no authentication is configured"),
        ({"workers": 2, "broker": "memory://"}, "workers is 2"),
        ({"tls": {"certificate": "none.pem"}}, "none.pem"),
        ({"channels": {"chat": {"payload": "none.json"}}}, "none.json"),
    ],
    ids=["exposed", "workers", "certificate", "schema"],
)
def test_what_cannot_be_served_is_refused_before_anything_listens(
    ran: Ran, tmp_path: Path, settings: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        serve(Settings.model_validate(settings), tmp_path)
    assert "listens" not in ran.steps
