"""Wiring: builds every part of the server. Nothing else builds its own parts."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from eventhub.brokers.factory import open_broker
from eventhub.brokers.memory import MemoryBroker
from eventhub.config.loader import channel_types
from eventhub.config.settings import Settings
from eventhub.errors import ConfigurationError
from eventhub.hub.hub import Hub
from eventhub.hub.upcasting import UpcastingBroker
from eventhub.observability.metrics import Metrics
from eventhub.server.api import pages
from eventhub.server.api.fastapi_app import build_fastapi_app
from eventhub.server.api.router import RequestRouter
from eventhub.server.connections.manager import ConnectionManager
from eventhub.server.messages.security_headers import ALWAYS, with_headers
from eventhub.server.process.loop_lag import measure_loop_lag
from eventhub.server.process.process_metrics import ProcessMetrics
from eventhub.server.process.supervisor import HEARTBEAT_SECONDS, WorkerSlot
from eventhub.server.process.tls import Certificates
from eventhub.server.process.worker_metrics import WorkerMetrics
from eventhub.server.publish.channels_endpoint import ChannelsEndpoint
from eventhub.server.publish.endpoint import PublishEndpoint
from eventhub.server.security.authentication import Authentication

if TYPE_CHECKING:
    from eventhub.observability.otel import Telemetry

Task = Callable[[], Coroutine[Any, Any, None]]


def create_app(settings: Settings, directory: Path = Path()) -> "Application":
    """Return the application for any ASGI server.

    Schema files are relative to `directory`. Raises ConfigurationError.
    """
    return Application(settings, directory)


class Application:
    """The ASGI application and the parts that it consists of."""

    def __init__(
        self,
        settings: Settings,
        directory: Path,
        slot: WorkerSlot | None = None,
        certificates: Certificates | None = None,
    ) -> None:
        types = channel_types(settings, directory)
        metrics = Metrics(channel_type.name for channel_type in types)
        self._telemetry = open_telemetry(settings, metrics)
        self.refusal: ConfigurationError | None = None
        """Why the schemas of this node cannot be used: they break those at the broker."""
        broker = open_broker(settings, types, directory)
        reading = UpcastingBroker(broker, types) if any(each.version for each in types) else broker
        if isinstance(reading, UpcastingBroker):
            metrics.read(reading.readings)
        self.hub = Hub(types, reading, metrics, self._telemetry)
        self.hub.patterns.most_channels = settings.limits.pattern_channels
        self.hub.filters.most = settings.limits.filters
        self.hub.filters.size = settings.limits.filter_bytes
        authentication = Authentication(
            settings.auth, directory, self.hub.now, settings.limits.bad_credentials
        )
        self.manager = ConnectionManager(settings, self.hub, authentication)
        metrics.read(self.hub.readings)
        metrics.read(self.hub.schemas.readings)
        metrics.read(self.hub.refused_events.readings)
        metrics.read(self.hub.patterns.readings)
        metrics.read(self.hub.patterns.cursors.readings)
        metrics.read(self.manager.readings)
        metrics.read(ProcessMetrics().readings)
        if isinstance(broker, MemoryBroker):
            metrics.read(broker.readings)
        self._measure_loop_lag = partial(measure_loop_lag, metrics.delayed)
        self._certificates = certificates
        if certificates is not None:
            metrics.read(certificates.readings)
        self._slot = slot
        self._workers = WorkerMetrics(slot.number, slot.mailboxes, metrics) if slot else None
        self._scrape = self._workers.scrape if self._workers else metrics.scrape
        self._publish = PublishEndpoint(self.manager)
        self._to_channels = ChannelsEndpoint(self.manager)
        self._router = RequestRouter(
            self.manager, self._publish, self._to_channels, self._serve_routes
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            send = partial(self._send_lifespan, send)
        await self._router(scope, receive, send)

    @cached_property
    def routes(self) -> ASGIApp:
        """FastAPI's part, which serves the lifespan and all but publishing.

        It takes more time than all other parts together, and is built when the lifespan begins.
        """
        api = build_fastapi_app(
            self.manager, self._publish, self._to_channels, self._scrape, self._lifespan
        )
        pages.mount(api, self.hub.types)
        return pages.in_front_of(with_headers(api, ALWAYS))

    async def _serve_routes(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.routes(scope, receive, send)

    @asynccontextmanager
    async def _lifespan(self, api: object) -> AsyncIterator[None]:
        asyncio.get_running_loop().set_exception_handler(self.hub.faults.of_loop)
        if self._telemetry:
            self._telemetry.start(self.hub.nodes.own)
        async with asyncio.TaskGroup() as tasks:
            # Only the end of the hub ends the node. The other tasks restart after a fault.
            work = [
                tasks.create_task(self.hub.run()),
                *(
                    tasks.create_task(self.hub.faults.kept(name, task))
                    for name, task in self._tasks().items()
                ),
            ]
            await self.hub.started.wait()
            refused: ConfigurationError | None = None
            try:
                if not await self.hub.schemas.settle_soon():
                    work.append(tasks.create_task(self._settle_schemas(work[0])))
            except ConfigurationError as error:
                self.refusal = refused = error
            else:
                yield
                if not self.hub.draining:  # another server does not drain
                    self.manager.drain.begin()
                    await self.manager.drain.run()
                    self.manager.drain.close()
            for task in work:
                task.cancel()
        if self._telemetry:
            await self._telemetry.stop()
        if refused is not None:
            raise refused

    async def _send_lifespan(self, send: Send, message: Message) -> None:
        """A refused schema needs no traceback."""
        if message["type"] == "lifespan.startup.failed" and self.refusal is not None:
            message = {"type": message["type"], "message": str(self.refusal)}
        await send(message)

    async def _settle_schemas(self, hub: asyncio.Task[None]) -> None:
        """Wait for a broker that was away at the start. The hub ends if a schema is refused."""
        try:
            await self.hub.schemas.settle_later()
        except ConfigurationError as error:
            self.refusal = error
            hub.cancel()

    def _tasks(self) -> dict[str, Task]:
        """Return the tasks that run beside the hub, by their names in metrics and logs."""
        tasks: dict[str, Task] = {
            "heartbeats": self.manager.send_heartbeats,
            "rates": self.manager.publish_quota.run,
            "admin": self.manager.operators.block_replication.run,
            "pulse": self._measure_loop_lag,
        }
        if self.manager.authentication.key_set:
            tasks["keys"] = self.manager.authentication.key_set.run
        if self._workers:
            tasks["siblings"] = self._workers.run
        if self._slot:
            tasks["seat"] = partial(_send_heartbeats, self._slot)
        if self._certificates:
            tasks["certificates"] = self._certificates.run
        return tasks


async def _send_heartbeats(slot: WorkerSlot) -> None:
    """Tell the supervisor, again and again, that this worker is alive."""
    while True:
        slot.heartbeat()
        await asyncio.sleep(HEARTBEAT_SECONDS)


def open_telemetry(settings: Settings, metrics: Metrics) -> "Telemetry | None":
    """Return what makes and exports spans; None if tracing is off.

    Raises ConfigurationError if OpenTelemetry is not installed.
    """
    if settings.tracing.endpoint is None:
        return None
    try:
        from eventhub.observability.otel import Telemetry
    except ImportError as error:
        raise ConfigurationError(
            f"tracing.endpoint is set, which needs OpenTelemetry, and {error.name} cannot be "
            "imported; install it with `.venv/bin/pip install --require-hashes "
            "-r requirements/image.txt` in the checkout, or set no endpoint"
        ) from None
    return Telemetry(settings.tracing, metrics.spans_dropped)
