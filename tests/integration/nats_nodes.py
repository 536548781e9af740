"""Nodes on a NATS server of their own prefix."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from eventhub.brokers.nats import NatsBroker
from eventhub.events.channel_types import Retention
from eventhub.hub.hub import Hub
from tests.harness import nats_servers
from tests.harness.eventually import eventually
from tests.harness.nats_servers import Cluster, Server
from tests.integration.checker import Node

CHANNELS = ("log.a", "log.b", "log.c.d")


def retention(channel: str) -> Retention:
    return Retention(100_000, None)


def broker(url: str, timeout: float = 5) -> NatsBroker:
    return NatsBroker(url, retention, Hub.now, timeout=timeout)


def node(url: str, timeout: float = 5) -> Node:
    return Node(broker(url, timeout), retention, CHANNELS)


@pytest.fixture(name="server")
def server_fixture() -> Iterator[Server]:
    """A server that the test may damage."""
    server = Server().start()
    yield server
    server.remove()


def stream_of(server: Server, prefix: str = "eventhub") -> str:
    """The name of the stream of events."""
    name: str = nats_servers.ask(server.port, "STREAM.NAMES", f'{{"subject":"{prefix}.log.>"}}')[
        "streams"
    ][0]
    return name


def leader_of(cluster: Cluster, old: str = "") -> str:
    """The leader of the stream of events, once it is another than `old`."""

    def leaders() -> list[str]:
        found = [info["leader"] for info in stream_clusters(cluster)]
        return [leader for leader in found if leader != old]

    return eventually(f"a leader other than {old!r}", leaders)[0]


def caught_up(cluster: Cluster) -> None:
    """Wait until each server has the whole stream.

    Without it, the next kill is a second failure at the same time: nats-server 2.9 may then lose
    what two servers had acknowledged.
    """

    def current() -> bool:
        (*_, info) = [{"replicas": []}, *stream_clusters(cluster)]
        return len(info["replicas"]) == len(cluster.servers) - 1 and all(
            replica["current"] for replica in info["replicas"]
        )

    eventually("all servers to have the whole stream", current)


def stream_clusters(cluster: Cluster) -> Iterator[dict[str, Any]]:
    """What each server says of the leader and the replicas of the stream of events."""
    for server in cluster.servers:
        with suppress(OSError, AssertionError, KeyError, ValueError, TypeError):
            info = nats_servers.ask(server.port, f"STREAM.INFO.{stream_of(server)}")
            yield info["cluster"]
