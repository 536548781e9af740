"""What a load takes in nodes, cores, memory and broker shards: arithmetic on measured costs.

`python -m tests.bench.scale.plan --connections 1000000 --audience 1000 --events 10000`
"""

import argparse
import math
import sys
from dataclasses import dataclass, fields

from tests.bench.scale.results import Results, read

TARGET = 0.5
"""Of a core that a node or a shard of the broker may use: the rest is for peaks and lost nodes."""
NODE_CONNECTIONS = 50_000
"""Of a node: half of what `limits.connections` allows."""
HEARTBEAT = 25.0
MEASURED_PAYLOAD = 128
WIRE_BYTES = 200
"""Of a delivery beside its payload: the event's envelope, and the headers of WebSocket, TCP, IP and
Ethernet.
"""
MOST_NODES = 100_000
MICRO, KIB, GIB = 1e-6, 1024, 1024**2
"""A microsecond in seconds; KiB in bytes; GiB in KiB."""


@dataclass(frozen=True, slots=True)
class Demand:
    """`audience`: subscribers of a channel, with one subscription for each connection. `events`: a
    second, over all channels. `batch`: events in a request. `history`: events that a channel keeps.
    """

    connections: float
    audience: float
    events: float
    batch: float = 1
    payload: float = 128
    history: float = 100

    @property
    def channels(self) -> float:
        return self.connections / self.audience

    @property
    def deliveries(self) -> float:
        """A second."""
        return self.events * self.audience

    @property
    def requests(self) -> float:
        """A second."""
        return self.events / self.batch


@dataclass(frozen=True, slots=True)
class Plan:
    """What it takes on Redis. CPU times are cores that are busy, memory is in GiB, sent bytes are
    per second.
    """

    nodes: int
    busy_cores: float
    memory: float
    listening: float
    """Nodes that get each event."""
    shards: int
    broker_cores: float
    broker_memory: float
    broker_sends: float
    node_sends: float
    """Of one node."""
    one_event_ms: float
    """CPU time in which a node writes one event to its subscribers of a channel."""
    return_seconds: float
    """Until all connections are back after all nodes were lost at once."""


class NoPlan(Exception):
    """More nodes do not help."""


def listening(audience: float, nodes: float) -> float:
    """Nodes that have at least one of a channel's subscribers, if these are spread at random."""
    missed: float = (1 - 1 / nodes) ** audience
    return nodes * (1 - missed)


def plan(demand: Demand, costs: Results) -> Plan:
    """The least number of nodes of which none uses more than `TARGET` of a core, nor has more than
    `NODE_CONNECTIONS`. Raises NoPlan.
    """
    nodes = max(1, math.ceil(demand.connections / NODE_CONNECTIONS))
    while (busy := node_cores(demand, costs, nodes)) > nodes * TARGET:
        if nodes > MOST_NODES:
            raise NoPlan(
                f"{demand.requests:,.0f} requests a second, which reach "
                f"{listening(demand.audience, nodes):,.0f} nodes each, keep every node busy: "
                "more nodes do not help, but batches do (--batch)"
            )
        nodes = max(nodes + 1, min(math.ceil(busy / TARGET), nodes * 2))
    heard = listening(demand.audience, nodes)
    broker = broker_cores(demand, costs, nodes)
    share = demand.audience / heard
    handshakes = demand.connections * costs.of("handshakes", "connection") * MICRO
    return Plan(
        nodes=nodes,
        busy_cores=busy,
        memory=node_memory(demand, costs, nodes) / GIB,
        listening=heard,
        shards=max(1, math.ceil(broker / TARGET)),
        broker_cores=broker,
        broker_memory=broker_memory(demand, costs) / GIB,
        broker_sends=per_second(demand, costs, "redis sends", heard)
        + demand.events * heard * (demand.payload - MEASURED_PAYLOAD),
        node_sends=demand.deliveries * (demand.payload + WIRE_BYTES) / nodes,
        one_event_ms=share * delivery(demand, costs) / 1000,
        return_seconds=handshakes / nodes,
    )


def node_cores(demand: Demand, costs: Results, nodes: float) -> float:
    """CPU time of all nodes in a second."""
    beats = demand.connections / HEARTBEAT * costs.of("heartbeats", "connection")
    deliveries = demand.deliveries * delivery(demand, costs)
    heard = listening(demand.audience, nodes)
    extra = demand.events * (demand.payload - MEASURED_PAYLOAD) / KIB * costs.of("publish", "KiB")
    return (beats + deliveries + extra) * MICRO + per_second(
        demand, costs, "redis nodes", heard
    ) * MICRO


def broker_cores(demand: Demand, costs: Results, nodes: float) -> float:
    """CPU time of all shards in a second."""
    heard = listening(demand.audience, nodes)
    return per_second(demand, costs, "redis", heard) * MICRO


def node_memory(demand: Demand, costs: Results, nodes: float) -> float:
    """KiB of all nodes, each of which is a server of its own. Workers of one server need less."""
    connection = costs.of("connections", "connection")
    channel = costs.of("own channels", "connection") - connection
    followed = demand.channels * listening(demand.audience, nodes)
    return (
        nodes * costs.of("workers", "worker") + demand.connections * connection + followed * channel
    )


def broker_memory(demand: Demand, costs: Results) -> float:
    """KiB of all shards."""
    event = costs.of("redis history", "event") + (demand.payload - MEASURED_PAYLOAD) / KIB
    channel = costs.of("redis channels", "channel")
    return demand.channels * (channel + max(0, demand.history - 1) * event)


def delivery(demand: Demand, costs: Results) -> float:
    """Microseconds of a delivery."""
    more = (demand.payload - MEASURED_PAYLOAD) / KIB * costs.of("writes", "KiB")
    return costs.of("delivery", "subscriber") + more


def per_second(demand: Demand, costs: Results, cost: str, heard: float) -> float:
    """A cost of requests over a broker, for the requests of a second."""
    terms = (1, demand.batch, heard, heard * demand.batch)
    weights = costs.models[cost].coefficients.values()
    return demand.requests * sum(x * y for x, y in zip(terms, weights, strict=True))


def main() -> None:
    """Print a plan."""
    parser = argparse.ArgumentParser(description=__doc__)
    for field in fields(Demand):
        needed = field.name in ("connections", "audience", "events")
        default = None if needed else field.default
        parser.add_argument(f"--{field.name}", type=_positive, required=needed, default=default)
    demand = Demand(**vars(parser.parse_args()))
    if demand.audience > demand.connections:
        parser.error(
            f"--audience is {demand.audience:g}; "
            f"expected at most the connections, {demand.connections:g}"
        )
    try:
        found = plan(demand, read())
    except NoPlan as refusal:
        raise SystemExit(str(refusal)) from None
    for field in fields(Plan):
        sys.stdout.write(f"{field.name}: {getattr(found, field.name):,.4g}\n")


def _positive(text: str) -> float:
    """For argparse, which says which option it is."""
    number = float(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text} was given; expected a number above 0")
    return number


if __name__ == "__main__":
    main()
