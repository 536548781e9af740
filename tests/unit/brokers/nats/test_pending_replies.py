"""brokers/nats/pending_replies.py: callbacks by token, and the window of publishes."""

import asyncio

from nats.aio.client import Client
from nats.aio.msg import Msg

from eventhub.brokers.nats.pending_replies import WINDOW, WINDOW_BYTES, PendingReplies, Reply


def nothing(message: Reply | None) -> None:
    """The reply does not matter."""


async def waits_for_room(replies: PendingReplies, size: int) -> bool:
    waiting = asyncio.create_task(replies.room(size))
    await asyncio.sleep(0)
    waits = not waiting.done()
    waiting.cancel()
    return waits


def test_a_reply_goes_to_its_own_callback_until_it_is_forgotten() -> None:
    replies, received = PendingReplies(), list[Reply | None]()
    token = replies.next_token()
    replies.expect(token, received.append)
    message = Msg(Client())
    replies.deliver("another", message)
    replies.deliver(token, message)
    replies.forget(token)
    replies.deliver(token, message)
    assert received == [message]


def test_the_end_of_the_connection_is_told_to_every_callback() -> None:
    replies, received = PendingReplies(), list[Reply | None]()
    for _ in range(3):
        replies.expect(replies.next_token(), received.append)
    replies.end()
    assert received == [None] * 3


def test_a_full_window_waits_until_one_is_acknowledged() -> None:
    async def main() -> None:
        replies = PendingReplies()
        tokens = [replies.next_token() for _ in range(WINDOW)]
        for token in tokens:
            replies.expect(token, nothing, size=1)
        assert await waits_for_room(replies, 1)
        replies.forget(tokens[0])
        assert not await waits_for_room(replies, 1)

    asyncio.run(main())


def test_one_message_larger_than_the_window_is_sent_alone() -> None:
    async def main() -> None:
        replies = PendingReplies()
        assert not await waits_for_room(replies, WINDOW_BYTES + 1)
        replies.expect(replies.next_token(), nothing, size=WINDOW_BYTES)
        assert await waits_for_room(replies, 1)

    asyncio.run(main())


def test_requests_take_nothing_of_the_window() -> None:
    async def main() -> None:
        replies = PendingReplies()
        for _ in range(WINDOW):
            replies.expect(replies.next_token(), nothing)
        assert not await waits_for_room(replies, 1)

    asyncio.run(main())
