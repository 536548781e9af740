"""Faults between the Python client and its server, to show that nothing is lost, twice or out of
order (tests/integration/RESULTS.md): `python -m tests.integration.client_faults --rounds 5`.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import astuple
from pathlib import Path

from eventhub.auth.keys import hash_key
from tests.harness.credentials import SECRET
from tests.harness.eventhub import EventHubServer
from tests.harness.proxy import Proxy
from tests.integration.client_books import Books
from tests.integration.client_trial import SOON, Trial

KEY = "ehk_" + "k" * 43
CONFIG = f"""
broker: sqlite:///events.db
heartbeat: 1
log: {{level: warning}}
shutdown: {{grace: 1, reconnect_within: 0.2}}
auth:
  keys: [{{name: backend, hash: "{hash_key(KEY)}", publish: ['>'], subscribe: ['>']}}]
  tokens: {{leeway: 0, warning: 1, keys: [{{algorithm: HS256, secret: "{SECRET.decode()}"}}]}}
channels: {{orders: {{payload: json, history: {{events: 100000, age: 1h}}}}}}
"""
BAD_GATEWAY = (
    b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 13\r\nConnection: close\r\n\r\n<html>no</html"
)


class Scene:
    """A server, and a proxy in front of it."""

    def __init__(self, hub: EventHubServer, proxy: Proxy) -> None:
        self.hub, self.proxy = hub, proxy

    async def kill(self, trial: Trial) -> None:
        """kill -9 of the server."""
        await asyncio.to_thread(self.hub.kill)
        await asyncio.to_thread(self.hub.start)

    async def drain(self, trial: Trial) -> None:
        """SIGTERM: each client gets a goodbye."""
        await asyncio.to_thread(self.hub.restart)

    async def cut(self, trial: Trial) -> None:
        """All connections end at once."""
        self.proxy.cut()

    async def half_close(self, trial: Trial) -> None:
        """Each side hears that the other will say nothing more."""
        self.proxy.half_close()

    async def stall(self, trial: Trial) -> None:
        """Nothing passes for more than two heartbeats, and nothing ends."""
        self.proxy.stall()
        await asyncio.sleep(2.5)
        self.proxy.heal()

    async def bad_gateway(self, trial: Trial) -> None:
        """While the server is away, what stands before it answers 502 and HTML."""
        await asyncio.to_thread(self.hub.kill)

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(65536)
            writer.write(BAD_GATEWAY)
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", self.hub.port):
            await asyncio.sleep(1)
        self.proxy.cut()
        await asyncio.to_thread(self.hub.start)

    async def expiry(self, trial: Trial) -> None:
        """Each follower gets a token that ends soon, and renews it."""
        for login in trial.logins:
            login.soon = True
        self.proxy.cut()
        await asyncio.sleep(SOON)

    async def clock_jump(self, trial: Trial) -> None:
        """The clock of the clients is an hour late, then a year ahead."""
        real = time.time
        for jump in (-3600, 31_536_000):
            self.jump = jump
            time.time = lambda: real() + self.jump
            try:
                await trial.more(20)
            finally:
                time.time = real

    async def kill_client(self, trial: Trial) -> None:
        """kill -9 of a process that follows with a cursor."""
        await asyncio.to_thread(trial.restart_worker)


Fault = Callable[[Scene, Trial], Awaitable[None]]
FAULTS: dict[str, Fault] = {
    "kill -9 of the server": Scene.kill,
    "drain and restart of the server": Scene.drain,
    "connections cut": Scene.cut,
    "connections half closed": Scene.half_close,
    "stalled for 2.5 heartbeats": Scene.stall,
    "a proxy that answers 502": Scene.bad_gateway,
    "tokens that end": Scene.expiry,
    "clock of the client jumps": Scene.clock_jump,
    "kill -9 of the client": Scene.kill_client,
}


async def endure(directory: Path, faults: list[Fault], rounds: int) -> Books:
    """Cause each fault so many times while clients work; the accounts."""
    hub = EventHubServer(directory, CONFIG)
    await asyncio.to_thread(hub.start)
    try:
        async with Proxy(hub.port) as proxy:
            trial, scene = (
                Trial(f"http://127.0.0.1:{proxy.port}", directory, KEY),
                Scene(hub, proxy),
            )

            async def harm(running: Trial) -> None:
                for fault in faults * rounds:
                    await fault(scene, running)
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
