"""What every transport's connection can do."""

from typing import Protocol

from eventhub.errors import EventHubError, ShuttingDown

TRANSPORTS = ("websocket", "sse", "ndjson", "producer")


class Connection(Protocol):
    """An open connection."""

    transport: str
    """One of TRANSPORTS."""

    def buffered(self) -> int:
        """Return the number of bytes waiting to be sent; 0 once it is closed."""
        ...

    def fail(self, error: EventHubError) -> None:
        """End the connection with this error."""
        ...

    def abort(self) -> None:
        """Close at once and discard the buffer."""
        ...


class SessionConnection(Connection, Protocol):
    """An open connection that the connection manager serves."""

    @property
    def end_reason(self) -> str:
        """What ended it: an error code of PROTOCOL.md or a few words; "" if the peer just left."""
        ...

    def heartbeat(self) -> None:
        """Send a heartbeat, which keeps proxies from closing it; end it if its peer is gone."""
        ...

    def goodbye(self, error: ShuttingDown) -> None:
        """Tell the client to come back after `error.retry_after` seconds; flush and close."""
        ...
