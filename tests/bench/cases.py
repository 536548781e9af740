"""The cases. A case has a few variants that are run in turn, so that they meet the same machine."""

import resource
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from tests.bench.load import Door, Load
from tests.bench.servers import (
    NODE_MODULES,
    EventHub,
    fastapi_route,
    nchan,
    socket_io,
    tutorial,
    two_nodes,
)

HUB, PLAIN, LIMIT, PUBLISHING = "EventHub", "EventHub, plain Python", "C limit", "publishing alone"
SMALL_BUFFER = 64 * 1024
BURST = 16
DEFAULT = EventHub()
MOST = min(20_000, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 600)
"""Connections that one process may have here."""

Kind = Literal["fanout", "latency", "publish", "idle"]
Start = Callable[[Path], AbstractContextManager[Door]]


@dataclass(frozen=True, slots=True)
class Variant:
    """A load on a server, or on the C limit, which writes one batch with each send.

    `beside` is another load at the same time, on a channel of its own.
    """

    name: str
    load: Load
    server: EventHub | Start | Literal["limit"] = DEFAULT
    beside: Load | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """`kind` says which columns its table has.

    The limit uses the event size of the EventHub variant before it.
    """

    name: str
    title: str
    kind: Kind
    variants: tuple[Variant, ...]

    def quick(self) -> "Case":
        """The same case, shorter."""
        return replace(
            self, variants=tuple(replace(v, load=_shorter(v.load)) for v in self.variants)
        )


def _shorter(load: Load) -> Load:
    return replace(load, seconds=load.seconds / 3, warm=0.3, hold=load.hold / 3)


def _peers(load: Load) -> tuple[Variant, ...]:
    """The tutorial, and the other servers that are installed."""
    found = [Variant("tutorial", load, tutorial)]
    if (NODE_MODULES / "socket.io").exists():
        found.append(Variant("Socket.IO", load, socket_io))
    if shutil.which("nginx") and Path("/usr/lib/nginx/modules/ngx_nchan_module.so").exists():
        found.append(Variant("nchan", load, nchan))
    return tuple(found)


def _fan_out(subscribers: int, *, batch: int = 1) -> tuple[Variant, ...]:
    load = Load(subscribers, publishers=1, batch=batch, lockstep=True)
    variants = (
        Variant(HUB, load),
        Variant(PLAIN, load, EventHub(native=False)),
        Variant(LIMIT, replace(load, publishers=0), "limit"),
        Variant(PUBLISHING, replace(load, subscribers=0, lockstep=False)),
    )
    return (*variants, *_peers(load)) if subscribers == 1000 and batch == 1 else variants


def _end_to_end() -> tuple[Variant, ...]:
    names = {1: "1 publisher", 64: "64 publishers"}
    return tuple(Variant(name, Load(1000, publishers=count)) for count, name in names.items())


def _latency() -> tuple[Variant, ...]:
    load = Load(1000, publishers=4, rate=50, seconds=6)
    return (
        Variant(HUB, load),
        Variant(LIMIT, Load(1000, rate=50, seconds=6), "limit"),
        *_peers(load),
    )


def _channels() -> tuple[Variant, ...]:
    one = Load(10_000, publishers=64, rate=2000, seconds=4)
    return Variant("1,000 channels of 10", replace(one, channels=1000)), Variant(
        "100 channels of 100", replace(one, channels=100, rate=200)
    )


def _deflate() -> tuple[Variant, ...]:
    load, server = Load(1000, publishers=1, lockstep=True, size=512), EventHub(compression=True)
    return Variant("plain", load, server), Variant("deflate", replace(load, deflate=True), server)


def _neighbour() -> tuple[Variant, ...]:
    quiet = Load(100, publishers=2, rate=50, seconds=6)
    crowd = Load(10_000, publishers=4, seconds=10)
    return (
        Variant("beside a channel of 10,000, idle", quiet, beside=replace(crowd, rate=0.01)),
        Variant("beside a channel of 10,000, saturated", quiet, beside=crowd),
    )


def _nodes() -> tuple[Variant, ...]:
    load = Load(10, publishers=16, rate=1000, seconds=5)
    return Variant("one node, in memory", load), Variant(
        "from node to node over Redis", load, two_nodes
    )


