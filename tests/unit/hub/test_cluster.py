"""cluster.py: messages under topics, and what of other nodes cannot be read."""

from functools import partial
from typing import Any

import pytest

from tests.harness.virtual_time import in_virtual_time
from tests.unit.hub.cluster_node import LIST, Node


@in_virtual_time
async def test_a_message_reaches_the_listener_of_its_topic_on_all_other_nodes() -> None:
    sender, receiver = Node("n1"), Node("n2")
    heard: list[tuple[str, bytes]] = []

    def hear(node: Node, body: bytes) -> None:
        heard.append((node.cluster.own, body))

    for node in (sender, receiver):
        for topic in (b"blocks", b"rates"):
            node.cluster.listen(topic, partial(hear, node))
    await sender.cluster.broadcast(b"blocks", b' {"a": [1, 2]} ')
    assert sender.sent == [b'blocks n1  {"a": [1, 2]} ']
    for node in (sender, receiver):
        node.cluster.on_message(sender.sent[0])
    assert heard == [("n2", b' {"a": [1, 2]} ')]


@in_virtual_time
async def test_a_topic_that_nobody_listens_to_and_a_message_without_a_node_disturb_nobody() -> None:
    node = Node()
    heard: list[bytes] = []
    node.cluster.listen(b"blocks", heard.append)
    for message in (b"others n2 body", b"blocks n2", b"blocks", b""):
        node.cluster.on_message(message)
    assert heard == [b"", b""]
    assert node.faults.counts == {}


@pytest.mark.parametrize(
    ("error", "noted"),
    [
        (ValueError(), []),
        (LookupError(), []),
        (TypeError(), []),
        (AttributeError(), []),
        (OverflowError(), []),
        (ZeroDivisionError(), [("broadcast", "ZeroDivisionError", {"size": 14})]),
    ],
    ids=repr,
)
def test_a_message_that_cannot_be_read_is_no_fault_and_any_other_error_is(
    error: Exception, noted: list[object]
) -> None:
    @in_virtual_time
    async def scenario() -> None:
        def listener(_: bytes) -> None:
            raise error

        node = Node()
        node.cluster.listen(b"blocks", listener)
        node.cluster.on_message(b"blocks n2 body")
        assert node.faults.noted == noted

    scenario()


@in_virtual_time
async def test_an_error_over_one_member_is_a_fault_and_the_others_are_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    node = Node()
    told: list[str] = []

    def on_change(change: Any) -> None:
        if change.member == "ana":
            raise ZeroDivisionError
        told.append(change.member)

    monkeypatch.setattr(node.cluster._watchers, "on_change", on_change)
    node.hear("n2", **LIST, rooms={"chat.a": ["ana", "bob"]})
    assert told == ["bob"]
    assert node.faults.noted == [("presence", "ZeroDivisionError", {"channel": "chat.a"})]
    assert node.cluster.others == {"n2"}
