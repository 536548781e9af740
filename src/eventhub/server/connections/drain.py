"""Ends all connections when the node stops.

A drain goes through these states:

| state     | new connections                   | open connections             | publishing |
|-----------|-----------------------------------|------------------------------|------------|
| serving   | accepted                          | served                       | accepted   |
| `begin`   | refused; accepted if alone        | served                       | accepted   |
| `run`     | refused; told to leave if alone   | told to leave, then flushed  | accepted   |
| `close`   | refused; told to leave if alone   | the rest was cut off         | refused    |

The node is alone if no other node remains that could serve its clients.
"""

import asyncio
import random
from collections.abc import Callable, Collection
from contextlib import suppress

import structlog

from eventhub.config.sections import ShutdownSettings
from eventhub.errors import ShuttingDown
from eventhub.hub.hub import Hub
from eventhub.server.connections.connection import SessionConnection
from eventhub.server.connections.drain_pace import all_at_once, at_a_pace, reconnect_delay

FLUSH_SECONDS = 0.5
"""Longest wait for flushes while no client is served. A client that is cut off resumes later."""

log = structlog.get_logger("eventhub.connections")


Contain = Callable[[SessionConnection, str, Callable[[], None]], None]
"""Does work of one connection. An exception ends that connection only."""


class Drain:
    """Sends clients away. `connections` are the open ones, live: closed ones leave it."""

    def __init__(
        self,
        hub: Hub,
        settings: ShutdownSettings,
        connections: Collection[SessionConnection],
        contain: Contain,
    ) -> None:
        self._hub = hub
        self._settings = settings
        self._connections = connections
        self._contain = contain
        self._all_closed = asyncio.Event()
        self.start_seconds: float | None = None
        """Seconds from the start of this process until it listened, if known."""
        self.alone = False
        """The node stops and no other node remains. So it serves new connections as before."""
        self._sent_at_once: int | None = None
        """How many clients were sent away together; None before that."""

    @property
    def refusing(self) -> bool:
        """New connections must go to another node."""
        return self._hub.draining and not self.alone

    def begin(self, workers: int = 1) -> None:
        """Announce the stop. `workers`: how many nodes stop together, including this one."""
        self._hub.draining = True
        self.alone = len(self._hub.nodes.others) < workers

    async def run(self) -> None:
        """Send all clients away. Waits until they are gone or the grace period is over.

        With other nodes, a share leaves each second, each client is served until its own goodbye,
        and other requests are served until `close`. Alone, all leave at once, because no other node
        can serve them until this node has started again. The process must then end soon.
        """
        leaving = list(self._connections)
        # Clients that came together, as those of one region do, must not leave together.
        random.shuffle(leaving)
        if self.alone:
            self._sent_at_once = len(leaving)
            await all_at_once(leaving, self._send_away)
            return await self._flush(min(self._settings.grace, FLUSH_SECONDS))
        # If the hub has ended, nothing is delivered any more, so clients gain nothing by waiting.
        spread = 0 if self._hub.ended else self._settings.spread
        await at_a_pace(leaving, self._send_away, spread)
        await self._flush(self._settings.grace)

    def close(self) -> None:
        """Refuse publishing from now on."""
        self._hub.draining = self._hub.closing = True

    def cut_off(self) -> None:
        """Abort all connections. Their clients resume as after any broken connection."""
        for connection in list(self._connections):
            self._hub.faults.contain("cut_off", connection.abort)

    def shutting_down(self, number: int | None = None) -> ShuttingDown:
        """Return the error for one client, with its own moment to come back.

        `number` is the client's place among those that leave at once; None for a random place.
        """
        if self.alone:
            if number is None:
                number = random.randint(0, self._sent_at_once or 0)
            delay = reconnect_delay(number, self.start_seconds, random.random())
        else:
            delay = random.uniform(0.2, 1.0) * self._settings.reconnect_within
        return ShuttingDown("the server is about to stop; reconnect and resume", retry_after=delay)

    def connection_opened(self, connection: SessionConnection) -> None:
        """Note a new connection. If all others were already sent away, it follows them."""
        self._all_closed.clear()
        if self._sent_at_once is not None:
            asyncio.get_running_loop().call_soon(self._send_away, connection)

    def connection_closed(self) -> None:
        """Note that a connection has closed."""
        if not self._connections:
            self._all_closed.set()

    async def _flush(self, seconds: float) -> None:
        if self._connections:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._all_closed.wait(), seconds)
        if self._connections:
            log.warning(
                "cut_off",
                connections=len(self._connections),
                reason="neither read its data nor left in time",
            )
            self.cut_off()

    def _send_away(self, connection: SessionConnection, number: int | None = None) -> None:
        if connection in self._connections:
            self._contain(
                connection, "goodbye", lambda: connection.goodbye(self.shutting_down(number))
            )
