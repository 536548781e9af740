"""A node whose clock a test sets, and its credentials."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from eventhub.auth.keys import hash_key
from eventhub.auth.principal import STRANGER, Principal
from eventhub.brokers.memory import MemoryBroker
from eventhub.config.loader import channel_types
from eventhub.config.settings import Settings
from eventhub.delivery.encoding import LINES, Encoding
from eventhub.errors import EventHubError, ShuttingDown
from eventhub.hub.hub import Hub
from eventhub.observability.metrics import Metrics
from eventhub.server.connections.deadlines import Deadlines
from eventhub.server.connections.manager import ConnectionManager
from eventhub.server.security.authentication import Authentication
from eventhub.session.session import Session
from tests.harness.builders import Nowhere
from tests.harness.clock import Clock
from tests.harness.credentials import SECRET, token

KEY = "ehk_ana-0123456789"


KEYS = [
    {"name": "ana", "hash": hash_key(KEY), "subscribe": [">"]},
    {"name": "short", "hash": hash_key(KEY + "s"), "expires": "2033-05-18T03:33:20Z"},
]


FIRST_SECONDS = Settings().limits.first_frame_seconds


END = 2_000_000_000
"""In seconds: when tokens here, and the key `short`, end."""


@dataclass(eq=False)
class Holder:
    """A connection that keeps what is written to it, and why it was ended."""

    transport: str = "websocket"
    encoding: Encoding = LINES
    full: bool = False
    data: bytes = b""
    failed: list[EventHubError] = field(default_factory=list)
    manager: ConnectionManager | None = None
    end_reason: str = ""
    session: Session | None = None

    def write(self, data: bytes) -> None:
        self.data += data

    def heard(self) -> list[dict[str, Any]]:
        """The messages since the last call."""
        data, self.data = self.data, b""
        return [orjson.loads(line) for line in data.splitlines()]

    def takes_signal(self, size: int) -> bool:
        return not self.full

    def fail(self, error: EventHubError) -> None:
        self.failed.append(error)
        self.leave()

    def leave(self) -> None:
        assert self.manager is not None
        self.manager.closed(self)
        if self.session is not None:
            self.session.close()

    def buffered(self) -> int:
        return 0

    def heartbeat(self) -> None: ...

    def goodbye(self, error: ShuttingDown) -> None: ...

    def abort(self) -> None: ...


class Node:
    """A connection manager whose clock a test sets."""

    def __init__(self, **fields: Any) -> None:
        auth = {
            "keys": KEYS,
            "tokens": {"keys": [{"algorithm": "HS256", "secret": SECRET.decode()}], "leeway": 0},
            **fields.pop("auth", {}),
        }
        self.clock = Clock(END - 600)
        settings = Settings(auth=auth, **fields)
        types = channel_types(settings, Path())
        self.hub = Hub(
            types,
            MemoryBroker(lambda channel: types.resolve(channel).retention, self.clock),
            Metrics(kind.name for kind in types),
        )
        self.hub.now = self.clock  # the hub's is that of the machine
        self.authentication = Authentication(settings.auth, Path(), self.clock)
        self.manager = ConnectionManager(settings, self.hub, self.authentication)
        self.manager.deadlines = Deadlines(self.clock, self.hub.faults)
        self.registry = self.manager.registry

    def connect(self, principal: Principal = STRANGER) -> Holder:
        """A connection of theirs with a session."""
        holder = Holder(manager=self.manager)
        identity = self.registry.new_identity(principal, "192.0.2.1")
        session = self.manager.session(holder, Nowhere(), identity)
        self.manager.opened(holder, identity, session)
        holder.session = session
        return holder

    def auth(self, holder: Holder, credential: str) -> list[dict[str, Any]]:
        """What a connection hears when it sends this."""
        assert holder.session is not None
        holder.session.receive(orjson.dumps({"type": "auth", "token": credential}))
        return holder.heard()

    def principal(self, holder: Holder) -> Principal:
        return self.manager._connections[holder].principal

    def reach(self, second: float) -> None:
        """It is so late."""
        self.clock.reach(second)


def good(sub: str = "ana", exp: int = END, **more: Any) -> str:
    return token(sub=sub, exp=exp, **more)


def codes(holder: Holder) -> list[str]:
    return [error.code for error in holder.failed]
