"""A stored record that is not an event, because it is damaged or of another program: readers get a
gap and go on after it.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from eventhub.brokers.sqlite import SqliteBroker
from eventhub.events.event import Age, Earliest, Last, NewEvent, Position, Receipt
from tests.contract.conftest import BROKERS, Node, nodes_on, retention

Shared = Callable[[int], AbstractAsyncContextManager[list[Node]]]
BAD: dict[str, tuple[bytes, dict[str, str] | None, int]] = {
    "not UTF-8": (b"\xff\x00", None, 0),
    "not JSON": (b'{"a":', None, 0),
    "empty": (b"", None, 0),
    "two lines": (b"1\n2", None, 0),
    "attributes that are no texts": (b"1", {"subject": 1}, 0),  # type: ignore[dict-item]  # that is the point
    "a time that cannot be written": (b"1", None, 10**17),
}


@pytest.fixture(params=[name for name in BROKERS if name not in ("memory", "sqlite")])
def shared(request: pytest.FixtureRequest) -> Shared:
    """Brokers whose records others can write.

    A broker stores what it is given, so the tests write such records through it.
    """
    return BROKERS[request.param]


async def publish(
    node: Node, channel: str, data: bytes, attributes: dict[str, str] | None = None, late: int = 0
) -> Position:
    (receipt,) = await node.broker.publish(
        [NewEvent(channel, data, node.clock() + late, attributes)]
    )
    assert isinstance(receipt, Receipt)
    return receipt.position


async def told(node: Node, channel: str, bad: list[Position], good: list[Position]) -> None:
    """What a page of history says of a log that is unreadable between its first and last event."""
    first, last = good
    history = node.broker.history
    piece = await history(channel, Earliest(), 10)
    assert ([event.position for event in piece.events], piece.lost, piece.end) == (
        [first],
        None,
        last,
    )
    for since in (first, *bad[:-1]):
        piece = await history(channel, since, 10)
        assert ([event.position for event in piece.events], piece.lost, piece.start) == (
            [last],
            "unreadable",
            bad[-1],
        )
        assert piece.events[0].previous == bad[-1].offset
    piece = await history(channel, bad[-1], 10)
    assert ([event.position for event in piece.events], piece.lost) == ([last], None)
    piece = await history(channel, Last(2), 10)
    assert ([event.position for event in piece.events], piece.lost, piece.start) == (
        [last],
        "unreadable",
        bad[-1],
    )
    piece = await history(channel, first, 1)
    assert piece.reached.offset > first.offset, "a page gets on"
    assert (await history(channel, Age(60_000), 10)).end == last


@pytest.mark.parametrize("kind", BAD)
def test_readers_get_a_gap_for_the_record_and_go_on_after_it(shared: Shared, kind: str) -> None:
    async def main() -> None:
        data, attributes, late = BAD[kind]
        async with shared(1) as (node,):
            for channel in ("many.bad", "many.beside"):
                await node.broker.subscribe(channel)
            first = await publish(node, "many.bad", b"1")
            bad = [await publish(node, "many.bad", data, attributes, late) for _ in range(2)]
            await node.until(lambda: "many.bad" in node.gaps)
            last = await publish(node, "many.bad", b"2")
            beside = [await publish(node, "many.beside", b"%d" % number) for number in range(3)]
            await node.until(
                lambda: (
                    len([event for event in node.delivered if event.channel == "many.beside"]) == 3
                )
            )
            assert [
                event.position for event in node.delivered if event.channel == "many.beside"
            ] == beside
            assert not {event.position for event in node.delivered} & set(bad), (
                "none of it is announced"
            )
            assert node.gaps.count("many.beside") == 0
            await told(node, "many.bad", bad, [first, last])
            assert await node.broker.subscribe("many.bad") == last
            assert node.broker.unready() is None

    asyncio.run(main())


def test_an_unreadable_newest_record_still_counts_as_the_end_of_the_log(
    shared: Shared,
) -> None:
    async def main() -> None:
        async with shared(1) as (node,):
            first = await publish(node, "many.end", b"1")
            bad = await publish(node, "many.end", b"\xff")
            assert await node.broker.subscribe("many.end") == bad
            piece = await node.broker.history("many.end", first, 10)
            assert (list(piece.events), piece.lost, piece.reached, piece.end) == (
                [],
                "unreadable",
                bad,
                bad,
            )
            last = await publish(node, "many.end", b"2")
            (event,) = await node.announced(1)
            assert (event.position, event.previous) == (last, bad.offset)

    asyncio.run(main())


@pytest.mark.parametrize(
    "damage",
    [
        "data = x'ff00'",
        "data = 'é \" text'",
        "data = 5",
        "time = 'soon'",
        "time = 1e300",
        "time = x'00'",
        "attributes = x'5b'",
        "attributes = '[1]'",
    ],
)
def test_readers_get_a_gap_for_sqlite_rows_that_somebody_changed(damage: str) -> None:
    async def main() -> None:
        with TemporaryDirectory() as directory:
            path = Path(directory) / "events.db"
            async with nodes_on(1, lambda clock: SqliteBroker(path, retention, clock)) as (node,):
                positions = [
                    await publish(node, "many.bad", data)
                    for data in (b"1", b'"\xc3\xa9"', b'"\xc3\xa9"', b"2")
                ]
                beside = await publish(node, "brief.beside", b"3")
                with sqlite3.connect(path) as connection:
                    for position in positions[1:3]:
                        connection.execute(
                            f"UPDATE events SET {damage} WHERE offset = ?", [position.offset]
                        )
                connection.close()
                if damage == "data = 5":  # is JSON, so the damage cannot be seen
                    piece = await node.broker.history("many.bad", Earliest(), 10)
                    assert [event.data for event in piece.events] == [b"1", b"5", b"5", b"2"]
                else:
                    await told(node, "many.bad", positions[1:3], [positions[0], positions[3]])
                assert (await node.broker.history("brief.beside", Earliest(), 10)).events[
                    0
                ].position == beside
            async with nodes_on(1, lambda clock: SqliteBroker(path, retention, clock)) as (
                node,
            ):  # it starts with them as well
                assert (await node.broker.history("many.bad", Earliest(), 10)).end == positions[-1]
                await publish(node, "many.bad", b"4")

    asyncio.run(main())
