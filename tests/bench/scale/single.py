"""The costs of one node: connections, deliveries, channels, events, requests."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from tests.bench.load import Door, Load
from tests.bench.scale import probe
from tests.bench.scale.cost import heartbeat_of, seconds_to_hold
from tests.bench.scale.measure import Measure, Sample
from tests.bench.scale.sender import send
from tests.bench.servers import EventHub

WARM, SECONDS = 0.2, 0.5
"""Of one reading. The CPU time that is read belongs to the events of these seconds alone."""
TURNS = 1000
"""Subscribers of the channel that `writes` goes to."""
SMALL = 1000
"""Subscribers of all small channels together: so few channels that each was published to before the
CPU time is read. A server takes longer for the first request to a channel.
"""
RATE = 100
"""Subscribers of the channel whose rate changes."""
BATCH = 100
HEADS = 5000
"""More channels than a server remembers heads of requests for: that memory is of requests."""


def connections(measure: Measure) -> Iterator[Sample]:
    """A fresh server for each size, because memory that was used once stays with the process."""
    for size in measure.sizes("connections"):
        (count,) = size
        with _server(heartbeat_of(count)) as door:
            reading = measure.load(Load(count, hold=seconds_to_hold(count)), door)
        yield Sample("handshakes", size, reading["handshake_cpu_us"] * count)
        yield Sample("connections", size, reading["rss_open_kb"] - reading["rss_before_kb"])
        yield Sample("heartbeats", size, reading["server_cpu_us"])


def own_channels(measure: Measure) -> Iterator[Sample]:
    for size in measure.sizes("own channels"):
        (count,) = size
        with _server() as door:
            reading = measure.load(Load(count, channels=count, hold=0.1), door)
        yield Sample("own channels", size, reading["rss_open_kb"] - reading["rss_before_kb"])


def deliveries(measure: Measure) -> Iterator[Sample]:
    """One event at a time, so that no two share a write."""
    with _server() as door:
        for size in measure.sizes("delivery"):
            load = _load(size[0], publishers=1, lockstep=True)
            yield Sample("delivery", size, measure.load(load, door)["request_cpu_us"])
        for size in measure.sizes("small channels"):
            load = _load(SMALL, publishers=1, lockstep=True, channels=SMALL // size[0])
            yield Sample("small channels", size, measure.load(load, door)["request_cpu_us"])
        for size in measure.sizes("writes"):
            load = _load(TURNS, publishers=1, lockstep=True, batch=size[0], payload=size[1])
            reading = measure.load(load, door)
            yield Sample("writes", size, reading["request_cpu_us"] / TURNS)


def rates(measure: Measure) -> Iterator[Sample]:
    with _server() as door:
        for size in measure.sizes("rate"):
            load = replace(_load(RATE, publishers=4), rate=size[0], seconds=1)
            reading = measure.load(load, door)
            share = size[0] / reading["events_per_s"]
            yield Sample("rate", size, reading["server_cpu_us"] / reading["seconds"] * share)


def requests(measure: Measure) -> Iterator[Sample]:
    with _server() as door:
        for size in measure.sizes("publish"):
            load = _load(0, publishers=64, batch=size[0], payload=size[1])
            yield Sample("publish", size, measure.load(load, door)["request_cpu_us"])


def channels(measure: Measure) -> Iterator[Sample]:
    """One server fills up; each size adds to the last."""
    for name, kind in (("channels", "bench"), ("bare channels", "bare")):
        with _server() as door:
            send(door.port, [f"/v1/channels/crowd.{number}" for number in range(HEADS)], event(128))
            before, made = probe.rss_kib(door.pid), 0
            for size in measure.sizes(name):
                paths = [f"/v1/channels/{kind}.{number}" for number in range(made, size[0])]
                send(door.port, paths, event(128))
                made = size[0]
                yield Sample(name, size, probe.rss_kib(door.pid) - before)


def history(measure: Measure) -> Iterator[Sample]:
    """A server for each size of payload; each number of events adds to the last."""
    sizes = measure.sizes("history")
    for payload in sorted({payload for _, payload in sizes}):
        with _server() as door:
            before, made = probe.rss_kib(door.pid), 0
            for count in [count for count, other in sizes if other == payload]:
                keep(door.port, count - made, payload)
                made = count
                yield Sample("history", (count, payload), probe.rss_kib(door.pid) - before)


def keep(port: int, events: int, payload: int) -> None:
    """Publish events that a channel keeps."""
    body = b"[" + b",".join([event(payload)] * BATCH) + b"]"
    send(port, ["/v1/channels/kept.0"] * (events // BATCH), body)


def event(payload: int) -> bytes:
    """Of so many bytes."""
    begin, end = b'{"t":1,"pad":"', b'"}'
    return begin + b"x" * (payload - len(begin) - len(end)) + end


def _load(
    subscribers: int,
    *,
    publishers: int,
    lockstep: bool = False,
    batch: int = 1,
    payload: int = 128,
    channels: int = 1,
) -> Load:
    return Load(
        subscribers,
        publishers=publishers,
        lockstep=lockstep,
        batch=batch,
        size=payload,
        channels=channels,
        warm=WARM,
        seconds=SECONDS,
    )


@contextmanager
def _server(heartbeat: float = 25) -> Iterator[Door]:
    with (
        tempfile.TemporaryDirectory() as directory,
        EventHub(heartbeat=heartbeat).start(Path(directory)) as door,
    ):
        yield door
