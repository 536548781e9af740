"""The broker contract: states, which are the newest event of each key."""

import pytest

from eventhub.brokers.states import DELETIONS
from eventhub.events.event import (
    ABSENT,
    KEY,
    Earliest,
    HistoryPage,
    NewEvent,
    Position,
    State,
)
from eventhub.events.keys import is_deletion, key_of
from tests.contract.conftest import Node
from tests.contract.states import (
    KEPT,
    StartOne,
    deletion,
    publish,
    put,
    read,
    run,
    shown,
    value,
)


@pytest.mark.parametrize("kind", KEPT)
def test_a_state_has_the_newest_event_of_each_key_in_the_order_of_the_log(
    start: StartOne, kind: str
) -> None:
    async def scenario(node: Node) -> None:
        await put(node, f"{kind}.a", x="1", y="2")
        await put(node, f"{kind}.a", x="3")
        await put(node, f"{kind}.b", z="4")
        page = await read(node, f"{kind}.a")
        assert shown(page) == {"y": "2", "x": "3"}
        assert list(shown(page)) == ["y", "x"]
        assert (page.lost, page.reached, page.events[-1].position) == (None, page.end, page.end)

    run(start, scenario)


def test_the_events_of_a_state_are_those_of_the_log(start: StartOne) -> None:
    async def scenario(node: Node) -> None:
        attributes = {KEY: "clé", "source": "/a", "by": "ana"}
        await publish(node, NewEvent("keyed.a", b'{"n":1}', node.clock(), attributes))
        (event,) = (await read(node, "keyed.a")).events
        (logged,) = (await node.broker.history("keyed.a", Earliest(), 10)).events
        assert event[:3] == logged[:3]
        assert event[4:] == logged[4:] == (node.clock(), b'{"n":1}', attributes)

    run(start, scenario)


def test_an_event_without_a_key_has_the_empty_one(start: StartOne) -> None:
    async def scenario(node: Node) -> None:
        await publish(
            node,
            *(value(node, "kept.a", key, data) for key, data in (("", "1"), ("x", "2"), ("", "3"))),
        )
        assert shown(await read(node, "kept.a")) == {"x": "2", "": "3"}

    run(start, scenario)


@pytest.mark.parametrize("kind", [*KEPT, "many"])
def test_a_channel_without_keys_or_events_has_an_empty_state(start: StartOne, kind: str) -> None:
    async def scenario(node: Node) -> None:
        page = await read(node, f"{kind}.a")
        assert (list(page.events), page.lost, page.start) == ([], None, page.end)
        assert page.reached == page.end

    run(start, scenario)


@pytest.mark.parametrize("kind", KEPT)
def test_a_state_is_read_in_pages(start: StartOne, kind: str) -> None:
    async def scenario(node: Node) -> None:
        await put(node, f"{kind}.a", **{f"k{n}": str(n) for n in range(7)})
        pages, since = list[HistoryPage](), State()
        while not pages or pages[-1].reached != pages[-1].end:
            pages.append(await read(node, f"{kind}.a", since, 3))
            assert pages[-1].following is not None
            since = pages[-1].following
        assert [len(page.events) for page in pages] == [3, 3, 1]
        assert [key for page in pages for key in shown(page)] == [f"k{n}" for n in range(7)]
        assert all(page.lost is None for page in pages)

    run(start, scenario)


@pytest.mark.parametrize("kind", KEPT)
def test_what_changes_between_two_pages_comes_later(start: StartOne, kind: str) -> None:
    async def scenario(node: Node) -> None:
        await put(node, f"{kind}.a", a="1", b="1", c="1", d="1")
        first = await read(node, f"{kind}.a", limit=2)
        assert shown(first) == {"a": "1", "b": "1"}
        await publish(node, deletion(node, f"{kind}.a", "a"), deletion(node, f"{kind}.a", "c"))
        await put(node, f"{kind}.a", b="2")
        assert first.following is not None
        rest = await read(node, f"{kind}.a", first.following)
        assert shown(rest) == {"d": "1", "a": None, "c": None, "b": "2"}
        assert rest.reached == rest.end

    run(start, scenario)


