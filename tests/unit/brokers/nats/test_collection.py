"""brokers/nats/collection.py: messages are waited for as long as they come."""

import asyncio

import pytest

from eventhub.brokers.nats.collection import MessageCollection
from eventhub.brokers.nats.pending_replies import PlainReply, Reply
from eventhub.errors import BrokerUnavailable
from tests.harness.virtual_time import in_virtual_time


def give(messages: MessageCollection, *times: float) -> None:
    for number, after in enumerate(times):
        message = PlainReply(b"%d" % number)
        asyncio.get_running_loop().call_later(after, messages.on_reply, message)


@in_virtual_time
async def test_slow_messages_are_waited_for_as_long_as_they_come() -> None:
    taken = list[bytes]()

    def take(message: Reply) -> bool:
        taken.append(message.data)
        return len(taken) < 3

    messages = MessageCollection(take)
    give(messages, 1.9, 3.8, 5.7)
    await messages.wait(2.0)
    assert taken == [b"0", b"1", b"2"]


@in_virtual_time
async def test_messages_that_no_longer_come_are_given_up() -> None:
    begin = asyncio.get_running_loop().time()
    messages = MessageCollection(lambda _: True)
    give(messages, 1.0)
    with pytest.raises(BrokerUnavailable, match="does not send the requested messages"):
        await messages.wait(2.0)
    assert asyncio.get_running_loop().time() - begin == 4.0


@in_virtual_time
async def test_the_end_of_the_connection_and_an_error_of_the_taker_are_raised() -> None:
    messages = MessageCollection(lambda _: True)
    messages.on_reply(None)
    with pytest.raises(BrokerUnavailable, match="connection"):
        await messages.wait(2.0)
    messages = MessageCollection(lambda _: bool(1 // 0))
    give(messages, 0, 0)
    with pytest.raises(ZeroDivisionError):
        await messages.wait(2.0)
