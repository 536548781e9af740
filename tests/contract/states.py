"""Publishing and reading states, for the contract suite."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

from eventhub.errors import EventHubError
from eventhub.events.event import (
    DELETED,
    KEY,
    HistoryPage,
    NewEvent,
    Position,
    Receipt,
    State,
)
from eventhub.events.keys import is_deletion, key_of
from tests.contract.conftest import Node

StartOne = Callable[[], AbstractAsyncContextManager[Node]]
WHOLE = State()
KEPT = ("keyed", "kept", "alone")
"""Types with keys: in the log, beyond it, and without one."""


def run(start: StartOne, scenario: Callable[[Node], Awaitable[None]]) -> None:
    async def main() -> None:
        async with start() as node:
            await scenario(node)

    asyncio.run(main())


def value(
    node: Node,
    channel: str,
    key: str,
    data: str,
    *,
    expected: Position | None = None,
    once: str | None = None,
) -> NewEvent:
    attributes = {KEY: key} if key else None
    return NewEvent(channel, f'"{data}"'.encode(), node.clock(), attributes, once, expected)


def deletion(
    node: Node,
    channel: str,
    key: str,
    *,
    expected: Position | None = None,
    once: str | None = None,
) -> NewEvent:
    return NewEvent(channel, b"null", node.clock(), {DELETED: key}, once, expected)


async def publish(node: Node, *events: NewEvent) -> list[Position]:
    outcomes = await node.broker.publish(events)
    assert all(isinstance(outcome, Receipt) for outcome in outcomes), outcomes
    return [outcome.position for outcome in outcomes if isinstance(outcome, Receipt)]


async def put(node: Node, channel: str, **values: str) -> list[Position]:
    return await publish(node, *(value(node, channel, key, data) for key, data in values.items()))


async def refused(node: Node, event: NewEvent) -> EventHubError:
    (outcome,) = await node.broker.publish([event])
    assert isinstance(outcome, EventHubError)
    return outcome


async def read(node: Node, channel: str, since: State = WHOLE, limit: int = 100) -> HistoryPage:
    return await node.broker.history(channel, since, limit)


def shown(page: HistoryPage) -> dict[str, str | None]:
    """The page as keys and values, in order."""
    assert len({key_of(event) for event in page.events}) == len(page.events)
    return {
        key_of(event): None if is_deletion(event) else event.data.decode().strip('"')
        for event in page.events
    }
