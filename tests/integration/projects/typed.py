"""What the types of the client promise. mypy --strict checks it; nothing runs it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, assert_type

from eventhub_client import (
    Deletion,
    Event,
    Gap,
    Hub,
    HubError,
    Item,
    Loaded,
    Member,
    Membership,
    Presence,
    Receipt,
    Signal,
    State,
)
from eventhub_client.sync import Hub as PlainHub


@dataclass
class Order:
    """An order."""

    number: int


async def with_a_loop(hub: Hub) -> None:
    """Each call of the asynchronous hub."""
    assert_type(await hub.publish("a.b", Order(1), if_none_match=True), Receipt)
    assert_type(await hub.publish_many("a.b", [1, 2]), list[Receipt | HubError])
    assert_type(await hub.delete("a.b", "1"), Receipt)
    assert_type(await hub.state("a.b"), State[Any])
    assert_type(await hub.state("a.b", model=Order), State[Order])
    assert_type(await hub.presence("a.b"), list[Member])
    async with hub.publisher("a.b") as out:
        await out.send(Order(1))
        assert_type(out.stored, int)
    async for item in hub.follow("a.b", model=Order):
        assert_type(item, Event[Order] | Deletion | Gap)
        match item:
            case Event():
                assert_type(item.data, Order)
            case Deletion():
                assert_type(item.key, str | None)
            case Gap():
                assert_type(item.reason, str)
    async for any_item in hub.follow("a.b"):
        assert_type(any_item, Item[Any])
    async for live in hub.follow("a.b", model=Order, signals=True, presence=True):
        assert_type(live, Event[Order] | Deletion | Gap | Signal | Presence)
    async for found in hub.load_then_follow("a.b", load, model=Order):
        assert_type(found, Loaded[dict[int, Order]] | Event[Order] | Deletion)


async def load(position: str) -> Loaded[dict[int, Order]]:
    """From a database."""
    return Loaded({}, position)


def load_plainly(position: str) -> Loaded[list[str]]:
    """The same."""
    return Loaded([], position)


def without_a_loop(hub: PlainHub, me: Membership) -> None:
    """Each call of the plain hub."""
    assert_type(hub.publish("a.b", 1, attributes={"subject": "s"}), Receipt)
    assert_type(hub.state("a.b", model=Order).events, Mapping[str, Event[Order]])
    with hub.publisher("a.b", on_refused=lambda data, error: assert_type(error.code, str)) as out:
        out.send(1)
    for item in hub.follow("a.b", "c.>", model=str, member=me):
        assert_type(item, Item[str])
    for found in hub.load_then_follow("a.b", load_plainly):
        assert_type(found, Loaded[list[str]] | Event[Any] | Deletion)
    me.update({"status": "away"})
