"""server/connections/operators.py: what operators see and do, on a node that is alone."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from eventhub.auth.blocks import BlockTarget
from eventhub.auth.grants import Grants
from eventhub.auth.principal import CredentialKind, Principal
from eventhub.errors import Disconnected, Forbidden, InvalidRequest, Revoked
from eventhub.events.event import format_time
from eventhub.observability import log_setup
from eventhub.server.connections.operator_requests import ConnectionFilter, ConnectionsReply
from eventhub.server.connections.operators import Operators
from eventhub.server.connections.scatter_gather import NodeAnswers
from tests.harness.clock import Clock
from tests.unit.server.connections.manager_builder import OpenConnection, build


def principal(name: str, kind: CredentialKind = CredentialKind.TOKEN) -> Principal:
    return Principal(kind, name, Grants({}))


OPERATOR = principal("boss", CredentialKind.KEY)
ANA = BlockTarget("subject", "ana")


class Desk:
    """A node's operators, and its open connections."""

    def __init__(self) -> None:
        self.manager = build()
        self.clock = Clock()
        self.manager.hub.now = self.clock
        self.operators: Operators = self.manager.operators

    def connect(self, name: str, size: int = 0) -> OpenConnection:
        connection = OpenConnection(self.manager, size=size)
        identity = self.manager._connections[connection]
        identity.principal = principal(name)
        return connection

    def ask(self, work: Any) -> Any:
        return asyncio.run(work)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_without_authentication_nobody_is_an_operator(desk: Desk) -> None:
    with pytest.raises(Forbidden, match="no authentication configured"):
        desk.ask(desk.operators.authorize({}, "192.0.2.1"))


