"""What is measured: each cost, the terms of its model, and the sizes that the fit does not see.

A cost is a sum of terms. `delivery` is so many microseconds for an event, and so many for each of
its subscribers. A size is a tuple of numbers, such as (subscribers,) or (nodes, batch).
"""

from collections.abc import Callable
from dataclasses import dataclass

Size = tuple[int, ...]
Term = Callable[..., float]
KIB = 1024


@dataclass(frozen=True, slots=True)
class Cost:
    """`terms`: how often a size has each. `held_out`: sizes that the model has to predict."""

    name: str
    title: str
    unit: str
    axes: tuple[str, ...]
    terms: dict[str, Term]
    fitted: tuple[Size, ...]
    held_out: tuple[Size, ...]

    @property
    def sizes(self) -> tuple[Size, ...]:
        return tuple(sorted(self.fitted + self.held_out))

    def row(self, size: Size) -> list[float]:
        """How often this size has each term."""
        return [float(term(*size)) for term in self.terms.values()]


def _one(*size: int) -> float:
    return 1.0


def _line(of: str, *, first: str = "first") -> dict[str, Term]:
    """A constant, and something for each."""
    return {first: _one, of: lambda count: count}


def heartbeat_of(count: int) -> float:
    """Seconds between heartbeats of so many connections: time enough for a client on a busy core
    to answer all of them.
    """
    return max(1.5, count / 2000)


def seconds_to_hold(count: int) -> float:
    """In which each connection has one heartbeat."""
    return heartbeat_of(count) * 1.05


def _singles(*counts: int) -> tuple[Size, ...]:
    return tuple((count,) for count in counts)


def _kept(payload: int, *counts: int) -> tuple[Size, ...]:
    return tuple((count, payload) for count in counts)


CONNECTIONS = _singles(500, 2000, 6000, 12_000), _singles(1000, 4000)
OWN_CHANNELS = _singles(500, 1000, 4000, 8000), _singles(2000, 6000)
CHANNELS = _singles(1000, 10_000, 30_000, 50_000), _singles(4000, 20_000)
NODES = tuple((nodes, batch) for batch in (1, 10, 100) for nodes in (1, 2, 4, 8))
NODES_HELD_OUT = ((3, 1), (6, 1), (3, 10), (6, 100))
BODY: dict[str, Term] = {
    "event": lambda batch, payload: batch,
    "KiB": lambda batch, payload: batch * payload / KIB,
}
NODE_TERMS: dict[str, Term] = {
    "request": _one,
    "event": lambda nodes, batch: batch,
    "request to a node": lambda nodes, batch: nodes,
    "event to a node": lambda nodes, batch: nodes * batch,
}


def _nodes(name: str, title: str, unit: str = "µs") -> Cost:
    axes = ("nodes that listen", "events a request")
    return Cost(name, title, unit, axes, NODE_TERMS, NODES, NODES_HELD_OUT)


COSTS = {
    cost.name: cost
    for cost in (
        Cost(
            "handshakes",
            "CPU time of that many handshakes",
            "µs",
            ("connections",),
            {"connection": lambda count: count},
            *CONNECTIONS,
        ),
        Cost(
            "connections",
            "memory of connections to one channel",
            "KiB",
            ("connections",),
            _line("connection"),
            *CONNECTIONS,
        ),
        Cost(
            "heartbeats",
            "CPU time of an idle server in which each connection has one heartbeat",
            "µs",
            ("connections",),
            {"second": lambda count: seconds_to_hold(count), "connection": lambda count: count},
            *CONNECTIONS,
        ),
        Cost(
            "own channels",
            "memory of connections, each to a channel of its own",
            "KiB",
            ("connections",),
            _line("connection"),
            *OWN_CHANNELS,
        ),
        Cost(
            "delivery",
            "CPU time of an event to one channel, its request included",
            "µs",
            ("subscribers",),
            _line("subscriber", first="event"),
            _singles(100, 1000, 4000, 12_000),
            _singles(400, 8000),
        ),
        Cost(
            "small channels",
            "CPU time of an event to one of many small channels, its request included",
            "µs",
            ("subscribers of the channel",),
            _line("subscriber", first="event"),
            _singles(1, 10, 40, 100),
            _singles(4, 20),
        ),
        Cost(
            "writes",
            "CPU time of one write to one of 1,000 subscribers",
            "µs",
            ("events a write", "bytes of payload"),
            {"write": _one, **BODY},
            ((1, 128), (16, 128), (64, 128), (1, 2048), (1, 8192), (16, 1024)),
            ((4, 128), (1, 1024)),
        ),
        Cost(
            "rate",
            "CPU time in a second, events to 100 subscribers",
            "µs",
            ("events a second",),
            _line("event", first="second"),
            _singles(50, 100, 400, 1600),
            _singles(200, 800),
        ),
        Cost(
            "publish",
            "CPU time of a request that publishes, no subscribers",
            "µs",
            ("events a request", "bytes of payload"),
            {"request": _one, **BODY},
            ((1, 128), (4, 128), (20, 128), (100, 128), (1, 4096), (1, 16_384), (20, 1024)),
            ((10, 128), (50, 128), (1, 1024)),
        ),
        Cost(
            "history",
            "memory of events in a channel's history",
            "KiB",
            ("events", "bytes of payload"),
            {"first": _one, **BODY},
            (
                (5000, 128),
                (20_000, 128),
                (50_000, 128),
                (5000, 1024),
                (20_000, 1024),
                (10_000, 4096),
            ),
            ((10_000, 128), (10_000, 1024)),
        ),
        Cost(
            "channels",
            "memory of channels without subscribers, one event in the history of each",
            "KiB",
            ("channels",),
            _line("channel"),
            *CHANNELS,
        ),
        Cost(
            "bare channels",
            "memory of channels without subscribers and without history",
            "KiB",
            ("channels",),
            _line("channel"),
            *CHANNELS,
        ),
        Cost(
            "workers",
            "memory (PSS) of a server with workers",
            "KiB",
            ("workers",),
            _line("worker", first="supervisor"),
            _singles(1, 2, 4, 8),
            _singles(3, 6),
        ),
        _nodes("redis nodes", "CPU time of all nodes for a request, on Redis"),
        _nodes("redis", "CPU time of Redis for a request"),
        _nodes("redis sends", "bytes that Redis sends for a request", "bytes"),
        _nodes("nats nodes", "CPU time of all nodes for a request, on NATS"),
        _nodes("nats", "CPU time of nats-server for a request"),
        _nodes("nats sends", "bytes that nats-server sends for a request", "bytes"),
        Cost(
            "redis channels",
            "memory of channels in Redis, one event in the history of each",
            "KiB",
            ("channels",),
            _line("channel"),
            _singles(500, 2000, 4000, 8000),
            _singles(1000, 6000),
        ),
        Cost(
            "redis history",
            "memory of events of 128 bytes in a channel's history in Redis",
            "KiB",
            ("events",),
            _line("event"),
            _singles(5000, 20_000, 30_000, 40_000),
            _singles(10_000, 25_000),
        ),
    )
}