def _stalled() -> tuple[Variant, ...]:
    load = Load(
        1000, publishers=4, rate=100, size=1024, seconds=9
    )  # the stalled reader is cut off five seconds after its buffer was full
    stalled = replace(load, stalled=1)
    build_many = replace(load, subscribers=2000, stalled=1000)
    return (
        Variant("undisturbed", load, EventHub(buffer_bytes=SMALL_BUFFER)),
        Variant("one stalled, slow: disconnect", stalled, EventHub(buffer_bytes=SMALL_BUFFER)),
        Variant(
            "one stalled, slow: drop", stalled, EventHub(buffer_bytes=SMALL_BUFFER, slow="drop")
        ),
        Variant(
            "1,000 stalled beside them, slow: drop",
            build_many,
            EventHub(buffer_bytes=SMALL_BUFFER, slow="drop"),
        ),
    )


def _publish() -> tuple[Variant, ...]:
    loads = {f"{batch} per request": Load(publishers=64, batch=batch) for batch in (1, 10, 100)}
    return tuple(
        Variant(f"{server}, {name}", load, start)
        for name, load in loads.items()
        for server, start in ((HUB, DEFAULT), ("FastAPI and pydantic", fastapi_route))
    )


def _checks(load: Load) -> tuple[Variant, ...]:
    return Variant("without authentication", load), Variant(
        "with tokens, grants and rates", load, EventHub(auth=True)
    )


def _traces(load: Load) -> tuple[Variant, ...]:
    return Variant("tracing off", load), Variant("on, sample 0.01", load, EventHub(sample=0.01))


def _idle(connections: int) -> tuple[Variant, ...]:
    return (Variant(HUB, Load(connections, hold=9), EventHub(heartbeat=2)),)


CASES = (
    Case("fanout-100", "Fan-out to 100, one event at a time", "fanout", _fan_out(100)),
    Case("fanout-1000", "Fan-out to 1,000, one event at a time", "fanout", _fan_out(1000)),
    Case("fanout-10000", "Fan-out to 10,000, one event at a time", "fanout", _fan_out(10_000)),
    Case("bursts-100", "Fan-out to 100, bursts of 16 events", "fanout", _fan_out(100, batch=BURST)),
    Case(
        "bursts-1000",
        "Fan-out to 1,000, bursts of 16 events",
        "fanout",
        _fan_out(1000, batch=BURST),
    ),
    Case(
        "bursts-10000",
        "Fan-out to 10,000, bursts of 16 events",
        "fanout",
        _fan_out(10_000, batch=BURST),
    ),
    Case("end-to-end", "End to end: from POST to 1,000 subscribers", "fanout", _end_to_end()),
    Case("latency", "Latency at 50 events/s to 1,000 subscribers", "latency", _latency()),
    Case(
        "channels",
        "Many channels: 20,000 deliveries/s to 10,000 subscribers",
        "fanout",
        _channels(),
    ),
    Case(
        "deflate",
        "permessage-deflate, events of 512 bytes to 1,000 subscribers",
        "fanout",
        _deflate(),
    ),
    Case(
        "neighbour",
        "Latency in a channel of 100, 50 events/s, beside a large one",
        "latency",
        _neighbour(),
    ),
    Case(
        "stalled",
        "Stalled readers beside 1,000 (100 events/s of 1 KB, 64 KB buffers)",
        "latency",
        _stalled(),
    ),
    Case("nodes", "Latency from node to node, 1,000 events/s", "latency", _nodes()),
    Case("publish", "Publishing from 64 connections, no subscribers", "publish", _publish()),
    Case(
        "checks-fanout",
        "What authentication costs a fan-out to 1,000",
        "fanout",
        _checks(Load(1000, publishers=1, lockstep=True)),
    ),
    Case(
        "checks-publish",
        "What authentication costs a publish",
        "publish",
        _checks(Load(publishers=64)),
    ),
    Case(
        "checks-batches",
        "What authentication costs a publish of 10",
        "publish",
        _checks(Load(publishers=64, batch=10)),
    ),
    Case(
        "traces-fanout",
        "What tracing costs a fan-out to 1,000",
        "fanout",
        _traces(Load(1000, publishers=1, lockstep=True)),
    ),
    Case("traces-publish", "What tracing costs a publish", "publish", _traces(Load(publishers=64))),
    Case("idle-10000", "10,000 idle connections, a heartbeat every 2 s", "idle", _idle(10_000)),
    Case("idle-most", f"{MOST:,} idle connections, a heartbeat every 2 s", "idle", _idle(MOST)),
)