def test_with_authentication_the_credential_decides(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.manager.authentication.nobody = OPERATOR
    asked: list[Any] = []

    async def admit(*who: Any) -> Principal:
        asked.append(who)
        return OPERATOR

    monkeypatch.setattr(desk.manager.authentication, "admit_operator", admit)
    assert desk.ask(desk.operators.authorize({b"a": b"b"}, "192.0.2.1")) is OPERATOR
    assert asked == [({b"a": b"b"}, "192.0.2.1")]


def test_the_slowest_readers_come_first_and_all_are_counted(desk: Desk) -> None:
    for name, size in (("ana", 1), ("ben", 3), ("ana", 2)):
        desk.connect(name, size)
    own = desk.manager.hub.nodes.own
    listed = desk.ask(desk.operators.connections(ConnectionFilter(limit=2)))
    assert [row["buffered"] for row in listed["connections"]] == [3, 2]
    assert {row["node"] for row in listed["connections"]} == {own}
    assert listed["nodes"] == {own: {"connections": 3, "matching": 3}}
    assert listed["complete"] is True
    found = desk.ask(desk.operators.connections(ConnectionFilter(subject="ana")))
    assert [row["buffered"] for row in found["connections"]] == [2, 1]
    assert found["nodes"] == {own: {"connections": 3, "matching": 2}}


def test_a_disconnected_client_may_come_back(desk: Desk) -> None:
    ana, ben = desk.connect("ana"), desk.connect("ben")
    answer = desk.ask(desk.operators.disconnect(ANA, OPERATOR))
    assert answer == {"disconnected": 1, "nodes": 1, "complete": True}
    assert isinstance(ana.failed, Disconnected)
    assert not hasattr(ben, "failed")
    assert desk.operators.blocks() == {"blocks": []}


def test_a_blocked_client_is_ended_and_shut_out_for_the_time(desk: Desk) -> None:
    ana = desk.connect("ana")
    answer = desk.ask(desk.operators.block(ANA, 60_000, OPERATOR))
    shown = {
        "subject": "ana",
        "since": format_time(desk.clock()),
        "until": format_time(desk.clock() + 60_000),
    }
    assert answer == {**shown, "disconnected": 1, "nodes": 1, "complete": True}
    assert isinstance(ana.failed, Revoked)
    assert desk.operators.blocks() == {"blocks": [shown]}
    desk.clock.now += 60
    assert desk.operators.blocks() == {"blocks": []}, "its time is over"


def test_an_operator_cannot_block_itself(desk: Desk) -> None:
    with pytest.raises(InvalidRequest, match="is this operator"):
        desk.ask(desk.operators.block(BlockTarget("key", "boss"), 60_000, OPERATOR))
    assert desk.operators.blocks() == {"blocks": []}


def test_a_block_is_lifted_once(desk: Desk) -> None:
    assert desk.ask(desk.operators.unblock(ANA, OPERATOR)) is False
    desk.ask(desk.operators.block(ANA, 60_000, OPERATOR))
    desk.ask(desk.operators.block(BlockTarget("subject", "ben"), 60_000, OPERATOR))
    desk.clock.now += 1
    assert desk.ask(desk.operators.unblock(ANA, OPERATOR)) is True
    assert [row["subject"] for row in desk.operators.blocks()["blocks"]] == ["ben"]
    assert desk.ask(desk.operators.unblock(ANA, OPERATOR)) is False


def test_a_block_that_is_over_needs_no_lifting(desk: Desk) -> None:
    desk.ask(desk.operators.block(ANA, 60_000, OPERATOR))
    desk.clock.now += 61
    assert desk.ask(desk.operators.unblock(ANA, OPERATOR)) is False


def test_each_decision_is_sent_to_the_other_nodes(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[str, bool]] = []

    async def send(decisions: Any) -> None:
        sent.extend((decision.target.value, decision.blocked) for decision in decisions)

    monkeypatch.setattr(desk.operators.block_replication, "send", send)
    desk.ask(desk.operators.block(ANA, 60_000, OPERATOR))
    desk.clock.now += 1
    desk.ask(desk.operators.unblock(ANA, OPERATOR))
    assert sent == [("ana", True), ("ana", False)]


def test_of_all_nodes_connections_only_the_slowest_are_listed(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    replies = {
        node: ConnectionsReply(open=9, matching=2, rows=[{"buffered": size} for size in sizes])
        for node, sizes in {"n2": (30, 10), "n1": (40, 20)}.items()
    }

    async def ask(*_: object) -> NodeAnswers[ConnectionsReply]:
        return NodeAnswers(replies, complete=False)

    monkeypatch.setattr(desk.operators._all_nodes, "ask", ask)
    answer = desk.ask(desk.operators.connections(ConnectionFilter(limit=3)))
    found = [(row["node"], row["buffered"]) for row in answer["connections"]]
    assert found == [("n1", 40), ("n2", 30), ("n1", 20)]
    assert answer["nodes"]["n2"] == {"connections": 9, "matching": 2}
    assert answer["complete"] is False


@pytest.fixture
def _own_level() -> Iterator[None]:
    level = log_setup.level()
    yield
    log_setup.set_level(level)


@pytest.mark.usefixtures("_own_level")
def test_the_log_level_is_told_and_set(desk: Desk) -> None:
    own = desk.manager.hub.nodes.own
    log_setup.set_level("info")
    assert desk.ask(desk.operators.verbosity()) == {"nodes": {own: "info"}, "complete": True}
    answer = desk.ask(desk.operators.set_verbosity("warning", OPERATOR))
    assert answer == {"nodes": {own: "warning"}, "complete": True}
    assert log_setup.level() == "warning"


@pytest.mark.parametrize(
    "question",
    [{"end": ["planet", "x", True]}, {"log": "loud"}, {"connections": {"limit": 0}}, {}],
)
def test_a_malformed_question_of_another_node_does_nothing(
    desk: Desk, question: dict[str, Any]
) -> None:
    client = desk.connect("x")
    with pytest.raises((ValueError, KeyError)):
        desk.operators._answer(question)
    assert not hasattr(client, "failed")
