"""server/connections/channel_directory.py: lists of the broker and of all nodes, merged."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from eventhub.auth.grants import Action, Grants
from eventhub.auth.principal import ANYONE, STRANGER, CredentialKind, Principal
from eventhub.common.channel_pattern import ChannelPattern
from eventhub.errors import Unauthorized
from eventhub.events.event import Receipt, format_time
from eventhub.server.connections.channel_directory import (
    ROUNDS,
    ROWS,
    ChannelDirectory,
    ChannelList,
    SubscribedChannels,
)
from eventhub.server.connections.scatter_gather import NodeAnswers
from tests.unit.hub.hub_node import Node, run

Row = tuple[str, int]


def ana(*channels: str, presence: Sequence[str] = ()) -> Principal:
    grants = Grants({Action.SUBSCRIBE: list(channels), Action.PRESENCE: list(presence)})
    return Principal(CredentialKind.TOKEN, "ana", grants)


class OtherNodes:
    """Answers for nodes n2, n3, … from their rows, and for this node."""

    def __init__(self, own: Callable[[Any], Any], rows: Sequence[Sequence[Row]]) -> None:
        self._own, self._rows = own, rows
        self.complete = True

    async def ask(self, question: dict[str, Any], shape: type[BaseModel]) -> NodeAnswers[Any]:
        def answer(rows: Sequence[Row]) -> SubscribedChannels:
            covers = ChannelPattern(question["pattern"]).covers
            fitting = [row for row in sorted(rows) if row[0] > question["after"] and covers(row[0])]
            page = fitting[: question["limit"]]
            return SubscribedChannels(
                rows=page, next=page[-1][0] if len(fitting) > len(page) else None
            )

        answers: dict[str, Any] = {"own": shape.model_validate(self._own(question))}
        answers |= {f"n{n}": answer(rows) for n, rows in enumerate(self._rows, 2)}
        return NodeAnswers(answers, self.complete)


def directory(node: Node, *others: Sequence[Row]) -> ChannelDirectory:
    made = ChannelDirectory(node.hub)
    made._all_nodes = OtherNodes(made._answer, others)  # type: ignore[assignment]
    return made


async def everything(
    made: ChannelDirectory, principal: Principal = ANYONE, limit: int = 100, pattern: str = ">"
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after: str | None = ""
    while after is not None:
        page = await made.read(ChannelPattern(pattern), after, limit, principal)
        assert len(page.channels) <= limit
        found += page.channels
        after = page.next
    return found


async def names(*arguments: Any, **options: Any) -> list[str]:
    return [fields["name"] for fields in await everything(*arguments, **options)]


def test_channels_with_events_and_channels_with_subscribers_are_one_list() -> None:
    async def scenario(node: Node) -> None:
        *_, receipt = await node.publish("drop.b", "1", "2")
        assert isinstance(receipt, Receipt)
        node.subscribe("drop.b", member="ana")
        node.subscribe("drop.c")
        node.subscribe("drop.c")
        first, second, third = await everything(directory(node, [("drop.a", 3), ("drop.c", 1)]))
        unpublished = {"head": None, "time": None, "events": 0, "members": 0}
        assert first == {"name": "drop.a", "subscribers": 3, **unpublished}
        assert third == {"name": "drop.c", "subscribers": 3, **unpublished}
        assert second == {
            "name": "drop.b",
            "head": str(receipt.position),
            "time": format_time(receipt.time),
            "events": 2,
            "subscribers": 1,
            "members": 1,
        }

    run(scenario)


def test_pages_have_each_channel_once_whatever_their_size() -> None:
    async def scenario(node: Node) -> None:
        for number in range(0, 12, 2):
            await node.publish(f"drop.c{number:02d}", "1")
        node.subscribe("drop.c01")
        others = [(f"drop.c{number:02d}", 1) for number in range(2, 12, 3)]
        made = directory(node, others, [("drop.c11", 1), ("drop.c99", 1)])
        every = await names(made)
        assert every == sorted({*every})
        assert every[-1] == "drop.c99"
        assert len(every) == 10
        for limit in (1, 2, 3, 7, 10, 11):
            assert await names(made, limit=limit) == every

    run(scenario)


def test_only_channels_that_the_asker_may_subscribe_to_are_listed() -> None:
    async def scenario(node: Node) -> None:
        for name in ("drop.a", "drop.b", "drop.c"):
            await node.publish(name, "1")
            node.subscribe(name, member="rui")
        made = directory(node, [("unknown.x", 2)])
        assert await names(made, ana("drop.a", "drop.c", "unknown.>")) == ["drop.a", "drop.c"]
        found = await everything(made, ana("drop.*", presence=["drop.b"]))
        assert [fields["members"] for fields in found] == [None, 1, None]
        assert await names(made, ana("drop.*"), pattern="*.b") == ["drop.b"]
        assert await names(made, ana()) == []

    run(scenario)


def test_an_answer_in_which_little_may_be_seen_is_short_and_says_where_to_go_on() -> None:
    async def scenario(node: Node) -> None:
        for number in range(20):
            await node.publish(f"drop.c{number:02d}", "1")
        made = directory(node)
        page = await made.read(ChannelPattern(">"), "", 2, ana("drop.c15"))
        assert page == ChannelList([], f"drop.c{2 * ROUNDS - 1:02d}", complete=True)
        assert await names(made, ana("drop.c15"), limit=2) == ["drop.c15"]

    run(scenario)


def test_a_stranger_is_told_that_a_credential_is_needed() -> None:
    async def scenario(node: Node) -> None:
        with pytest.raises(Unauthorized, match="needs a token or an API key"):
            await directory(node).read(ChannelPattern(">"), "", 2, STRANGER)

    run(scenario)


def test_an_answer_says_that_a_node_was_not_heard() -> None:
    async def scenario(node: Node) -> None:
        made = directory(node)
        assert (await made.read(ChannelPattern(">"), "", 2, ANYONE)).complete
        made._all_nodes.complete = False  # type: ignore[attr-defined]
        assert not (await made.read(ChannelPattern(">"), "", 2, ANYONE)).complete

    run(scenario)


def test_a_node_answers_for_its_subscribers_in_bounded_parts() -> None:
    async def scenario(node: Node) -> None:
        wires = [node.subscribe(f"drop.{name}") for name in ("a", "b", "b", "c")]
        made = ChannelDirectory(node.hub)
        question = {"pattern": "drop.>", "after": "drop.a", "limit": 10}
        assert made._answer(question) == {"rows": [("drop.b", 2), ("drop.c", 1)], "next": None}
        assert made._answer({**question, "limit": 1}) == {"rows": [("drop.b", 2)], "next": "drop.b"}
        for wire in wires:
            node.hub.unsubscribe(wire.subscribers[0])
        assert made._answer(question) == {"rows": [], "next": None}
        for number in range(ROWS + 1):
            node.subscribe(f"drop.d{number:04d}")
        answer = made._answer({**question, "limit": 10**9})
        assert (len(answer["rows"]), answer["next"]) == (ROWS, f"drop.d{ROWS - 1:04d}")

    run(scenario)


TEXTS = st.sampled_from(["drop.a", "drop.a.b", "drop.ab", "drop.b", "latest.a", "latest.b", "drop"])
ROW_LISTS = st.lists(
    st.dictionaries(TEXTS, st.integers(1, 9)).map(lambda rows: sorted(rows.items())), max_size=3
)


@settings(max_examples=60)
@given(
    stored=st.sets(TEXTS),
    own=st.sets(TEXTS),
    others=ROW_LISTS,
    limit=st.integers(1, 4),
    granted=st.sampled_from([">", "drop.>", "*.a", "drop.a"]),
    pattern=st.sampled_from([">", "drop.*", "*.a", "latest.>"]),
)
def test_pages_have_every_channel_that_is_anywhere_and_may_be_seen_once_and_in_order(
    stored: set[str],
    own: set[str],
    others: list[list[Row]],
    limit: int,
    granted: str,
    pattern: str,
) -> None:
    async def scenario(node: Node) -> None:
        for channel in sorted(stored):
            await node.publish(channel, "1")
        for channel in sorted(own):
            node.subscribe(channel)
        rows = await everything(directory(node, *others), ana(granted), limit, pattern)
        there = stored | own | {name for each in others for name, _ in each}
        seen = {
            name
            for name in there
            if ChannelPattern(pattern).covers(name) and ChannelPattern(granted).covers(name)
        }
        assert [fields["name"] for fields in rows] == sorted(seen)
        for fields in rows:
            name = fields["name"]
            counts = [dict(each).get(name, 0) for each in others]
            assert fields["subscribers"] == (name in own) + sum(counts)
            assert fields["events"] == (name in stored)

    run(scenario)
