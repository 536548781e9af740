"""Publishers wait while the live subscribers of one of their channels are behind."""

import asyncio

from eventhub.hub.backpressure import Backpressure
from tests.harness.virtual_time import in_virtual_time, turns


@in_virtual_time
async def test_nobody_waits_for_channels_that_are_not_behind() -> None:
    backpressure = Backpressure()
    backpressure.fell_behind("chat.b")
    await backpressure.wait(["chat.a", "chat.c"])
    assert backpressure.channels == ["chat.b"]


@in_virtual_time
async def test_a_publisher_waits_until_every_channel_has_caught_up() -> None:
    backpressure = Backpressure()
    backpressure.fell_behind("chat.a")
    backpressure.fell_behind("chat.b")
    publisher = asyncio.create_task(backpressure.wait(["chat.a", "chat.b"]))
    for channel in ("chat.b", "chat.a"):
        await turns()
        assert not publisher.done()
        backpressure.caught_up(channel)
    await publisher
    assert not backpressure


@in_virtual_time
async def test_a_channel_that_falls_behind_twice_releases_those_that_waited_before() -> None:
    backpressure = Backpressure()
    backpressure.fell_behind("chat.a")
    publisher = asyncio.create_task(backpressure.wait(["chat.a"]))
    await turns()
    backpressure.fell_behind("chat.a")
    backpressure.caught_up("chat.a")
    await publisher


@in_virtual_time
async def test_a_publisher_waits_on_when_the_channel_is_behind_again_before_its_turn() -> None:
    backpressure = Backpressure()
    backpressure.fell_behind("chat.a")
    publisher = asyncio.create_task(backpressure.wait(["chat.a"]))
    await turns()
    backpressure.caught_up("chat.a")
    backpressure.fell_behind("chat.a")
    await turns()
    assert not publisher.done()
    backpressure.caught_up("chat.a")
    await publisher


def test_a_channel_that_was_not_behind_may_catch_up() -> None:
    backpressure = Backpressure()
    backpressure.caught_up("chat.a")
    assert not backpressure