@pytest.mark.parametrize("kind", KEPT)
def test_a_deleted_key_is_not_in_the_state_until_it_comes_again(start: StartOne, kind: str) -> None:
    async def scenario(node: Node) -> None:
        await put(node, f"{kind}.a", x="1", y="1")
        (deleted,) = await publish(node, deletion(node, f"{kind}.a", "x"))
        page = await read(node, f"{kind}.a")
        assert shown(page) == {"y": "1"}
        assert page.reached == page.end == deleted
        await put(node, f"{kind}.a", x="2")
        assert shown(await read(node, f"{kind}.a")) == {"y": "1", "x": "2"}

    run(start, scenario)


def test_a_deletion_is_announced_and_is_in_the_log(start: StartOne) -> None:
    async def scenario(node: Node) -> None:
        await node.broker.subscribe("keyed.a")
        await publish(node, deletion(node, "keyed.a", "x"))
        (announced,) = await node.announced(1)
        (logged,) = (await node.broker.history("keyed.a", Earliest(), 10)).events
        assert announced == logged
        assert (is_deletion(logged), key_of(logged), logged.data) == (True, "x", b"null")

    run(start, scenario)


@pytest.mark.parametrize("kind", KEPT)
def test_a_reader_who_has_a_state_gets_what_changed_since(start: StartOne, kind: str) -> None:
    async def scenario(node: Node) -> None:
        await put(node, f"{kind}.a", x="1", y="1", z="1")
        held = (await read(node, f"{kind}.a")).end
        await put(node, f"{kind}.a", x="2")
        await publish(node, deletion(node, f"{kind}.a", "y"))
        page = await read(node, f"{kind}.a", State(held))
        assert (shown(page), page.lost, page.start) == ({"x": "2", "y": None}, None, held)

    run(start, scenario)


def test_a_reader_that_is_cut_within_a_state_goes_on_with_its_last_event(start: StartOne) -> None:
    """Without the cursor of the page: an event's id is all that some clients keep."""

    async def scenario(node: Node) -> None:
        await put(node, "kept.a", **{f"k{n}": "1" for n in range(8)})
        first = await read(node, "kept.a", limit=3)
        assert shown(first) == {"k0": "1", "k1": "1", "k2": "1"}
        await put(node, "kept.a", k1="2", k5="2", new="1")
        await publish(node, deletion(node, "kept.a", "k2"), deletion(node, "kept.a", "k6"))
        rest = await read(node, "kept.a", State(first.events[-1].position))
        assert rest.lost is None
        held = {key: data for key, data in (shown(first) | shown(rest)).items() if data is not None}
        assert held == shown(await read(node, "kept.a"))
        assert held == {
            "k0": "1",
            "k1": "2",
            "k3": "1",
            "k4": "1",
            "k5": "2",
            "k7": "1",
            "new": "1",
        }

    run(start, scenario)


def test_the_newest_event_of_each_key_outlives_the_log(start: StartOne) -> None:
    async def scenario(node: Node) -> None:
        await put(node, "kept.a", quiet="1")
        for number in range(20):
            await put(node, "kept.a", loud=str(number))
        log = await node.broker.history("kept.a", Earliest(), 100)
        assert [key_of(event) for event in log.events] == ["loud"] * 3
        assert shown(await read(node, "kept.a")) == {"quiet": "1", "loud": "19"}

    run(start, scenario)


def test_without_latest_a_key_leaves_with_the_log(start: StartOne) -> None:
    async def scenario(node: Node) -> None:
        await put(node, "keyed.a", quiet="1", other="1")
        held = (await read(node, "keyed.a", limit=1)).following
        for number in range(10):
            await put(node, "keyed.a", loud=str(number))
        assert shown(await read(node, "keyed.a")) == {"loud": "9"}
        assert held is not None
        again = await read(node, "keyed.a", held)
        assert (again.lost, shown(again)) == ("expired", {"loud": "9"})

    run(start, scenario)


