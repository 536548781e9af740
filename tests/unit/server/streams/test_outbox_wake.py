"""server/streams/outbox.py: a sender is woken once."""

import asyncio

from eventhub.delivery.encoding import LINES
from eventhub.server.streams.outbox import Outbox
from tests.harness.virtual_time import in_virtual_time


@in_virtual_time
async def test_a_sender_that_was_woken_waits_again_afterwards() -> None:
    outbox = Outbox(LINES, 1000, lambda: None, lambda: None)
    loop = asyncio.get_running_loop()
    begin = loop.time()
    outbox.wake_sender()
    assert await outbox.take(10) == b""
    assert loop.time() == begin
    assert await outbox.take(10) == b""
    assert loop.time() == begin + 10
