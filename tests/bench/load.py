"""One run of the load client: what to do, and what it measured."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.bench import cores

Reading = dict[str, float]
"""What the load client prints, with these added:
`delivery_cpu_us`, `event_cpu_us`, `request_cpu_us`, `events_per_write`, `given_up`."""

SLACK_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Load:
    """Subscribers, and publishers that send `batch` events a request: the next after each answer, or `rate` requests a second,
    or in `lockstep`: when every subscriber has every event, so that a server cannot join events of two requests.

    `hold` seconds of silence, answering pings, take the place of publishing. The first `stalled` subscribers stop reading.
    """

    subscribers: int = 0
    publishers: int = 0
    batch: int = 1
    lockstep: bool = False
    rate: float = 0
    size: int = 128
    warm: float = 0.5
    seconds: float = 2
    hold: float = 0
    stalled: int = 0


@dataclass(frozen=True, slots=True)
class Door:
    """Where a server listens and takes events. A subscriber is served from the message on that begins with `ready`.

    `counters` are the server's own: `writes` to all subscribers, and readers `given_up` as too slow.
    """

    pid: int
    port: int
    listen: str = "/"
    publish: str = "/"
    ready: str = ""
    counters: Callable[[], dict[str, float]] = lambda: {"writes": 0.0, "given_up": 0.0}


def run(program: Path, load: Load, door: Door) -> Reading:
    """Apply a load. Raises CalledProcessError when it could not be applied."""
    command = [program, "--spin", "--server-pid", door.pid, "--port", door.port, "--path", door.listen, "--subscribers", load.subscribers]
    command += ["--warm", load.warm, "--seconds", load.seconds, "--hold", load.hold, "--stalled", load.stalled]
    command += ["--deadline", round(SLACK_SECONDS + load.warm + load.seconds + load.hold)]
    if door.ready:
        command += ["--ready", door.ready]
    if load.publishers:
        command += ["--publish", door.publish, "--publishers", load.publishers]
        command += ["--size", load.size, "--rate", load.rate]
    command += ["--batch", load.batch] + ["--lockstep"] * load.lockstep
    before = door.counters()
    with cores.pinned(cores.CLIENT):
        output = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, check=True).stdout
    reading: Reading = json.loads(output)
    after = door.counters()
    writes = after["writes"] - before["writes"]
    reading["given_up"] = after["given_up"] - before["given_up"]
    reading["events_per_write"] = reading["accepted"] / writes if writes else 0.0
    reading["delivery_cpu_us"] = _per(reading, "deliveries")
    reading["event_cpu_us"] = _per(reading, "events")
    reading["request_cpu_us"] = _per(reading, "requests")
    return reading


def _per(reading: Reading, what: str) -> float:
    return reading["server_cpu_us"] / reading[what] if reading[what] else 0.0
