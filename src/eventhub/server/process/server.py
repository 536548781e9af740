"""uvicorn's server as we run it: how it starts, and how it ends."""

import asyncio
import gc
import os
import signal
import socket
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import structlog
import uvicorn

from eventhub.common.concurrency import race
from eventhub.server.connections.manager import ConnectionManager
from eventhub.server.http.protocol import HttpProtocol
from eventhub.server.http.timers import LAST_CALL_SECONDS
from eventhub.server.process.listeners import announce
from eventhub.server.process.process_metrics import age
from eventhub.server.process.supervisor import WorkerSlot

GARBAGE = 20_000
"""Objects made since the last garbage collection that call for the next. Python's 700 are few where
every handshake makes fifty.
"""
END_SECONDS = 10.0
"""From the end of the drain. What has not ended then (a task, a thread) is given up."""
HASTE_SECONDS = 1
"""For requests under way, where everybody waits for this node to start again."""
HURRY_SECONDS = 3.0
"""The same, from a second signal."""

log = structlog.get_logger("eventhub.server")


class Server(uvicorn.Server):
    """uvicorn, draining before it shuts down. With a seat it is one of several workers."""

    def __init__(
        self, config: uvicorn.Config, manager: ConnectionManager, slot: WorkerSlot | None
    ) -> None:
        super().__init__(config)
        self._manager = manager
        self._slot = slot
        self._hurry = asyncio.Event()
        self.failed = False
        self.hurried = False
        """A second signal came: it ended without waiting for anybody."""

    async def on_tick(self, counter: int) -> bool:
        """A node whose hub has ended takes connections it cannot serve: better to end, and be started again."""
        if self._manager.hub.ended:
            log.critical("hub_ended")
            self.failed = True
            return True
        return await super().on_tick(counter)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say where."""
        await super().startup([])
        for sock in sockets or []:  # uvicorn would wait a minute for a TLS handshake
            server = await asyncio.get_running_loop().create_server(
                self._protocol, sock=sock, ssl=self.config.ssl, backlog=self.config.backlog,
                ssl_handshake_timeout=self._manager.settings.limits.head_seconds if self.config.ssl else None,
            )  # fmt: skip
            self.servers.append(server)
        self._manager.drain.start_seconds = age(
            self._slot.supervisor if self._slot else os.getpid()
        )
        gc.collect()
        gc.freeze()  # what is here now stays: no collection need look at it again
        gc.set_threshold(GARBAGE)
        if self._slot is None:
            announce(self._manager.settings, sockets or [])
        else:
            asyncio.get_running_loop().add_reader(
                self._slot.lifeline, self._orphaned, self._slot.lifeline
            )
            self._slot.taken()

    def _protocol(self) -> asyncio.Protocol:
        protocol: Callable[..., asyncio.Protocol] = self.config.http_protocol_class
        return protocol(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )

    def _orphaned(self, lifeline: int) -> None:
        """The supervisor is gone: nobody would replace this worker, or stop it."""
        asyncio.get_running_loop().remove_reader(lifeline)
        log.error("supervisor_gone")
        self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal drains, the second ends at once.

        Not SIGHUP, which a terminal that closes may send several times; and of workers the supervisor decides, as whoever stops it may
        have sent the signal to all (systemd, a shell).
        """
        if not self.should_exit:
            super().handle_exit(sig, frame)
        elif sig != signal.SIGHUP and self._slot is None and self.started:
            self.hurried = True
            asyncio.get_running_loop().call_soon_threadsafe(self._hasten)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Say goodbye and flush, then stop accepting, and let uvicorn end what is left.

        Among others it listens meanwhile: probes and scrapes see that it is not ready, producers are served, and who comes to stay is told
        when to come again. A node that knows no other stops accepting before the first goodbye: a refused connection is tried again by
        everybody, and an `EventSource` gives up for good at a 503.
        """
        self._manager.drain.begin(len(self._slot.mailboxes) if self._slot else 1)
        log.info("draining", alone=self._manager.drain.alone)
        await race(self._drain(), self._hurried())
        self._stop_listening()
        self._manager.drain.close()
        if self.hurried:
            self._manager.drain.cut_off()
        if self._slot is None:  # the supervisor sees to it that workers end
            _give_up_after(END_SECONDS)
        await super().shutdown()
        log.info("stopped")
        # uvicorn would raise them again: an orderly stop is a success
        self._captured_signals.clear()

    async def _wait_tasks_to_complete(self) -> None:
        """Uvicorn waits for what is under way; not after a second signal."""
        await race(super()._wait_tasks_to_complete(), self._hurried())
        for task in self.server_state.tasks if self.hurried else ():
            task.cancel()

    async def _drain(self) -> None:
        connections: set[Any] = self.server_state.connections
        kept = [connection for connection in connections if isinstance(connection, HttpProtocol)]
        idle = [connection for connection in kept if not self._last_call(connection)]
        if self._manager.drain.alone:
            await asyncio.sleep(
                LAST_CALL_SECONDS if kept else 0
            )  # they are served meanwhile, and so is everybody else
            self._stop_listening()
            self.config.timeout_graceful_shutdown = HASTE_SECONDS
            await self._manager.drain.run()
        else:
            await asyncio.gather(
                self._manager.drain.run(), asyncio.sleep(LAST_CALL_SECONDS if idle else 0)
            )

    def _stop_listening(self) -> None:
        for server in self.servers:
            server.close()

    def _last_call(self, connection: HttpProtocol) -> bool:
        """The others shall have theirs, whatever is wrong with this one."""
        due = False

        def call() -> None:
            nonlocal due
            due = connection.last_call()

        self._manager.hub.faults.contain("last_call", call)
        return due

    def _hasten(self) -> None:
        if not self._hurry.is_set():
            self._hurry.set()
            _give_up_after(
                HURRY_SECONDS
            )  # not in the signal's handler: it may interrupt who holds the lock that starting a thread takes

    async def _hurried(self) -> None:
        await self._hurry.wait()


def _give_up_after(seconds: float) -> None:
    """End this process then, whatever it waits for: on a thread, as the event loop may be what waits."""
    timer = threading.Timer(seconds, _give_up)
    timer.daemon = True
    timer.start()


def _give_up() -> None:
    log.critical("end_hangs", reason="something did not end in time; the process ends without it")
    os._exit(1)
