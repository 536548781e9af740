"""Wiring: everything is built here and nothing builds its own parts. `create_app` is for any ASGI server, `serve` is ours."""

import asyncio
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
import uvicorn
from starlette.types import Message, Receive, Scope, Send

from eventhub.brokers.factory import open_broker
from eventhub.brokers.memory import MemoryBroker
from eventhub.config.loader import channel_types
from eventhub.config.settings import Settings
from eventhub.errors import ConfigurationError, EventHubError, InvalidRequest
from eventhub.hub.hub import Hub
from eventhub.observability.metrics import Metrics
from eventhub.server.api import pages, routes
from eventhub.server.api.drain_responses import serve_request
from eventhub.server.connections.manager import ConnectionManager
from eventhub.server.http.protocol import protocol_for
from eventhub.server.messages.asgi_extensions import ABORT
from eventhub.server.messages.problem import send_problem
from eventhub.server.messages.request_head import check_query, check_single, combined, stripped
from eventhub.server.messages.security_headers import ALWAYS, with_headers
from eventhub.server.process.listeners import announce, listen
from eventhub.server.process.loop_lag import pulse
from eventhub.server.process.process_metrics import ProcessMetrics
from eventhub.server.process.server import Server
from eventhub.server.process.supervisor import BEAT_SECONDS, Supervisor, WorkerSlot
from eventhub.server.process.tls import Certificates, open_certificates
from eventhub.server.process.worker_metrics import WorkerMetrics
from eventhub.server.publish.endpoint import METHODS, PublishEndpoint
from eventhub.server.publish.request import PREFIX
from eventhub.server.security.authentication import PARAMETER, Authentication
from eventhub.server.security.connection_limits import raise_descriptors
from eventhub.server.security.cors import Cors, is_preflight
from eventhub.server.websocket.asgi import AsgiWebSocket
from eventhub.server.websocket.protocol import WebSocketProtocol

if TYPE_CHECKING:
    from eventhub.observability.otel import Telemetry

SHARED = ("redis", "nats", "tls")
"""How the schemes of brokers begin that several processes can use."""

log = structlog.get_logger("eventhub.server")


