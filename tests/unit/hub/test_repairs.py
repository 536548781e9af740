"""repairs.py: a channel that failed is repaired soon, a few times, and given up after that."""

import asyncio
import operator
import time
from collections.abc import Awaitable, Callable

import pytest

from eventhub.hub import repairs as repairs_module
from eventhub.hub.repairs import REPAIRS, Repairs
from tests.harness.eventually import in_turns


class Channels:
    """What became of channels."""

    def __init__(self) -> None:
        self.repaired: list[str] = []
        self.given_up: list[str] = []
        self.served = True
        self.repairs = Repairs(
            lambda _: self.served, self.repaired.append, self.given_up.append, time.monotonic
        )

    async def fail(self, channel: str) -> None:
        """A channel fails, and what is due is done."""
        self.repairs.add(channel)
        await in_turns("all to be repaired", lambda: self.repairs.pending, operator.not_)


def run(monkeypatch: pytest.MonkeyPatch, scenario: Callable[[Channels], Awaitable[None]]) -> None:
    monkeypatch.setattr(repairs_module, "RETRY_SECONDS", 0)

    async def main() -> None:
        await scenario(Channels())

    asyncio.run(main())


def test_a_channel_is_repaired_once_for_several_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(channels: Channels) -> None:
        channels.repairs.add("a")
        channels.repairs.add("a")
        assert channels.repaired == [], "not at once"
        await channels.fail("a")
        assert channels.repaired == ["a"]

    run(monkeypatch, scenario)


def test_a_channel_that_fails_again_and_again_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(channels: Channels) -> None:
        for _ in range(REPAIRS + 1):
            await channels.fail("a")
        await channels.fail("b")
        assert (channels.repaired, channels.given_up) == (["a"] * REPAIRS + ["b"], ["a"])

    run(monkeypatch, scenario)


def test_failures_long_ago_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repairs_module, "REPAIRS_SECONDS", 0)

    async def scenario(channels: Channels) -> None:
        for _ in range(REPAIRS + 3):
            await channels.fail("a")
        assert channels.given_up == []

    run(monkeypatch, scenario)
