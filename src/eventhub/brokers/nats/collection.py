"""Collects the messages that were requested from JetStream, as long as they come. No I/O."""

import asyncio
from collections.abc import Callable

from eventhub.brokers.nats.answers import LOST
from eventhub.brokers.nats.pending_replies import Reply
from eventhub.errors import BrokerUnavailable


class MessageCollection:
    """Gives messages to `take`, until it returns False."""

    def __init__(self, take: Callable[[Reply], bool]) -> None:
        self._take = take
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._came = 0

    def on_reply(self, message: Reply | None) -> None:
        """A message, or None when the connection is lost."""
        self._came += 1
        if self._done.done():
            return
        try:
            if message is None:
                raise BrokerUnavailable(LOST)
            if not self._take(message):
                self._done.set_result(None)
        except Exception as error:  # raised again in the caller
            self._done.set_exception(error)

    async def wait(self, seconds: float) -> None:
        """Wait for the last message: a server that is slow may go on as long as it sends some.

        Raises BrokerUnavailable if none comes for `seconds`, and what `take` raises.
        """
        seen = -1
        while not self._done.done() and seen != self._came:
            seen = self._came
            await asyncio.wait((self._done,), timeout=seconds)
        if not self._done.done():
            raise BrokerUnavailable("JetStream does not send the requested messages")
        self._done.result()
