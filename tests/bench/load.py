"""One run of the load client: what to do, and what it measured."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tests.bench import cores

Reading = dict[str, float]
"""What the load client prints, with these added: `flushed_10ms`, `delivery_cpu_us`, `event_cpu_us`,
`request_cpu_us`, `events_per_write`, `given_up`.
"""

SLACK_SECONDS = 60
COUNTERS = ("writes", "given_up", "subscribed", "flushed", "flushed_10ms")
"""What a server says of itself: writes to all, readers given up, subscriptions, events at the
sockets, and those there within 10 ms.
"""


@dataclass(frozen=True, slots=True)
class Load:
    """Subscribers, and publishers that send `batch` events a request: the next after each answer,
    or `rate` requests a second, or in `lockstep`: when every subscriber has every event, so that a
    server cannot join events of two requests.

    Subscribers and requests take `channels` in turn. `deflate`: subscribers offer
    permessage-deflate. `hold` seconds of silence, answering pings, take the place of publishing.
    The first `stalled` subscribers stop reading.
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
    channels: int = 1
    deflate: bool = False


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a server wants around an event in a request, and around the events of a batch; {} is the
    channel's number.
    """

    event: tuple[str, str] = ("", "")
    batch: tuple[str, str] = ("[", "]")


@dataclass(frozen=True, slots=True)
class Door:
    """Where a server listens and takes events; {} in a path is the channel's number.

    `publish_port`: of another node that takes the events, if not the same. `header`: a line that
    every request has. A subscriber says `greet` first, if anything, and is served from the message
    on that has `ready` in it.

    `counters` are the server's own: `writes` to all subscribers, and readers `given_up` as too
    slow.
    """

    pid: int
    port: int
    listen: str = "/"
    publish: str = "/"
    ready: str = ""
    greet: str = ""
    publish_port: int = 0
    header: str = ""
    envelope: Envelope = Envelope()
    counters: Callable[[], dict[str, float]] = lambda: dict.fromkeys(COUNTERS, 0.0)


def run(program: Path, load: Load, door: Door, *, spin: bool = True) -> Reading:
    """Apply a load.

    The client spins on a core of its own, if there is one. Raises CalledProcessError if the load
    could not be applied.
    """
    before = door.counters()
    with cores.pinned(cores.CLIENT):
        output = subprocess.run(
            [*_command(program, load, door), *["--spin"] * spin], stdout=subprocess.PIPE, check=True
        ).stdout
    reading: Reading = json.loads(output)
    after = door.counters()
    writes = after["writes"] - before["writes"]
    reading["given_up"] = after["given_up"] - before["given_up"]
    flushed = after["flushed"] - before["flushed"]
    reading["flushed_10ms"] = (
        (after["flushed_10ms"] - before["flushed_10ms"]) / flushed if flushed else 0.0
    )
    reading["events_per_write"] = reading["accepted"] / writes if writes else 0.0
    reading["delivery_cpu_us"] = _per(reading, "deliveries")
    reading["event_cpu_us"] = _per(reading, "events")
    reading["request_cpu_us"] = _per(reading, "requests")
    return reading


@contextmanager
def beside(program: Path, load: Load, door: Door) -> Iterator[None]:
    """Apply a load to channels of its own, from when its subscribers are connected until the
    context ends.
    """
    own = replace(
        door,
        listen=door.listen.replace("bench.", "crowd."),
        publish=door.publish.replace("bench.", "crowd."),
    )
    before = door.counters()["subscribed"]
    with cores.pinned(cores.CLIENT):
        process = subprocess.Popen(
            _command(program, replace(load, seconds=SLACK_SECONDS), own), stdout=subprocess.DEVNULL
        )
    try:
        while door.counters()["subscribed"] < before + load.subscribers:
            if process.poll() is not None:
                raise subprocess.CalledProcessError(process.returncode, process.args)
            time.sleep(0.05)  # between looks at the server's metrics
        yield
    finally:
        process.kill()
        process.wait()


def _command(program: Path, load: Load, door: Door) -> list[str]:
    command = [
        program,
        "--server-pid",
        door.pid,
        "--port",
        door.port,
        "--path",
        door.listen,
        "--subscribers",
        load.subscribers,
    ]
    command += [
        "--warm",
        load.warm,
        "--seconds",
        load.seconds,
        "--hold",
        load.hold,
        "--stalled",
        load.stalled,
    ]
    command += ["--deadline", round(SLACK_SECONDS + load.warm + load.seconds + load.hold)]
    command += ["--channels", load.channels, *["--deflate"] * load.deflate]
    if door.ready:
        command += ["--ready", door.ready]
    if door.publish_port:
        command += ["--publish-port", door.publish_port]
    if door.header:
        command += ["--header", door.header]
    if door.greet:
        command += ["--greet", door.greet]
    if load.publishers:
        command += ["--publish", door.publish, "--publishers", load.publishers]
        command += ["--size", load.size, "--rate", load.rate]
        for name, texts in (("event", door.envelope.event), ("batch", door.envelope.batch)):
            command += [f"--{name}-head", texts[0], f"--{name}-tail", texts[1]]
    command += ["--batch", load.batch] + ["--lockstep"] * load.lockstep
    return [str(word) for word in command]


def _per(reading: Reading, what: str) -> float:
    return reading["server_cpu_us"] / reading[what] if reading[what] else 0.0
