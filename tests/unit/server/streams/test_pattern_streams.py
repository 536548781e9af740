"""Streams of a pattern, on random interleavings with cuts and kills. Each rule is needed."""

from collections.abc import Callable, Sequence

import pytest

from eventhub.delivery.cursor_encoding import SharedCursorEncoding
from eventhub.delivery.fanout import Fanout
from eventhub.delivery.pattern_cursor import PatternCursor
from eventhub.delivery.pattern_subscriber import PatternSince
from eventhub.server.streams.outbox import Outbox
from eventhub.server.streams.pattern_outbox import PatternOutbox
from eventhub.server.streams.selection_outbox import SelectionOutbox
from tests.harness.virtual_time import in_virtual_time
from tests.unit.server.streams.pattern_world import World

CLIENTS = [("sse", "earliest"), ("sse", "earliest"), ("ndjson", "earliest")]
STEPS = 150
SEEDS = 40
"""Runs in which a rule that is switched off must be missed."""


@pytest.mark.parametrize("channels", [3, 200])
@pytest.mark.parametrize("seed", range(10))
@in_virtual_time
async def test_every_client_gets_every_event_once_and_in_order(seed: int, channels: int) -> None:
    world = World(seed, channels=channels)
    await world.run(CLIENTS, STEPS)
    assert all(client.longest < 1300 for client in world.clients)


@pytest.mark.parametrize("channels", [3, 120])
@pytest.mark.parametrize("seed", range(6))
@in_virtual_time
async def test_a_stream_of_several_patterns_and_a_channel_keeps_the_promise(
    seed: int, channels: int
) -> None:
    clients = [*CLIENTS[1:], ("sse", "latest"), ("ndjson", "latest"), ("sse", "-1000")]
    world = World(seed, channels=channels, several=True)
    await world.run(clients, STEPS)
    assert all(client.longest < 1300 for client in world.clients)


@pytest.mark.parametrize("seed", range(3))
@in_virtual_time
async def test_a_slow_client_is_told_what_it_missed_and_its_cursor_stands_behind_that(
    seed: int,
) -> None:
    await World(seed, channels=200, bound=20_000).run(CLIENTS, STEPS)


def at_once(outbox: PatternOutbox, data: bytes) -> None:
    Outbox.write(outbox, data)


def nothing(*_: object) -> None:
    """Instead of a rule."""


def send_early(outbox: SelectionOutbox, parts: Sequence[str], since: PatternSince) -> None:
    BEGIN(outbox, parts, since)
    outbox._early = None


BEGIN = SelectionOutbox.begin
SELECTION_RULES: dict[str, tuple[type, str, Callable[..., object]]] = {
    "nothing is sent before all have begun": (SelectionOutbox, "begin", send_early),
    "the cursor has all positions then": (PatternCursor, "completed", lambda cursor, _: cursor),
}
RULES: dict[str, tuple[type, str, Callable[..., None], int]] = {
    "bytes wait for their record": (PatternOutbox, "write_placed", at_once, 200),
    "what is pushed is encoded before a stream joins": (Fanout, "encode", nothing, 3),
    "the first live stream is told what it missed": (SharedCursorEncoding, "place", nothing, 3),
    "a record holds what moved": (PatternCursor, "_forget_moved", nothing, 200),
}
"""What is replaced, by what, and the number of channels."""


@pytest.mark.parametrize("rule", SELECTION_RULES)
def test_each_rule_of_several_patterns_is_needed(
    rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(*SELECTION_RULES[rule])

    @in_virtual_time
    async def run(seed: int) -> None:
        clients = [("sse", "latest"), ("ndjson", "latest"), ("sse", "latest")]
        await World(seed, channels=40, several=True).run(clients, 60)

    def fails(seed: int) -> bool:
        try:
            run(seed)
        except AssertionError:
            return True
        return False

    assert any(map(fails, range(SEEDS)))


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_is_needed(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, name, instead, channels = RULES[rule]
    monkeypatch.setattr(owner, name, instead)

    @in_virtual_time
    async def run(seed: int) -> None:
        world = World(seed, channels=channels)
        await world.run(CLIENTS, STEPS)
        assert all(client.longest < 1300 for client in world.clients)

    def fails(seed: int) -> bool:
        try:
            run(seed)
        except AssertionError:
            return True
        return False

    assert any(map(fails, range(SEEDS)))
