"""The broker contract (eventhub.brokers.base), for every broker without exceptions."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

from eventhub.errors import IdempotencyConflict
from eventhub.events.event import Age, Earliest, Event, Last, NewEvent, Position, Receipt
from tests.contract.conftest import Node

Start = Callable[[], AbstractAsyncContextManager[Node]]
StartNodes = Callable[[int], AbstractAsyncContextManager[list[Node]]]


def run(start: Start, scenario: Callable[[Node], Awaitable[None]]) -> None:
    async def main() -> None:
        async with start() as node:
            await scenario(node)

    asyncio.run(main())


def event(node: Node, channel: str, text: str = "x", key: str | None = None) -> NewEvent:
    return NewEvent(channel, f'"{text}"'.encode(), node.clock(), None, key)


async def store(node: Node, channel: str, *texts: str) -> list[Position]:
    receipts = await node.broker.publish([event(node, channel, text) for text in texts])
    return [receipt.position for receipt in receipts if isinstance(receipt, Receipt)]


def texts(events: object) -> list[str]:
    assert isinstance(events, (list, tuple))
    return [event.data.decode().strip('"') for event in events]


def test_positions_strictly_increase_within_one_epoch(start: Start) -> None:
    async def scenario(node: Node) -> None:
        positions = await store(node, "many.a", "1", "2") + await store(node, "many.a", "3")
        assert len({position.epoch for position in positions}) == 1
        assert positions[0].offset < positions[1].offset < positions[2].offset

    run(start, scenario)


def test_concurrent_publishers_get_different_positions_in_log_order(start: Start) -> None:
    async def scenario(node: Node) -> None:
        await node.broker.subscribe("many.a")
        groups = await asyncio.gather(*(store(node, "many.a", f"{n}a", f"{n}b") for n in range(50)))
        assert len({position for group in groups for position in group}) == 100
        assert all(first.offset < second.offset for first, second in groups)
        log = (await node.broker.history("many.a", Earliest(), 1000)).events
        assert list(await node.announced(100)) == list(log)

    run(start, scenario)


def test_an_empty_channel_has_an_epoch_and_a_position_that_the_first_event_follows(
    start: Start,
) -> None:
    async def scenario(node: Node) -> None:
        piece = await node.broker.history("many.new", Earliest(), 10)
        assert (list(piece.events), piece.lost, piece.start) == ([], None, piece.end)
        position = await node.broker.subscribe("many.new")
        assert position == piece.end
        await store(node, "many.new", "first")
        (announced,) = await node.announced(1)
        assert (announced.epoch, announced.previous) == (position.epoch, position.offset)
        after = await node.broker.history("many.new", piece.end, 10)
        assert (texts(after.events), after.lost) == (["first"], None)

    run(start, scenario)


def test_each_event_names_the_offset_of_the_one_before_it(start: Start) -> None:
    async def scenario(node: Node) -> None:
        position = await node.broker.subscribe("many.a")
        await store(node, "many.a", "1", "2", "3")
        previous = position.offset
        for announced in await node.announced(3):
            assert announced.previous == previous
            previous = announced.offset

    run(start, scenario)


def test_announcements_come_in_order_and_equal_what_history_gives(start: Start) -> None:
    async def scenario(node: Node) -> None:
        await node.broker.subscribe("many.a")
        new = NewEvent("many.a", b'{"n":1}', node.clock(), {"source": "s", "subject": "é"}, None)
        await node.broker.publish([new, event(node, "many.a")])
        announced: list[Event] = await node.announced(2)
        assert announced == list((await node.broker.history("many.a", Earliest(), 10)).events)
        assert announced[0].attributes == {"source": "s", "subject": "é"}
        assert (announced[0].data, announced[0].time, announced[0].channel) == (
            b'{"n":1}',
            node.clock(),
            "many.a",
        )

    run(start, scenario)


def test_only_subscribed_channels_are_announced(start: Start) -> None:
    async def scenario(node: Node) -> None:
        await node.broker.subscribe("many.a")
        await node.broker.subscribe("many.b")
        await node.broker.unsubscribe("many.b")
        await store(node, "many.b", "no")
        await store(node, "many.c", "no")
        await store(node, "many.a", "yes")
        assert texts(await node.announced(1)) == ["yes"]

    run(start, scenario)


def test_subscribing_again_continues_the_log(start: Start) -> None:
    async def scenario(node: Node) -> None:
        await node.broker.subscribe("many.a")
        await node.broker.unsubscribe("many.a")
        (missed,) = await store(node, "many.a", "missed")
        assert await node.broker.subscribe("many.a") == missed
        assert await node.broker.subscribe("many.a") == missed, "subscribing twice is harmless"
        await store(node, "many.a", "heard")
        assert texts(await node.announced(1)) == ["heard"]

    run(start, scenario)


def test_history_pages_through_the_log_without_holes(start: Start) -> None:
    async def scenario(node: Node) -> None:
        await store(node, "many.a", *map(str, range(10)))
        piece = await node.broker.history("many.a", Earliest(), 4)
        read = texts(piece.events)
        while piece.reached != piece.end:
            piece = await node.broker.history("many.a", piece.reached, 4)
            assert piece.lost is None
            assert 1 <= len(piece.events) <= 4
            read += texts(piece.events)
        assert read == [str(n) for n in range(10)]

    run(start, scenario)


def test_large_events_make_shorter_pages_but_never_empty_ones(start: Start) -> None:
    async def scenario(node: Node) -> None:
        await store(node, "many.a", *("x" * 600_000 for _ in range(3)))
        piece = await node.broker.history("many.a", Earliest(), 1000)
        assert 1 <= len(piece.events) < 3
        assert piece.reached != piece.end

    run(start, scenario)


def test_history_at_the_end_is_empty_and_loses_nothing(start: Start) -> None:
    async def scenario(node: Node) -> None:
        *_, last = await store(node, "many.a", "1", "2")
        piece = await node.broker.history("many.a", last, 10)
        assert (list(piece.events), piece.start, piece.end, piece.lost) == ([], last, last, None)

    run(start, scenario)


def test_a_negative_count_gives_the_last_events(start: Start) -> None:
    async def scenario(node: Node) -> None:
        await store(node, "many.a", "1", "2", "3")
        assert texts((await node.broker.history("many.a", Last(2), 10)).events) == ["2", "3"]
        assert texts((await node.broker.history("many.a", Last(99), 10)).events) == ["1", "2", "3"]
        assert texts((await node.broker.history("many.a", Last(2), 1)).events) == ["2"], (
            "a page begins at the oldest asked for"
        )

    run(start, scenario)


def test_the_events_of_an_age(start: Start) -> None:
    async def scenario(node: Node) -> None:
        await store(node, "many.a", "old")
        node.clock.now += 10
        await store(node, "many.a", "new")
        assert texts((await node.broker.history("many.a", Age(5_000), 10)).events) == ["new"]
        assert texts((await node.broker.history("many.a", Age(10_000), 10)).events) == [
            "old",
            "new",
        ]
        node.clock.now += 60
        piece = await node.broker.history("many.a", Age(1), 10)
        assert (list(piece.events), piece.start, piece.lost) == ([], piece.end, None)

    run(start, scenario)


def test_after_a_clock_was_set_back_the_events_of_an_age_hold_all_of_the_newest(
    start: Start,
) -> None:
    async def scenario(node: Node) -> None:
        await store(node, "many.a", *map(str, range(10)))
        node.clock.now -= 100
        await store(node, "many.a", "old")
        node.clock.now += 50
        await store(node, "many.a", "new", "newer")
        read = texts((await node.broker.history("many.a", Age(10_000), 100)).events)
        assert read[-2:] == ["new", "newer"]
        node.clock.now += 100
        assert texts((await node.broker.history("many.a", Age(1), 100)).events) == []

    run(start, scenario)


def test_retention_by_count_keeps_the_newest_and_reports_the_rest_as_expired(start: Start) -> None:
    async def scenario(node: Node) -> None:
        positions = await store(node, "few.a", "1", "2", "3", "4", "5")
        assert texts((await node.broker.history("few.a", Earliest(), 10)).events) == ["3", "4", "5"]
        piece = await node.broker.history("few.a", positions[0], 10)
        assert (texts(piece.events), piece.lost, piece.start) == (
            ["3", "4", "5"],
            "expired",
            positions[1],
        )
        exact = await node.broker.history("few.a", positions[1], 10)
        assert (texts(exact.events), exact.lost) == (["3", "4", "5"], None), (
            "what is gone had been read"
        )

    run(start, scenario)


def test_retention_by_age_removes_events_of_unused_channels(start: Start) -> None:
    async def scenario(node: Node) -> None:
        first, last = await store(node, "brief.a", "1", "2")
        node.clock.now += 61
        piece = await node.broker.history("brief.a", first, 10)
        assert (list(piece.events), piece.lost, piece.start, piece.end) == (
            [],
            "expired",
            last,
            last,
        )

    run(start, scenario)


def test_without_retention_history_is_empty_and_still_valid(start: Start) -> None:
    async def scenario(node: Node) -> None:
        await node.broker.subscribe("none.a")
        first, last = await store(node, "none.a", "1", "2")
        assert texts(await node.announced(2)) == ["1", "2"]
        piece = await node.broker.history("none.a", Earliest(), 10)
        assert (list(piece.events), piece.start, piece.end, piece.lost) == ([], last, last, None)
        assert (await node.broker.history("none.a", first, 10)).lost == "expired"
        assert (await node.broker.history("none.a", last, 10)).lost is None

    run(start, scenario)


def test_a_position_of_another_epoch_or_beyond_the_end_is_a_reset(start: Start) -> None:
    async def scenario(node: Node) -> None:
        *_, last = await store(node, "many.a", "1", "2")
        for foreign in (Position("0other0", 1), Position(last.epoch, last.offset + 1)):
            piece = await node.broker.history("many.a", foreign, 10)
            assert (texts(piece.events), piece.lost, piece.end) == (["1", "2"], "reset", last)
        assert (
            await node.broker.history("many.unused", Position("0other0", 7), 10)
        ).lost == "reset"

    run(start, scenario)


def test_an_idempotency_key_stores_once_and_gives_the_first_receipt(start: Start) -> None:
    async def scenario(node: Node) -> None:
        await node.broker.subscribe("many.a")
        (first,) = await node.broker.publish([event(node, "many.a", "once", key="k")])
        node.clock.now += 0.005
        again = await node.broker.publish(
            [event(node, "many.a", "once", key="k"), event(node, "many.a", "other", key="k2")]
        )
        assert isinstance(first, Receipt)
        assert again[0] == Receipt(first.position, first.time, replayed=True)
        assert texts(await node.announced(2)) == ["once", "other"]
        assert len((await node.broker.history("many.a", Earliest(), 10)).events) == 2

    run(start, scenario)


def test_an_idempotency_key_belongs_to_its_channel_and_its_data(start: Start) -> None:
    async def scenario(node: Node) -> None:
        (first,) = await node.broker.publish([event(node, "many.a", "one", key="k")])
        (elsewhere,) = await node.broker.publish([event(node, "many.b", "one", key="k")])
        assert isinstance(elsewhere, Receipt)
        assert not elsewhere.replayed
        (conflict,) = await node.broker.publish([event(node, "many.a", "two", key="k")])
        assert isinstance(conflict, IdempotencyConflict)
        assert isinstance(first, Receipt)
        assert conflict.id == str(first.position)
        assert conflict.id in conflict.message

    run(start, scenario)


def test_a_key_used_twice_within_one_call_names_the_event_that_has_it(start: Start) -> None:
    async def scenario(node: Node) -> None:
        first, conflict = await node.broker.publish(
            [event(node, "many.a", "x", key="k"), event(node, "many.a", "y", key="k")]
        )
        assert isinstance(first, Receipt)
        assert isinstance(conflict, IdempotencyConflict)
        assert conflict.id == str(first.position)

    run(start, scenario)


def test_a_key_repeated_within_one_call_stores_once(start: Start) -> None:
    async def scenario(node: Node) -> None:
        first, second = await node.broker.publish(
            [event(node, "many.a", "x", key="k"), event(node, "many.a", "x", key="k")]
        )
        assert isinstance(first, Receipt)
        assert isinstance(second, Receipt)
        assert (first.position, first.replayed, second.replayed) == (second.position, False, True)

    run(start, scenario)


def test_a_key_is_forgotten_after_ten_minutes(start: Start) -> None:
    async def scenario(node: Node) -> None:
        (first,) = await node.broker.publish([event(node, "many.a", "x", key="k")])
        node.clock.now += 600.001
        (later,) = await node.broker.publish([event(node, "many.a", "x", key="k")])
        assert isinstance(first, Receipt)
        assert isinstance(later, Receipt)
        assert later.position.offset > first.position.offset

    run(start, scenario)


def test_history_has_an_event_as_soon_as_its_publish_is_answered(start: Start) -> None:
    async def scenario(node: Node) -> None:
        for number in range(20):
            (position,) = await store(node, "many.a", str(number))
            assert (await node.broker.history("many.a", Last(1), 1)).reached == position

    run(start, scenario)


def test_results_of_a_large_call_over_several_channels_come_in_its_order(start: Start) -> None:
    async def scenario(node: Node) -> None:
        channels = [f"many.{number % 3}" for number in range(1000)]
        results = await node.broker.publish(
            [event(node, channel, str(number)) for number, channel in enumerate(channels)]
        )
        receipts = [result for result in results if isinstance(result, Receipt)]
        assert len(receipts) == 1000
        for channel in set(channels):
            log = await node.broker.history(channel, Earliest(), 1000)
            mine = [number for number, other in enumerate(channels) if other == channel]
            assert texts(log.events) == [str(number) for number in mine]
            assert [event.position for event in log.events] == [
                receipts[number].position for number in mine
            ]

    run(start, scenario)


def test_a_cancelled_publish_does_not_disturb_the_others(start: Start) -> None:
    async def scenario(node: Node) -> None:
        publishes = [
            asyncio.create_task(store(node, "many.a", str(number))) for number in range(20)
        ]
        await asyncio.sleep(0)
        for publish in publishes[::2]:
            publish.cancel()
        results = await asyncio.gather(*publishes, return_exceptions=True)
        assert all(isinstance(result, list) for result in results[1::2])
        log = texts((await node.broker.history("many.a", Earliest(), 100)).events)
        assert len(log) == len(set(log))
        assert set(map(str, range(1, 20, 2))) <= set(log)

    run(start, scenario)


def test_channels_whose_names_look_alike_are_different(start: Start) -> None:
    async def scenario(node: Node) -> None:
        names = ["many.a", "many.A", "many.a.b", "many.a-b", "many.a_b", "many." + "x" * 195]
        for name in names:
            await node.broker.subscribe(name)
            await store(node, name, name)
        assert sorted(texts(await node.announced(len(names)))) == sorted(names), (
            "in any order: each channel has an order of its own"
        )
        for name in names:
            assert texts((await node.broker.history(name, Earliest(), 10)).events) == [name]

    run(start, scenario)


def test_more_than_is_retained_in_one_call_leaves_the_newest(start: Start) -> None:
    async def scenario(node: Node) -> None:
        await node.broker.subscribe("few.a")
        positions = await store(node, "few.a", *map(str, range(50)))
        assert texts((await node.broker.history("few.a", Earliest(), 10)).events) == [
            "47",
            "48",
            "49",
        ]
        assert texts(await node.announced(50)) == [str(number) for number in range(50)], (
            "all are announced"
        )
        assert (await node.broker.history("few.a", positions[45], 10)).lost == "expired"
        assert (await node.broker.history("few.a", positions[46], 10)).lost is None

    run(start, scenario)


def test_data_and_attributes_come_back_as_they_were(start: Start) -> None:
    async def scenario(node: Node) -> None:
        await node.broker.subscribe("many.a")
        created = f"00-{'1' * 32}-{'2' * 16}-01"
        new = [
            NewEvent(
                "many.a",
                '{"é":"\u2028 %s \\u0000"}'.encode(),
                node.clock(),
                {"source": 'a"b\n', "subject": "\t"},
            ),
            NewEvent("many.a", b"[]", node.clock(), None),
            NewEvent(
                "many.a",
                b'"' + b"x" * 900_000 + b'"',
                node.clock() - 5,
                {"type": "", "traceparent": created},
            ),
        ]
        await node.broker.publish(new)
        announced = await node.announced(3)
        assert [(event.data, event.attributes, event.time) for event in announced] == [
            (n.data, n.attributes, n.time) for n in new
        ]
        log: list[Event] = []
        piece = await node.broker.history("many.a", Earliest(), 10)
        while piece.events:
            log += piece.events
            piece = await node.broker.history("many.a", piece.reached, 10)
        assert log == list(announced)

    run(start, scenario)


def test_a_ready_broker_names_no_reason_against_it(start: Start) -> None:
    async def scenario(node: Node) -> None:
        assert node.broker.unready() is None

    run(start, scenario)


def test_ten_thousand_events_in_one_call_keep_their_order(start: Start) -> None:
    async def scenario(node: Node) -> None:
        await node.broker.subscribe("many.a")
        receipts = await node.broker.publish(
            [event(node, f"many.{'ab'[n % 2]}", str(n)) for n in range(10_000)]
        )
        assert sum(isinstance(receipt, Receipt) for receipt in receipts) == 10_000
        assert texts(await node.announced(5000)) == [str(n) for n in range(0, 10_000, 2)]
        tail = (await node.broker.history("many.b", Last(3), 10)).events
        assert texts(tail) == ["9995", "9997", "9999"]
        assert [event.position for event in tail] == [
            receipt.position for receipt in receipts[-5::2] if isinstance(receipt, Receipt)
        ]

    run(start, scenario)


def test_the_last_events_are_found_among_those_of_other_channels(start: Start) -> None:
    async def scenario(node: Node) -> None:
        await store(node, "many.a", "1", "2", "3")
        await store(node, "many.b", *map(str, range(500)))
        (position,) = await store(node, "many.a", "4")
        piece = await node.broker.history("many.a", Last(2), 10)
        assert (texts(piece.events), piece.end) == (["3", "4"], position)
        assert texts((await node.broker.history("many.b", Last(400), 3)).events) == [
            "100",
            "101",
            "102",
        ]

    run(start, scenario)


def test_a_page_begins_after_the_events_that_expired_by_age(start: Start) -> None:
    async def scenario(node: Node) -> None:
        gone = await store(node, "brief.a", *map(str, range(20)))
        node.clock.now += 50
        await store(node, "brief.a", "20", "21")
        node.clock.now += 20
        for since, lost in (
            (Earliest(), None),
            (Last(30), None),
            (gone[4], "expired"),
            (gone[19], None),
            (Age(30_000), None),
        ):
            piece = await node.broker.history("brief.a", since, 10)
            assert (texts(piece.events), piece.start, piece.lost) == (["20", "21"], gone[19], lost)

    run(start, scenario)


def test_a_key_outlives_its_event(start: Start) -> None:
    async def scenario(node: Node) -> None:
        (first,) = await node.broker.publish([event(node, "few.a", "x", key="k")])
        await store(node, "few.a", *map(str, range(10)))
        node.clock.now += 0.005
        (again, conflict) = await node.broker.publish(
            [event(node, "few.a", "x", key="k"), event(node, "few.a", "y", key="k")]
        )
        assert isinstance(first, Receipt)
        assert again == first._replace(replayed=True)
        assert isinstance(conflict, IdempotencyConflict)
        assert conflict.id == str(first.position)

    run(start, scenario)


def test_nodes_share_one_log(start_nodes: StartNodes) -> None:
    async def main() -> None:
        async with start_nodes(2) as (here, there):
            position = await there.broker.subscribe("many.a")
            groups = await asyncio.gather(
                *(store(node, "many.a", f"{n}") for n in range(20) for node in (here, there))
            )
            heard = (await there.announced(40))[:40]
            assert sorted(event.position for event in heard) == sorted(
                place for group in groups for place in group
            )
            assert [event.previous for event in heard] == [
                position.offset,
                *(event.offset for event in heard[:-1]),
            ]
            for node in (here, there):
                assert list((await node.broker.history("many.a", position, 100)).events) == heard
            (first,) = await here.broker.publish([event(here, "many.a", "once", key="k")])
            (again,) = await there.broker.publish([event(there, "many.a", "once", key="k")])
            assert isinstance(first, Receipt)
            assert again == first._replace(replayed=True)

    asyncio.run(main())


def test_a_key_holds_on_every_node_at_the_same_moment(start_nodes: StartNodes) -> None:
    async def main() -> None:
        async with start_nodes(2) as nodes:
            new = event(nodes[0], "many.a", key="k")
            (first,), (second,) = await asyncio.gather(
                *(node.broker.publish([new]) for node in nodes)
            )
            assert isinstance(first, Receipt)
            assert isinstance(second, Receipt)
            assert (first.position, {first.replayed, second.replayed}) == (
                second.position,
                {True, False},
            )

    asyncio.run(main())


def test_a_broadcast_reaches_every_node_in_order_and_its_sender_too(
    start_nodes: StartNodes,
) -> None:
    async def main() -> None:
        async with start_nodes(3) as (one, *others):
            if one in others:
                return  # a broker of one process: there is no other node
            messages = [b"%d" % number + b"\x00\xff" * 1000 for number in range(20)] + [
                b"x" * 256 * 1024
            ]
            for message in messages:
                await one.broker.broadcast(message)
            for node in (one, *others):
                await node.until(lambda node=node: len(node.heard) >= len(messages))  # type: ignore[misc]  # mypy: lambdas with defaults
                assert node.heard == messages

    asyncio.run(main())
