"""A publisher for many events: `send` waits only while too many wait already."""

import uuid
from types import TracebackType

from eventhub_client.client import Client
from eventhub_client.errors import HubError
from eventhub_client.outbox import OnRefused, Outbox, Waiter, Waiting
from eventhub_client.publishing import Delivery, Outcome, check_deletion, publish_many, publish_one


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

    async def send(
        self, data: object, *, refers: str | None = None, relation: str | None = None
    ) -> None:
        """Put an event behind the others. It waits while there is no room, and not for the server.

        One that refers to another takes a request of its own. Raises the HubError of an earlier
        event, and ValueError for what JSON lacks.
        """
        check_deletion(data, relation)
        Delivery(self._timeout, refers=refers, relation=relation)  # raises ValueError
        reference = None if refers is None or relation is None else (refers, relation)
        async with self._changed:
            while not self._outbox.has_room and self._outbox.failure is None:
                await self._changed.wait()
            self._check()
            if self._is_closed:
                raise ValueError("received an event after the end; expected it within the context")
            self._outbox.put(data, reference)
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

    async def _send(self, batch: list[Waiter]) -> None:
        try:
            outcomes = await self._outcomes(batch)
            async with self._changed:
                self._outbox.settle(outcomes)
                self._changed.notify_all()
        except BaseException as failure:  # `send`, `flush` and the end of the context raise it
            async with self._changed:
                self._outbox.fail(failure)
                self._changed.notify_all()

    async def _outcomes(self, batch: list[Waiter]) -> list[Outcome]:
        key, rules = uuid.uuid4().hex, self._client.rules
        if batch[0].reference is None:
            delivery = Delivery(self._timeout, None, key)
            events = [each.event for each in batch]
            return await self._client.call(publish_many(self._channel, events, delivery, rules))
        refers, relation = batch[0].reference
        delivery = Delivery(self._timeout, None, key, refers=refers, relation=relation)
        data = None if relation == "delete" else batch[0].event
        try:
            return [await self._client.call(publish_one(self._channel, data, delivery, rules))]
        except HubError as refused:
            return [refused]
