"""hub/patterns.py: when a channel without events is let go, and when an event may be under way."""

import pytest

from eventhub.events.event import Position
from eventhub.hub import patterns as patterns_module
from eventhub.hub.covered_channels import CoveredChannels
from tests.harness.virtual_time import turns
from tests.unit.hub.hub_node import Node, run, until
from tests.unit.hub.test_patterns import Reader

SILENT = {"drop.a": Position("k3x9", 1)}


def test_a_channel_is_kept_while_births_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns_module, "LIST_SECONDS", 0.0)

    async def scenario(node: Node) -> None:
        reader = Reader(node, "drop.*", SILENT)
        for _ in range(200):
            node.hub.patterns.born("drop.a")  # its announcement may be under way
            await turns(1)
            assert node.hub.feeds.get("drop.a") is not None
        assert reader.ready
        await until(lambda: node.hub.feeds.get("drop.a") is None)

    run(scenario)


def test_readings_right_after_one_another_let_no_channel_go() -> None:
    async def scenario(node: Node) -> None:
        reader = Reader(node, "drop.*", SILENT)
        await until(lambda: reader.ready)
        for _ in range(200):
            node.hub.patterns.born(None)
            await turns(1)
        assert node.hub.feeds.get("drop.a") is not None

    run(scenario)


def test_a_channel_is_silent_two_readings_after_its_birth() -> None:
    channels = CoveredChannels("drop.*", 10, 60.0)
    assert channels.is_silent("drop.a")
    channels.born("drop.a")
    assert not channels.is_silent("drop.a")
    channels.was_read()
    assert not channels.is_silent("drop.a")
    channels.was_read()
    assert channels.is_silent("drop.a")
