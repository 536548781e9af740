"""The streaming publisher without an event loop."""

import os
from types import TracebackType

from eventhub_client.publisher import Publisher
from eventhub_client.transport import run


class SyncPublisher:
    """As `Publisher`, with plain methods. Threads may share it, in the process that made it.

    Events are sent by a thread of its own. `on_refused` is called by it.
    """

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._process = os.getpid()

    def __enter__(self) -> "SyncPublisher":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process == os.getpid():
            run(self._publisher.__aexit__(kind, error, trace))

    @property
    def stored(self) -> int:
        """As `Publisher.stored`."""
        return self._publisher.stored

    def send(self, data: object, *, refers: str | None = None, relation: str | None = None) -> None:
        """As `Publisher.send`."""
        self._check()
        run(self._publisher.send(data, refers=refers, relation=relation))

    def flush(self) -> None:
        """As `Publisher.flush`."""
        self._check()
        run(self._publisher.flush())

    def _check(self) -> None:
        if self._process != os.getpid():
            raise RuntimeError(
                "received a publisher of another process, whose thread is not here; "
                "expected one that was opened after the fork"
            )
