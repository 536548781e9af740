"""A publisher for many events: `send` waits only while too many wait already."""

import uuid
from types import TracebackType

from eventhub_client.client import Client
from eventhub_client.outbox import OnRefused, Outbox, Waiting
from eventhub_client.payloads import Encoded
from eventhub_client.publishing import Delivery, publish_many


class Publisher:
    """Sends events of one channel in their order, in batches, each of them stored once.

    Used as a context. At its end all events are stored, or the error is raised. After an error
    no further batch is sent: it is raised by the next `send` or `flush`, and at the end.
    """

    def __init__(
        self,
        client: Client,
        channel: str,
        bounds: Waiting,
        timeout: float,
        on_refused: OnRefused | None,
    ) -> None:
        Delivery(timeout)  # raises ValueError
        self._client = client
        self._channel = channel
        self._timeout = timeout
        self._outbox = Outbox(bounds, on_refused)
        self._changed = client.runtime.condition()
        self._is_working = self._is_closed = False

    async def __aenter__(self) -> "Publisher":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_closed = True
        if error is None:
            await self.flush()

    @property
    def stored(self) -> int:
        """How many events are stored."""
        return self._outbox.stored

    async def send(self, data: object) -> None:
        """Put an event behind the others. It waits while there is no room, and not for the server.

        Raises the HubError of an earlier event, and ValueError for what JSON lacks.
        """
        async with self._changed:
            while not self._outbox.has_room and self._outbox.failure is None:
                await self._changed.wait()
            self._check()
            if self._is_closed:
                raise ValueError("received an event after the end; expected it within the context")
            self._outbox.put(data)
            if not self._is_working:
                self._is_working = True
                self._client.runtime.start(self._work())

    async def flush(self) -> None:
        """Wait until all events are stored. Raises HubError."""
        async with self._changed:
            while not self._outbox.is_settled:
                await self._changed.wait()
            self._check()

    def _check(self) -> None:
        if self._outbox.failure is not None:
            raise self._outbox.failure

    async def _work(self) -> None:
        """Send batches while there are events."""
        while True:
            async with self._changed:
                if not self._outbox.has_work:
                    self._is_working = False
                    return
                batch = self._outbox.batch()
            await self._send(batch)

    async def _send(self, batch: list[Encoded]) -> None:
        delivery = Delivery(self._timeout, None, uuid.uuid4().hex)
        try:
            outcomes = await self._client.call(
                publish_many(self._channel, batch, delivery, self._client.rules)
            )
            async with self._changed:
                self._outbox.settle(outcomes)
                self._changed.notify_all()
        except BaseException as failure:  # `send`, `flush` and the end of the context raise it
            async with self._changed:
                self._outbox.fail(failure)
                self._changed.notify_all()
