"""`eventhub serve` with workers on the memory broker, each with events of its own: enough to test
how they serve and are replaced.

HANG_SECONDS: when one that is silent is taken for one that hangs. FLUSH_SECONDS: how long spans are
sent at the end. END_HANGS: the hub does not obey when it is to end.
"""

import asyncio
import os
from contextlib import suppress

from eventhub.hub.hub import Hub
from eventhub.server import run as server_run
from eventhub.server.process import supervisor

server_run.check_workers = lambda settings: None  # type: ignore[attr-defined]
supervisor.HANG_SECONDS = float(os.environ.get("HANG_SECONDS", supervisor.HANG_SECONDS))
if "FLUSH_SECONDS" in os.environ:
    from eventhub.observability import otel

    otel.FLUSH_SECONDS = float(os.environ["FLUSH_SECONDS"])
run = Hub.run


async def run_for_ever(self: Hub) -> None:
    """As if a cancellation had got lost."""
    try:
        await run(self)
    finally:
        while True:
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()


if "END_HANGS" in os.environ:
    Hub.run = run_for_ever  # type: ignore[method-assign]

if __name__ == "__main__":
    from eventhub.cli import app as command

    command()
