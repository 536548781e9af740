"""The rows of the table of costs on docs/scale.md: which coefficient each shows, in plain words."""

from typing import NamedTuple


class Row(NamedTuple):
    """A coefficient of a cost, times `factor`, in `unit`."""

    text: str
    cost: str
    term: str
    unit: str
    factor: float = 1.0


BYTES, MIB = 1024.0, 1 / 1024

ROWS = (
    Row("an idle connection with a subscription", "connections", "connection", "KiB"),
    Row(
        "the same, and the only one of its channel on the node",
        "own channels",
        "connection",
        "KiB",
    ),
    Row("a handshake, with its subscription", "handshakes", "connection", "µs"),
    Row("a heartbeat (each connection has one in 25 s)", "heartbeats", "connection", "µs"),
    Row(
        "**a delivery**: an event to one subscriber",
        "delivery",
        "subscriber",
        "µs",
    ),
    Row(
        "a delivery in a small channel, up to 100 subscribers",
        "small channels",
        "subscriber",
        "µs",
    ),
    Row(
        "an event to a small channel, one at a time, its request included",
        "small channels",
        "event",
        "µs",
    ),
    Row(
        "an event to 100 subscribers, not in lockstep, its request included",
        "rate",
        "event",
        "µs",
    ),
    Row("each further event in the same write to a subscriber", "writes", "event", "µs"),
    Row("each KiB of payload in a delivery", "writes", "KiB", "µs"),
    Row("**a publish**: each request, of a busy server", "publish", "request", "µs"),
    Row("each event in the request", "publish", "event", "µs"),
    Row("each KiB of payload in the request", "publish", "KiB", "µs"),
    Row("an event in history in memory, and its payload", "history", "event", "bytes", BYTES),
    Row("a channel in memory, with one event in its history", "channels", "channel", "KiB"),
    Row("a channel in memory without history", "bare channels", "channel", "KiB"),
    Row("**a server**, without workers", "workers", "supervisor", "MiB", MIB),
    Row("each of its workers, of which each is a **node**", "workers", "worker", "MiB", MIB),
    Row("on Redis, the node that gets a request: for the request", "redis nodes", "request", "µs"),
    Row("and for each event in it", "redis nodes", "event", "µs"),
    Row(
        "each node that follows the channel: for the request's announcement",
        "redis nodes",
        "request to a node",
        "µs",
    ),
    Row("and for each event in it", "redis nodes", "event to a node", "µs"),
    Row("Redis itself: for the request", "redis", "request", "µs"),
    Row("and for each event in it", "redis", "event", "µs"),
    Row(
        "for each node that follows the channel: for the announcement",
        "redis",
        "request to a node",
        "µs",
    ),
    Row("and for each event in it", "redis", "event to a node", "µs"),
    Row("bytes that it sends to such a node for each event", "redis sends", "event to a node", ""),
    Row("a channel in Redis, with one event in its history", "redis channels", "channel", "KiB"),
    Row("a further event in Redis, of 128 bytes", "redis history", "event", "bytes", BYTES),
    Row("on NATS, the node that gets a request: for the request", "nats nodes", "request", "µs"),
    Row("and for each event in it", "nats nodes", "event", "µs"),
    Row(
        "each node that follows the channel: for the request",
        "nats nodes",
        "request to a node",
        "µs",
    ),
    Row("and for each event in it", "nats nodes", "event to a node", "µs"),
    Row("nats-server itself: for the request", "nats", "request", "µs"),
    Row("and for each event in it", "nats", "event", "µs"),
    Row("for each event to such a node", "nats", "event to a node", "µs"),
    Row("bytes that it sends to such a node for each event", "nats sends", "event to a node", ""),
)
