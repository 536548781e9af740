"""What the client needs from its program: with an event loop or without one. No I/O happens here.

`async_transport.py` waits in an event loop. In `sync_transport.py` nothing ever waits in the sense
of a coroutine: its methods block, so that `run` takes any coroutine of the client to its end.
"""

from collections.abc import Coroutine, Mapping
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Protocol, TypeVar

from eventhub_client.steps import Answer, Reply, Request, Unreachable

T = TypeVar("T")


class Socket(Protocol):
    """An open WebSocket."""

    async def receive(self, seconds: float) -> Reply:
        """The next message: Received, Closed, or Silence after so many seconds."""
        ...

    async def send(self, text: str) -> None:
        """Send a message. Where the connection is gone, the next `receive` shows it."""
        ...

    def send_soon(self, text: str) -> None:
        """The same from any thread, in order, without waiting."""
        ...

    async def close(self) -> None:
        """Close it, whatever its state is."""
        ...


class Transport(Protocol):
    """The two ways to a server."""

    async def request(
        self, url: str, request: Request, headers: Mapping[str, str]
    ) -> Answer | Unreachable:
        """An HTTP request."""
        ...

    async def open(self, url: str, headers: Mapping[str, str]) -> Socket:
        """A WebSocket. Raises one of FAILED (wire.py)."""
        ...

    async def close(self) -> None:
        """Close the connections of requests."""
        ...


class Condition(Protocol):
    """A lock, and a wait for others that hold it. It is not recursive."""

    async def __aenter__(self) -> object: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None: ...

    async def wait(self) -> object:
        """Wait until another one notifies."""
        ...

    def notify_all(self) -> None:
        """Let all go on that wait."""
        ...


class Runtime(Protocol):
    """Time and concurrency."""

    async def sleep(self, seconds: float) -> None:
        """Do nothing for this time."""
        ...

    def alone(self) -> AbstractAsyncContextManager[object]:
        """A lock that all calls of a hub share."""
        ...

    def condition(self) -> Condition:
        """A new condition."""
        ...

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Do this beside the caller. It must end by itself."""
        ...


def run(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never waits for an event loop."""
    try:
        work.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    work.close()
    raise TypeError("received an asynchronous function; expected a plain one without an event loop")