class Application:
    """The ASGI application. Publishing goes straight to its endpoint, everything else through FastAPI."""

    def __init__(
        self,
        settings: Settings,
        directory: Path,
        slot: WorkerSlot | None = None,
        certificates: Certificates | None = None,
    ) -> None:
        types = channel_types(settings, directory)
        metrics = Metrics(kind.name for kind in types)
        self._telemetry = open_telemetry(settings, metrics)
        broker = open_broker(settings, types, directory)
        self.hub = Hub(types, broker, metrics, self._telemetry)
        self.manager = ConnectionManager(
            settings,
            self.hub,
            Authentication(settings.auth, directory, self.hub.now, settings.limits.bad_credentials),
        )
        metrics.read(self.hub.readings)
        metrics.read(self.manager.readings)
        metrics.read(ProcessMetrics().readings)
        if isinstance(broker, MemoryBroker):
            metrics.read(broker.readings)
        self._pulse = partial(pulse, metrics.delayed)
        self._certificates = certificates
        if certificates is not None:
            metrics.read(certificates.readings)
        self._publish = PublishEndpoint(self.manager)
        self._seat = slot
        self._siblings = WorkerMetrics(slot.number, slot.mailboxes, metrics) if slot else None
        self._api = routes.build(
            self.manager,
            self._publish,
            self._siblings.scrape if self._siblings else metrics.scrape,
            self._lifespan,
        )
        pages.mount(self._api)
        self._rest = with_headers(self._api, ALWAYS)
        self._cors = Cors(self.manager.origin_check.listed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            if ABORT not in scope.get(
                "extensions", ()
            ):  # under another server than ours, which has looked at heads already
                try:
                    scope["headers"] = stripped(scope["headers"])
                    check_single(scope["headers"])
                except InvalidRequest as error:
                    await _turn_away(scope, send, error)
                    return
            self.manager.forwarded.apply(scope)
            if self.manager.access_log.on:
                send = self.manager.access_log.watch(scope, send)
        if (
            scope["type"] == "http" and scope["method"] == "HEAD"
        ):  # as GET, without a body (RFC 9110, 9.3.2)
            scope, send = {**scope, "method": "GET"}, _headless(send)
        if scope["type"] == "http":
            if self._cors.on:
                send = self._cors.watch(scope, send)
            try:
                check_query(scope["query_string"])
                if not self.manager.host_check.open:
                    self.manager.host_check.check(_host(scope))
                if PARAMETER in scope["query_string"]:
                    query, headers = self.manager.authentication.move_query_token(
                        scope["query_string"], combined(scope["headers"])
                    )
                    scope = {**scope, "query_string": query, "headers": list(headers.items())}
                if scope["method"] == "OPTIONS" and is_preflight(
                    headers := combined(scope["headers"])
                ):
                    self.manager.origin_check.check(headers)
                    await self._cors.preflight(headers, send)
                    return
            except EventHubError as error:
                await send_problem(send, error)
                return
        await self._route(scope, receive, send)

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._dispatch(scope, receive, send)
        else:
            await serve_request(
                self._dispatch,
                self.manager.drain.shutting_down,
                self.hub.faults,
                scope,
                receive,
                send,
            )

    async def _dispatch(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "http" and scope["method"] in METHODS and scope["path"].startswith(PREFIX):
            await self._publish(scope, receive, send)
        elif kind == "websocket":
            await AsgiWebSocket(self.manager).run(scope, receive, send)
        else:
            await self._rest(scope, receive, send)

    @asynccontextmanager
    async def _lifespan(self, api: object) -> AsyncIterator[None]:
        asyncio.get_running_loop().set_exception_handler(self.hub.faults.of_loop)
        if self._telemetry:
            self._telemetry.start(self.hub.nodes.own)
        async with asyncio.TaskGroup() as tasks:
            serving: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
                "heartbeats": self.manager.send_heartbeats,
                "rates": self.manager.publish_quota.run,
                "admin": self.manager.operators.block_replication.run,
                "pulse": self._pulse,
            }
            if self.manager.authentication.key_set:
                serving["keys"] = self.manager.authentication.key_set.run
            if self._siblings:
                serving["siblings"] = self._siblings.run
            if self._seat:
                serving["seat"] = partial(_beat, self._seat)
            if self._certificates:
                serving["certificates"] = self._certificates.run
            # the hub alone may end the node; the others are begun again after a fault
            work = [
                tasks.create_task(self.hub.run()),
                *(tasks.create_task(self.hub.faults.kept(*part)) for part in serving.items()),
            ]
            await self.hub.started.wait()
            yield
            if not self.hub.draining:  # under another server nobody has drained yet
                self.manager.drain.begin()
                await self.manager.drain.run()
                self.manager.drain.close()
            for task in work:
                task.cancel()
        if self._telemetry:
            await self._telemetry.stop()


async def _beat(slot: WorkerSlot) -> None:
    while True:
        slot.beat()
        await asyncio.sleep(BEAT_SECONDS)


def _host(scope: Scope) -> bytes | None:
    for name, value in scope["headers"]:  # mostly the first
        if name == b"host":
            host: bytes = value
            return host
    return None


async def _turn_away(scope: Scope, send: Send, error: EventHubError) -> None:
    if scope["type"] == "http":
        await send_problem(send, error)
    else:
        await send({"type": "websocket.close", "code": error.close_code, "reason": error.code})


def _headless(send: Send) -> Send:
    async def headless(message: Message) -> None:
        if message["type"] == "http.response.start":
            await send(message)
            await send({"type": "http.response.body", "body": b""})

    return headless


def create_app(settings: Settings, directory: Path = Path()) -> Application:
    """The application; schema files are relative to `directory`. Raises ConfigurationError."""
    return Application(settings, directory)


def serve(settings: Settings, directory: Path) -> None:
    """Serve until SIGTERM, SIGINT or SIGHUP. Raises ConfigurationError, and SystemExit when it did not end in good order."""
    check_exposure(settings)
    check_workers(settings)
    raise_descriptors()
    certificates = open_certificates(settings, directory)
    # for several workers, too: what is wrong is told once, and what it imports is shared
    app = Application(settings, directory, certificates=certificates)
    sockets = listen(settings)
    if settings.workers == 1:
        _run(app, certificates, sockets[0])
        return
    work, announcement = (
        partial(_work, settings, directory, certificates),
        partial(announce, settings, sockets[0]),
    )
    if not Supervisor(
        sockets, work, announcement, settings.shutdown.spread + settings.shutdown.grace
    ).run():
        sys.exit(1)


def _work(
    settings: Settings, directory: Path, certificates: Certificates | None, slot: WorkerSlot
) -> None:
    structlog.contextvars.bind_contextvars(worker=slot.number)
    if certificates is not None:
        # they are those of the start; what has come since, and can be used, is for the first
        # connection already
        certificates.look()
    _run(Application(settings, directory, slot, certificates), certificates, slot.sockets, slot)


def _run(
    app: Application,
    certificates: Certificates | None,
    sockets: Sequence[socket.socket],
    slot: WorkerSlot | None = None,
) -> None:
    config = uvicorn.Config(
        app,
        http=protocol_for(app.manager),
        ws=WebSocketProtocol,
        loop="uvloop",
        log_config=None,
        access_log=False,  # ours holds no query strings
        proxy_headers=False,  # ours are for both lanes
        ssl_context_factory=None if certificates is None else lambda *_: certificates.context,
        server_header=False,
        lifespan="on",
        timeout_graceful_shutdown=2,
    )
    server = Server(config, app.manager, slot)
    if slot is None and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # ignored: nohup
        signal.signal(signal.SIGHUP, server.handle_exit)
    server.run(list(sockets))
    if server.failed or server.hurried:
        sys.exit(1)


def open_telemetry(settings: Settings, metrics: Metrics) -> "Telemetry | None":
    """What makes and exports spans; None where tracing is off. Raises ConfigurationError where it is not installed."""
    if settings.tracing.endpoint is None:
        return None
    try:
        from eventhub.observability.otel import Telemetry
    except ImportError as error:
        raise ConfigurationError(
            f"tracing.endpoint is set, which needs OpenTelemetry, and {error.name} cannot be imported; "
            "install it with `.venv/bin/pip install --require-hashes -r requirements/image.txt` in the checkout, or set no endpoint"
        ) from None
    return Telemetry(settings.tracing, metrics.spans_dropped)


def check_workers(settings: Settings) -> None:
    """Raises ConfigurationError for several workers that would not see one another's events."""
    scheme = settings.broker.partition(":")[0]
    if settings.workers > 1 and not scheme.startswith(SHARED):
        raise ConfigurationError(
            f"workers is {settings.workers}, and broker is {scheme}://, which belongs to one process: who listens at one worker would "
            f"miss what is published at another. Use a broker that they share (redis://, nats://), or one worker."
        )


def check_exposure(settings: Settings) -> None:
    """Raises ConfigurationError for a server that strangers could use."""
    if not (settings.loopback or settings.insecure or settings.auth.configured):
        raise ConfigurationError(
            f"host is {settings.host}, which other machines can reach, and no authentication is configured: anybody there could publish "
            "and listen. Configure `auth` (`eventhub key new` makes a key for it), keep to 127.0.0.1, or say --insecure "
            "(EVENTHUB_INSECURE=true) if the network is trusted."
        )


def check_auth(settings: Settings, directory: Path) -> None:
    """Raises ConfigurationError for a key that cannot be used."""
    Authentication(settings.auth, directory, Hub.now)
