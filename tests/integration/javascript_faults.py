"""Faults between the JavaScript client and its server, to show that nothing is lost, twice or out
of order (tests/integration/RESULTS.md): `python -m tests.integration.javascript_faults --rounds 5`.
"""

import argparse
import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import astuple
from pathlib import Path

from tests.harness.eventhub import EventHubServer
from tests.harness.proxy import Proxy
from tests.integration.client_books import Books
from tests.integration.client_faults import CONFIG, KEY
from tests.integration.javascript_trial import JavaScriptTrial

SOON = 15
"""Seconds that such a token lasts: a busy machine must have sent it by then."""
PUBLISHING = CONFIG.replace("payload: json", "payload: json, publish: [client, producer]")


class Scene:
    """A server, a proxy in front of it, and clients in front of that."""

    def __init__(self, hub: EventHubServer, proxy: Proxy, trial: JavaScriptTrial) -> None:
        self.hub, self.proxy, self.trial = hub, proxy, trial

    async def kill(self) -> None:
        """kill -9 of the server."""
        await asyncio.to_thread(self.hub.kill)
        await asyncio.to_thread(self.hub.start)

    async def drain(self) -> None:
        """SIGTERM: each client gets a goodbye."""
        await asyncio.to_thread(self.hub.restart)

    async def cut(self) -> None:
        """All connections end at once."""
        self.proxy.cut()

    async def half_close(self) -> None:
        """Each side hears that the other will say nothing more."""
        self.proxy.half_close()

    async def stall(self) -> None:
        """Nothing passes for more than two heartbeats, and nothing ends."""
        self.proxy.stall()
        await asyncio.sleep(2.5)
        self.proxy.heal()

    async def expiry(self) -> None:
        """Each client gets a token that ends soon, and renews it."""
        self.trial.end_tokens()
        self.proxy.cut()
        await asyncio.sleep(SOON)

    async def clock_jump(self) -> None:
        """The clock of the clients is an hour late, then a year ahead."""
        for seconds in (-3600, 31_536_000):
            await self.trial.jump(seconds)

    async def freeze(self) -> None:
        """The clients do not run for more than two heartbeats, as frozen tabs."""
        await self.trial.freeze(2.5)

    async def kill_client(self) -> None:
        """kill -9 of a process that keeps its cursors in a storage."""
        await self.trial.restart_worker()


Fault = Callable[[Scene], Awaitable[None]]
FAULTS: dict[str, Fault] = {
    "kill -9 of the server": Scene.kill,
    "drain and restart of the server": Scene.drain,
    "connections cut": Scene.cut,
    "connections half closed": Scene.half_close,
    "stalled for 2.5 heartbeats": Scene.stall,
    "tokens that end": Scene.expiry,
    "clock of the client jumps": Scene.clock_jump,
    "clients frozen for 2.5 heartbeats": Scene.freeze,
    "kill -9 of the client": Scene.kill_client,
}


async def endure(directory: Path, faults: list[Fault], rounds: int) -> Books:
    """Cause each fault so many times while clients work; the accounts."""
    hub = EventHubServer(directory, PUBLISHING)
    await asyncio.to_thread(hub.start)
    try:
        async with Proxy(hub.port) as proxy:
            trial = JavaScriptTrial(f"http://127.0.0.1:{proxy.port}", directory, KEY)
            scene = Scene(hub, proxy, trial)

            async def harm(running: JavaScriptTrial) -> None:
                for fault in faults * rounds:
                    await fault(scene)
                    running.faults += 1
                    await running.more(10)

            return await trial.run(harm)
    finally:
        await asyncio.to_thread(hub.kill)


def main() -> None:
    """Each fault by itself, as rows of a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    for name, fault in FAULTS.items():
        with tempfile.TemporaryDirectory() as directory:
            books = asyncio.run(endure(Path(directory), [fault], rounds))
        print(f"| {name} | {' | '.join(map(str, astuple(books)))} |", flush=True)  # noqa: T201
        if not books.clean:
            raise SystemExit(f"not clean: {books}")


if __name__ == "__main__":
    main()
