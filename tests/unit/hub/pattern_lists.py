"""A hub in virtual time, and a list of channels that a test writes."""

from collections.abc import Awaitable, Callable

from eventhub.common.channel_pattern import ChannelPattern
from eventhub.delivery.pattern_audience import PatternAudience
from eventhub.errors import BrokerUnavailable
from eventhub.events.event import ChannelPage, ChannelSummary, Position
from tests.harness.hubs import running
from tests.harness.virtual_time import run_in_virtual_time
from tests.unit.hub.hub_node import Node


class Lists:
    """The broker's list, which has the channels that a test names."""

    def __init__(self, node: Node, *channels: str) -> None:
        self.channels = list(channels)
        self.calls: list[str] = []
        """Of each call, the pattern."""
        self.limits: list[int] = []
        self.failure: Exception | None = None
        """Raised by the next call."""
        self.meanwhile: Callable[[], Awaitable[object]] | None = None
        """Done once, while a page is read."""
        node.broker.channels = self.read  # type: ignore[method-assign]

    async def read(self, pattern: ChannelPattern, after: str, limit: int) -> ChannelPage:
        self.calls.append(pattern.text)
        self.limits.append(limit)
        if (meanwhile := self.meanwhile) is not None:
            self.meanwhile = None
            await meanwhile()
        if (failure := self.failure) is not None:
            self.failure = None
            raise failure
        found = sorted(name for name in self.channels if pattern.covers(name) and name > after)
        page = [ChannelSummary(name, Position("k3x9", 1), 0, 1) for name in found[:limit]]
        return ChannelPage(page, found[limit - 1] if len(found) > limit else None)


def away() -> BrokerUnavailable:
    return BrokerUnavailable("away")


def audience_of(node: Node) -> PatternAudience:
    """Of the one pattern that has subscribers."""
    (audience,) = node.hub.patterns
    return audience


def run_for_minutes(scenario: Callable[[Node], Awaitable[None]]) -> None:
    """Run with a hub whose minutes take no time."""

    async def main() -> None:
        node = Node()
        async with running(node.hub):
            await scenario(node)
        assert not node.metrics.faults.counts

    run_in_virtual_time(main())