def test_a_key_that_is_too_old_is_not_in_the_state(start: StartOne) -> None:
    async def scenario(node: Node) -> None:
        for kind in ("young", "aging"):
            (old,) = await put(node, f"{kind}.a", old="1")
            node.clock.advance(40)
            await put(node, f"{kind}.a", new="2")
            node.clock.advance(30)
            assert shown(await read(node, f"{kind}.a")) == {"new": "2"}
            again = await read(node, f"{kind}.a", State(old._replace(offset=old.offset - 1)))
            assert (again.lost, shown(again)) == ("expired", {"new": "2"})
            absent = value(node, f"{kind}.a", "old", "3", expected=ABSENT)
            assert await publish(node, absent)
            node.clock.advance(100)
            assert shown(await read(node, f"{kind}.a")) == {}

    run(start, scenario)


def test_beyond_the_number_of_keys_the_longest_silent_leaves(start: StartOne) -> None:
    async def scenario(node: Node) -> None:
        (first, *_) = await put(node, "bounded.a", a="1", b="1", c="1", d="1")
        await put(node, "bounded.a", a="2")
        held = (await read(node, "bounded.a")).end
        await put(node, "bounded.a", e="1")
        assert shown(await read(node, "bounded.a")) == {"c": "1", "d": "1", "a": "2", "e": "1"}
        assert (await read(node, "bounded.a", State(held))).lost is None
        assert (await read(node, "bounded.a", State(first))).lost == "expired"

    run(start, scenario)


def test_the_newest_deletions_are_kept(start: StartOne) -> None:
    async def scenario(node: Node) -> None:
        (begin,) = await put(node, "alone.a", x="1")
        events = [deletion(node, "alone.a", f"k{n}") for n in range(DELETIONS)]
        (first, second, *_) = await publish(node, *events)
        page = await read(node, "alone.a", State(begin), 10)
        assert (page.lost, page.events[0].offset) == (None, first.offset)
        await publish(node, deletion(node, "alone.a", "another"))
        assert (await read(node, "alone.a", State(begin), 10)).lost == "expired"
        page = await read(node, "alone.a", State(first), 10)
        assert (page.lost, page.events[0].offset) == (None, second.offset)

    run(start, scenario)


@pytest.mark.parametrize("kind", KEPT)
def test_a_position_of_another_log_gets_the_whole_state(start: StartOne, kind: str) -> None:
    async def scenario(node: Node) -> None:
        await put(node, f"{kind}.a", x="1", y="1")
        end = (await read(node, f"{kind}.a")).end
        for stranger in (Position("zz", 1), end._replace(offset=end.offset + 2**40)):
            page = await read(node, f"{kind}.a", State(stranger))
            assert (page.lost, shown(page)) == ("reset", {"x": "1", "y": "1"})

    run(start, scenario)


def test_a_state_read_in_pages_with_all_that_came_after_is_the_newest_of_everything(
    start: StartOne,
) -> None:
    """A thousand updates of one key between two pages lose none of the others."""

    async def scenario(node: Node) -> None:
        await put(node, "kept.a", **{f"k{n}": "0" for n in range(30)})
        held, since = dict[str, str | None](), State()
        for number in range(40):
            page = await read(node, "kept.a", since, 4)
            assert page.lost is None
            held |= shown(page)
            assert page.following is not None
            since = page.following
            if number < 20:
                await put(node, "kept.a", loud=str(number), **{f"k{number}": "1"})
        assert since.position == page.end
        state = {f"k{n}": "1" if n < 20 else "0" for n in range(30)}
        assert held == state | {"loud": "19"}

    run(start, scenario)
