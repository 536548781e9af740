"""Starts and stops uvicorn's server.

A stop goes through these steps: drain, stop listening, refuse publishing, let uvicorn end the rest.
A second signal skips to the last step (`hurried`).
"""

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
"""New objects after which Python collects garbage. Its default of 700 is low: every handshake makes
fifty objects.
"""
END_SECONDS = 10.0
"""Seconds for tasks and threads to end after the drain. Then the process exits without them."""
HASTE_SECONDS = 1
"""Seconds for running requests if no other node remains: all clients then wait for the restart."""
HURRY_SECONDS = 3.0
"""The same as END_SECONDS, after a second signal."""

log = structlog.get_logger("eventhub.server")


class Server(uvicorn.Server):
    """uvicorn's server, which drains before it stops. With a slot it is one of several workers."""

    def __init__(
        self, config: uvicorn.Config, manager: ConnectionManager, slot: WorkerSlot | None
    ) -> None:
        super().__init__(config)
        self._manager = manager
        self._slot = slot
        self._hurry = asyncio.Event()
        self.failed = False
        self.hurried = False
        """A second signal came, so the server stopped without waiting for clients."""

    async def on_tick(self, counter: int) -> bool:
        """Stop if the hub has ended: this node could accept connections, but not serve them."""
        if self._manager.hub.ended:
            log.critical("hub_ended")
            self.failed = True
            return True
        return await super().on_tick(counter)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen and log it."""
        await super().startup([])
        if self.lifespan.should_exit:  # the application did not start
            return
        # uvicorn itself would wait a minute for a TLS handshake.
        handshake_seconds = self._manager.settings.limits.head_seconds
        for sock in sockets or []:
            server = await asyncio.get_running_loop().create_server(
                self._protocol,
                sock=sock,
                ssl=self.config.ssl,
                backlog=self.config.backlog,
                ssl_handshake_timeout=handshake_seconds if self.config.ssl else None,
            )
            self.servers.append(server)
        self._manager.drain.start_seconds = age(
            self._slot.supervisor if self._slot else os.getpid()
        )
        gc.collect()
        gc.freeze()  # objects that exist now are never freed, so collections should not visit them
        gc.set_threshold(GARBAGE)
        if self._slot is None:
            announce(self._manager.settings, sockets or [])
        else:
            asyncio.get_running_loop().add_reader(
                self._slot.lifeline, self._orphaned, self._slot.lifeline
            )
            self._slot.serving()

    def _protocol(self) -> asyncio.Protocol:
        protocol: Callable[..., asyncio.Protocol] = self.config.http_protocol_class
        return protocol(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )

    def _orphaned(self, lifeline: int) -> None:
        """Stop because the supervisor is gone: nothing would replace or stop this worker."""
        asyncio.get_running_loop().remove_reader(lifeline)
        log.error("supervisor_gone")
        self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain at the first signal and stop at once at the second.

        A second SIGHUP does not count, since a closing terminal may send several. For workers the
        supervisor decides, since systemd or a shell may send one signal to all processes.
        """
        if not self.should_exit:
            super().handle_exit(sig, frame)
        elif sig != signal.SIGHUP and self._slot is None and self.started:
            self.hurried = True
            asyncio.get_running_loop().call_soon_threadsafe(self._hasten)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, then stop listening, and let uvicorn end the rest.

        With other nodes, this one listens during the drain: probes see that it is not ready,
        producers are served, and new subscribers are told when to come back. A node that is alone
        stops listening before the first goodbye: every client retries a refused connection, while
        an `EventSource` gives up for ever at a 503.
        """
        self._manager.drain.begin(len(self._slot.mailboxes) if self._slot else 1)
        log.info("draining", alone=self._manager.drain.alone)
        await race(self._drain(), self._hurried())
        self._stop_listening()
        self._manager.drain.close()
        if self.hurried:
            self._manager.drain.cut_off()
        if self._slot is None:  # the supervisor kills workers that do not end
            _give_up_after(END_SECONDS)
        await super().shutdown()
        log.info("stopped")
        # uvicorn would raise them again, but an orderly stop is a success.
        self._captured_signals.clear()

    async def _wait_tasks_to_complete(self) -> None:
        """Wait for running requests, as uvicorn does, but not after a second signal."""
        await race(super()._wait_tasks_to_complete(), self._hurried())
        for task in self.server_state.tasks if self.hurried else ():
            task.cancel()

    async def _drain(self) -> None:
        connections: set[Any] = self.server_state.connections
        kept = [connection for connection in connections if isinstance(connection, HttpProtocol)]
        idle = [connection for connection in kept if not self._last_call(connection)]
        if self._manager.drain.alone:
            # All connections are served meanwhile.
            await asyncio.sleep(LAST_CALL_SECONDS if kept else 0)
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
        """Return whether a last request is due. A fault ends only this call."""
        due = False

        def call() -> None:
            nonlocal due
            due = connection.last_call()

        self._manager.hub.faults.contain("last_call", call)
        return due

    def _hasten(self) -> None:
        if not self._hurry.is_set():
            self._hurry.set()
            # Starting a thread takes a lock, which the code that a signal interrupts may hold. So
            # this does not run in the signal's handler.
            _give_up_after(HURRY_SECONDS)

    async def _hurried(self) -> None:
        await self._hurry.wait()


def _give_up_after(seconds: float) -> None:
    """Exit after this time, in a thread, since the event loop may hang."""
    timer = threading.Timer(seconds, _give_up)
    timer.daemon = True
    timer.start()


def _give_up() -> None:
    log.critical("end_hangs", reason="something did not end in time; the process ends without it")
    os._exit(1)
