"""Nodes on a NATS server of their own prefix."""

from collections.abc import Iterator

import pytest

from eventhub.brokers.nats import NatsBroker
from eventhub.events.channel_types import Retention
from eventhub.hub.hub import Hub
from tests.harness import nats_servers
from tests.harness.nats_servers import Server
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
