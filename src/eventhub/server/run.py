"""Runs the application with our own server: in this process, or in several worker processes."""

import signal
import socket
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import structlog
import uvicorn

from eventhub.config.settings import Settings
from eventhub.errors import ConfigurationError
from eventhub.server.app import Application
from eventhub.server.http.protocol import protocol_for
from eventhub.server.process.listeners import announce, listen
from eventhub.server.process.server import Server
from eventhub.server.process.supervisor import Supervisor, WorkerSlot
from eventhub.server.process.tls import Certificates, open_certificates
from eventhub.server.security.connection_limits import raise_descriptors
from eventhub.server.startup_checks import check_exposure, check_workers
from eventhub.server.websocket.protocol import WebSocketProtocol

log = structlog.get_logger("eventhub.server")


def serve(settings: Settings, directory: Path) -> None:
    """Serve until SIGTERM, SIGINT or SIGHUP.

    Raises ConfigurationError, and SystemExit if the stop was not orderly.
    """
    check_exposure(settings)
    check_workers(settings)
    raise_descriptors()
    certificates = open_certificates(settings, directory)
    # Made for several workers, too: then a fault is reported once, and workers share the imported
    # modules.
    app = Application(settings, directory, certificates=certificates)
    sockets = listen(settings)
    if settings.workers == 1:
        _run(app, certificates, sockets[0])
        return
    supervisor = Supervisor(
        sockets,
        partial(_work, settings, directory, certificates),
        partial(announce, settings, sockets[0]),
        settings.shutdown.spread + settings.shutdown.grace,
    )
    if not supervisor.run():
        sys.exit(1)


def _work(
    settings: Settings, directory: Path, certificates: Certificates | None, slot: WorkerSlot
) -> None:
    """Serve as one worker."""
    structlog.contextvars.bind_contextvars(worker=slot.number)
    if certificates is not None:
        # The files may have changed since the supervisor started.
        certificates.look()
    try:
        _run(Application(settings, directory, slot, certificates), certificates, slot.sockets, slot)
    except ConfigurationError as error:
        log.critical("refused", reason=str(error))
        sys.exit(2)


def _run(
    app: Application,
    certificates: Certificates | None,
    sockets: Sequence[socket.socket],
    slot: WorkerSlot | None = None,
) -> None:
    server = Server(_uvicorn_config(app, certificates), app.manager, slot)
    # nohup ignores SIGHUP, and then so does the server.
    if slot is None and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, server.handle_exit)
    try:
        server.run(list(sockets))
    except SystemExit:
        if app.refusal is None:
            raise
    if app.refusal is not None:
        raise app.refusal
    if server.failed or server.hurried:
        sys.exit(1)


def _uvicorn_config(app: Application, certificates: Certificates | None) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=protocol_for(app.manager),
        ws=WebSocketProtocol,
        loop="uvloop",
        log_config=None,
        access_log=False,  # ours leaves out query strings
        proxy_headers=False,  # ours serve both ASGI and our own protocols
        ssl_context_factory=None if certificates is None else lambda *_: certificates.context,
        server_header=False,
        lifespan="on",
        timeout_graceful_shutdown=2,
    )
