"""hub/cursor_journals.py: records that were given up and stand alone in their turn."""

from eventhub.delivery.pattern_cursor import RecordName
from eventhub.errors import BrokerUnavailable
from eventhub.hub.cursor_journals import CALL_RECORDS, QUEUE_BYTES
from tests.unit.hub.test_cursor_journals import NAME, Node, in_node


def fill(node: Node, given_up: int) -> None:
    """As many records as one call takes and the queue holds, and some that are given up."""
    sizes = [QUEUE_BYTES // CALL_RECORDS] * CALL_RECORDS
    sizes[0] += QUEUE_BYTES - sum(sizes)
    for number, size in enumerate([*sizes, *[1] * given_up], 1):
        node.journals.add(RecordName(NAME, number), bytes(size))


@in_node
async def test_for_a_turn_without_records_the_broker_is_not_asked(node: Node) -> None:
    fill(node, given_up=3)
    await node.journals.all_stored()
    assert node.broker.calls == [CALL_RECORDS], "and not a second time, with nothing"
    assert (node.journals.stored, node.journals.lost) == (CALL_RECORDS + 3, 3)
    node.add(CALL_RECORDS + 4)
    await node.journals.all_stored()
    assert node.broker.calls == [CALL_RECORDS, 1]


@in_node
async def test_a_broker_that_is_away_holds_up_what_was_given_up_behind_its_records(
    node: Node,
) -> None:
    node.broker.outcomes = [BrokerUnavailable("away")]
    fill(node, given_up=1)
    told: list[int] = []
    node.journals.when_stored(lambda: told.append(node.journals.stored))
    await node.journals.all_stored()
    assert (told, node.journals.stored) == ([CALL_RECORDS], CALL_RECORDS + 1)
    assert node.broker.calls == [CALL_RECORDS, CALL_RECORDS]
