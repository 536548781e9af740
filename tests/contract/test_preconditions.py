"""The broker contract: preconditions, and the deletions and retries that go with them."""

import asyncio
import random

import pytest

from eventhub.errors import IdempotencyConflict, PreconditionFailed
from eventhub.events.event import ABSENT, Earliest, Position, Receipt
from tests.contract.conftest import Node
from tests.contract.states import (
    KEPT,
    StartOne,
    deletion,
    publish,
    put,
    read,
    refused,
    run,
    shown,
    value,
)


@pytest.mark.parametrize("kind", KEPT)
def test_an_event_is_stored_if_the_newest_of_its_key_is_the_expected_one(
    start: StartOne, kind: str
) -> None:
    async def scenario(node: Node) -> None:
        channel = f"{kind}.a"
        (first,) = await publish(node, value(node, channel, "x", "1", expected=ABSENT))
        error = await refused(node, value(node, channel, "x", "2", expected=ABSENT))
        assert (type(error), error.id) == (PreconditionFailed, str(first))
        (second,) = await publish(node, value(node, channel, "x", "2", expected=first))
        await put(node, channel, y="1")
        error = await refused(node, value(node, channel, "x", "3", expected=first))
        assert (type(error), error.id) == (PreconditionFailed, str(second))
        assert shown(await read(node, channel)) == {"x": "2", "y": "1"}
        await publish(node, deletion(node, channel, "x", expected=second))
        error = await refused(node, value(node, channel, "x", "3", expected=second))
        assert (type(error), error.id) == (PreconditionFailed, None)
        await publish(node, value(node, channel, "x", "4", expected=ABSENT))

    run(start, scenario)


def test_a_precondition_on_a_key_that_left_the_log_fails(start: StartOne) -> None:
    async def scenario(node: Node) -> None:
        (quiet,) = await put(node, "keyed.a", quiet="1")
        await put(node, "keyed.a", **{f"k{n}": "1" for n in range(10)})
        error = await refused(node, value(node, "keyed.a", "quiet", "2", expected=quiet))
        assert (type(error), error.id) == (PreconditionFailed, None)

    run(start, scenario)


def test_of_publishers_who_expect_the_same_event_one_succeeds(start: StartOne) -> None:
    async def scenario(node: Node) -> None:
        (first,) = await put(node, "kept.a", x="0")
        outcomes = await asyncio.gather(
            *(
                node.broker.publish([value(node, "kept.a", "x", str(n), expected=first)])
                for n in range(20)
            )
        )
        (winner,) = [found for (found,) in outcomes if isinstance(found, Receipt)]
        losers = [found for (found,) in outcomes if isinstance(found, PreconditionFailed)]
        assert [found.id for found in losers] == [str(winner.position)] * 19

    run(start, scenario)


def test_the_preconditions_of_one_call_see_its_earlier_events(start: StartOne) -> None:
    async def scenario(node: Node) -> None:
        created = [value(node, "kept.a", "x", data, expected=ABSENT) for data in "12"]
        first, second = await node.broker.publish(created)
        assert isinstance(first, Receipt)
        assert isinstance(second, PreconditionFailed)
        assert second.id == str(first.position)
        log = await node.broker.history("kept.a", Earliest(), 10)
        assert [event.position for event in log.events] == [first.position]

    run(start, scenario)


def test_a_repeated_publish_gets_its_first_receipt_whatever_it_expects(start: StartOne) -> None:
    async def scenario(node: Node) -> None:
        event = value(node, "kept.a", "x", "1", expected=ABSENT, once="a")
        (first,) = await publish(node, event)
        await put(node, "kept.a", x="2")
        (again,) = await node.broker.publish([event])
        assert isinstance(again, Receipt)
        assert (again.position, again.replayed) == (first, True)

    run(start, scenario)


def test_a_refused_precondition_leaves_its_idempotency_key_free(start: StartOne) -> None:
    async def scenario(node: Node) -> None:
        (first,) = await put(node, "kept.a", x="1")
        event = value(node, "kept.a", "x", "2", expected=ABSENT, once="a")
        assert isinstance(await refused(node, event), PreconditionFailed)
        (second,) = await publish(node, event._replace(expected=first))
        assert second.offset > first.offset

    run(start, scenario)


def test_deletions_of_two_keys_are_not_the_same_event(start: StartOne) -> None:
    async def scenario(node: Node) -> None:
        (first,) = await publish(node, deletion(node, "kept.a", "x", once="a"))
        error = await refused(node, deletion(node, "kept.a", "y", once="a"))
        assert (type(error), error.id) == (IdempotencyConflict, str(first))
        assert await publish(node, deletion(node, "kept.a", "x", once="a")) == [first]

    run(start, scenario)


def test_random_preconditions_succeed_exactly_when_a_model_says_so(start: StartOne) -> None:
    async def scenario(node: Node) -> None:
        chance = random.Random(1130)
        newest: dict[str, Position] = {}
        stale = ABSENT
        for number in range(120):
            key = chance.choice("abc")
            known = newest.get(key, ABSENT)
            expected = chance.choice([None, ABSENT, known, known, stale])
            deletes = chance.random() < 0.3
            event = (
                deletion(node, "kept.a", key, expected=expected)
                if deletes
                else value(node, "kept.a", key, str(number), expected=expected)
            )
            if expected not in (None, known):
                error = await refused(node, event)
                assert isinstance(error, PreconditionFailed)
                assert error.id == (str(known) if key in newest else None)
                continue
            stale = known
            (position,) = await publish(node, event)
            if deletes:
                newest.pop(key, None)
            else:
                newest[key] = position
        assert set(shown(await read(node, "kept.a"))) == set(newest)

    run(start, scenario)
