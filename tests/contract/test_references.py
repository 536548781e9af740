"""The broker contract: events that refer to others are events like any other."""

from eventhub.errors import IdempotencyConflict
from eventhub.events.event import Earliest, NewEvent, Position
from tests.contract.conftest import Node
from tests.contract.states import StartOne, publish, refused, run


def referring(
    node: Node, target: Position, relation: str, data: bytes = b"1", once: str | None = None
) -> NewEvent:
    attributes = {"by": "ana", "refers": str(target), "relation": relation, "type": "t"}
    return NewEvent("many.a", data, node.clock(), attributes, once)


def test_the_reference_is_kept_and_the_event_before_it_is_unchanged(start: StartOne) -> None:
    async def scenario(node: Node) -> None:
        await node.broker.subscribe("many.a")
        (first,) = await publish(node, NewEvent("many.a", b'"old"', node.clock()))
        await publish(
            node,
            referring(node, first, "edit", b'"new"'),
            referring(node, first, "delete", b"null"),
        )
        page = await node.broker.history("many.a", Earliest(), 10)
        announced = await node.announced(3)
        for events in (page.events, announced):
            assert [(event.data, dict(event.attributes or {})) for event in events] == [
                (b'"old"', {}),
                (b'"new"', {"by": "ana", "refers": str(first), "relation": "edit", "type": "t"}),
                (b"null", {"by": "ana", "refers": str(first), "relation": "delete", "type": "t"}),
            ]

    run(start, scenario)


def test_a_page_that_begins_before_an_event_has_it_first(start: StartOne) -> None:
    async def scenario(node: Node) -> None:
        ids = await publish(node, *(NewEvent("many.a", b"%d" % n, node.clock()) for n in range(3)))
        for epoch, offset in ids:
            step = node.broker.offset_step
            before = Position(epoch, (offset - 1) // step * step)
            page = await node.broker.history("many.a", before, 1)
            assert [event.position for event in page.events] == [(epoch, offset)]

    run(start, scenario)


def test_the_same_key_with_another_target_or_relation_is_a_conflict(start: StartOne) -> None:
    async def scenario(node: Node) -> None:
        one, two = await publish(node, *(NewEvent("many.a", b"1", node.clock()) for _ in range(2)))
        first = await publish(node, referring(node, one, "reaction", once="k"))
        assert await publish(node, referring(node, one, "reaction", once="k")) == first
        for other in (
            referring(node, two, "reaction", once="k"),
            referring(node, one, "edit", once="k"),
            referring(node, one, "reaction", b"2", once="k"),
            NewEvent("many.a", b"1", node.clock(), None, "k"),
        ):
            assert isinstance(await refused(node, other), IdempotencyConflict)

    run(start, scenario)
