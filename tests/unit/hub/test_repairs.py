"""repairs.py: a channel that failed is repaired soon, a few times, and given up after that."""

import asyncio

from eventhub.hub.repairs import REPAIRS, REPAIRS_SECONDS, RETRY_SECONDS, Repairs
from tests.harness.virtual_time import in_virtual_time


class Channels:
    """What became of channels."""

    def __init__(self) -> None:
        self.repaired: list[str] = []
        self.given_up: list[str] = []
        self.served = True
        self.repairs = Repairs(self._serves, self.repaired.append, self.given_up.append)

    async def fail(self, *channels: str) -> None:
        """Channels fail one after another, and what is due is done."""
        for channel in channels:
            self.repairs.add(channel)
            assert self.repairs.pending
            await asyncio.sleep(RETRY_SECONDS)
            assert not self.repairs.pending

    def _serves(self, channel: str) -> bool:
        return self.served and channel in ("a", "b")


@in_virtual_time
async def test_a_channel_is_repaired_once_for_several_errors_and_not_at_once() -> None:
    channels = Channels()
    channels.repairs.add("a")
    await asyncio.sleep(RETRY_SECONDS / 2)
    channels.repairs.add("a")
    assert (channels.repaired, channels.repairs.pending) == ([], True)
    await asyncio.sleep(RETRY_SECONDS / 2)
    assert (channels.repaired, channels.repairs.pending) == (["a"], False)
    await asyncio.sleep(RETRY_SECONDS)
    assert channels.repaired == ["a"]


@in_virtual_time
async def test_a_channel_that_fails_again_and_again_is_given_up() -> None:
    channels = Channels()
    await channels.fail(*"a" * REPAIRS, "a", "b")
    assert (channels.repaired, channels.given_up) == (["a"] * REPAIRS + ["b"], ["a"])


@in_virtual_time
async def test_after_a_channel_was_given_up_it_is_repaired_again() -> None:
    channels = Channels()
    await channels.fail(*"a" * REPAIRS, "a")
    channels.repaired.clear()
    await channels.fail(*"a" * REPAIRS, "a")
    assert (channels.repaired, channels.given_up) == (["a"] * REPAIRS, ["a", "a"])


@in_virtual_time
async def test_failures_long_ago_do_not_count() -> None:
    channels = Channels()
    await channels.fail("a")
    await asyncio.sleep(REPAIRS_SECONDS - RETRY_SECONDS)
    await channels.fail(*"a" * REPAIRS)
    assert (channels.repaired, channels.given_up) == (["a"] * (1 + REPAIRS), [])


@in_virtual_time
async def test_failures_count_until_that_time_has_passed_since_the_first() -> None:
    channels = Channels()
    await channels.fail("a")
    await asyncio.sleep(REPAIRS_SECONDS - REPAIRS * RETRY_SECONDS - 0.1)
    await channels.fail(*"a" * REPAIRS)
    assert (channels.repaired, channels.given_up) == (["a"] * REPAIRS, ["a"])


@in_virtual_time
async def test_the_end_of_that_time_forgets_no_later_failures() -> None:
    channels = Channels()
    await channels.fail(*"a" * REPAIRS, "a")
    await channels.fail(*"a" * (REPAIRS - 1))
    await asyncio.sleep(REPAIRS_SECONDS - (2 * REPAIRS - 1) * RETRY_SECONDS)
    await channels.fail("a", "a")
    assert channels.given_up == ["a", "a"]


@in_virtual_time
async def test_failures_of_a_channel_without_subscribers_do_not_count() -> None:
    channels = Channels()
    channels.served = False
    await channels.fail(*"a" * (REPAIRS + 3))
    assert (channels.repaired, channels.given_up) == (["a"] * (REPAIRS + 3), [])


@in_virtual_time
async def test_nothing_is_kept_of_channels_that_failed_long_ago() -> None:
    channels = Channels()
    await channels.fail("a", "a", "b")
    await asyncio.sleep(REPAIRS_SECONDS)
    assert not channels.repairs._tried
