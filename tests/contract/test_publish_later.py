"""Publishing without a task (`Broker.publish_now`, `Broker.publish_later`) is publishing."""

import asyncio
from collections.abc import Sequence

from eventhub.errors import EventHubError, IdempotencyConflict
from eventhub.events.event import Earliest, NewEvent, Receipt
from tests.contract.conftest import Node
from tests.contract.test_broker import Start, event, run, store, texts

Results = Sequence[Receipt | EventHubError]


async def publish(node: Node, *events: NewEvent) -> Results:
    """As the publish lane does: at once, by a callback, or in this task."""
    if (now := node.broker.publish_now) is not None:
        return [now(each) for each in events]
    later = node.broker.publish_later
    assert later is not None, "a broker stores at once, or tells later"
    answer: asyncio.Future[Results | Exception | None] = asyncio.get_running_loop().create_future()
    if not later(events, answer.set_result):
        return await node.broker.publish(events)
    assert not answer.done(), "it is told in a later turn"
    outcome = await answer
    if outcome is None:
        return await node.broker.publish(events)
    assert not isinstance(outcome, Exception)
    return outcome


def test_events_have_receipts_and_stand_in_the_log_in_order(start: Start) -> None:
    async def scenario(node: Node) -> None:
        await store(node, "many.a", "1")
        await node.broker.subscribe("many.a")
        results = await publish(node, event(node, "many.a", "2"), event(node, "many.a", "3"))
        results = [*results, *await publish(node, event(node, "many.a", "4"))]
        await store(node, "many.a", "5")
        page = await node.broker.history("many.a", Earliest(), 10)
        assert texts(page.events) == ["1", "2", "3", "4", "5"]
        receipts = [Receipt(each.position, each.time) for each in page.events]
        assert list(results) == receipts[1:4]
        assert await node.announced(4) == list(page.events[1:])

    run(start, scenario)


def test_many_at_a_time_are_stored_once_each_and_each_is_told(start: Start) -> None:
    async def scenario(node: Node) -> None:
        names = [str(number) for number in range(60)]
        found = await asyncio.gather(
            *(publish(node, event(node, f"many.{int(name) % 3}", name)) for name in names)
        )
        assert all(isinstance(result, Receipt) for (result,) in found)
        for channel in range(3):
            page = await node.broker.history(f"many.{channel}", Earliest(), 100)
            assert texts(page.events) == names[channel::3]

    run(start, scenario)


def test_a_known_key_gives_the_first_receipt_or_a_conflict(start: Start) -> None:
    async def scenario(node: Node) -> None:
        (first,) = await publish(node, event(node, "many.a", "1", key="k"))
        (again,) = await publish(node, event(node, "many.a", "1", key="k"))
        (other,) = await publish(node, event(node, "many.a", "2", key="k"))
        assert isinstance(first, Receipt)
        assert isinstance(again, Receipt)
        assert (again.position, again.replayed) == (first.position, True)
        assert isinstance(other, IdempotencyConflict)

    run(start, scenario)
