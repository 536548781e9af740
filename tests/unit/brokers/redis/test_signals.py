"""brokers/redis/signals.py: signals on the topics of their channels, in bounded number."""

import pytest

from eventhub.brokers.redis import signals as signals_module
from eventhub.brokers.redis.announcement import announce
from eventhub.brokers.redis.signals import HEADER, read_signal
from eventhub.brokers.signals import encode
from eventhub.errors import BrokerUnavailable
from eventhub.events.event import Event
from eventhub.events.signal import Signal
from tests.harness.eventually import async_eventually
from tests.harness.loop import in_loop
from tests.unit.brokers.listening import serving
from tests.unit.brokers.redis.brokers import Node, event, node
from tests.unit.brokers.redis.server import SILENCE, FakeRedis

pytestmark = pytest.mark.usefixtures("without_pauses")
SIGNAL = Signal("log.a", b"7", 1000, {"by": "ana"})


@in_loop
async def test_a_signal_is_published_once_and_heard_beside_events() -> None:
    async with node() as each:
        heard: list[Signal] = []
        each.broker.on_signal = heard.append
        await each.broker.subscribe("log.a")
        await each.broker.publish([event()])
        each.broker.signal(SIGNAL)
        await async_eventually("the signal", lambda: heard == [SIGNAL])
        assert [found.offset for found in each.events] == [1]
        sent = [found for found in each.server.named("PUBLISH") if b"log.a" in found[1]]
        assert sent == [[b"PUBLISH", b"p:0:{log.a}", HEADER + encode(SIGNAL)]]
        assert each.gaps == []


@in_loop
async def test_in_a_cluster_it_stays_within_the_shard_of_its_channel() -> None:
    async with node("redis+cluster") as each:
        each.broker.signal(SIGNAL)
        await async_eventually(
            "it", lambda: [b"log.a" in found[1] for found in each.server.named("SPUBLISH")][-1:]
        )


def test_a_node_that_knows_no_signals_takes_one_for_an_announcement_of_nothing() -> None:
    events: list[Event] = []
    announce("log.a", HEADER + encode(SIGNAL), events.append)
    assert events == []


def test_an_announcement_of_events_is_no_signal() -> None:
    assert read_signal("log.a", b"e 0 1 1000 2\n\n1") is None


@in_loop
async def test_one_that_cannot_be_read_is_a_gap_as_any_other_announcement() -> None:
    async with node() as each:
        await each.broker.subscribe("log.a")
        each.server.publish(b"p:0:{log.a}", HEADER + b"nonsense")
        await async_eventually("a gap", lambda: each.gaps == ["log.a"])


@in_loop
async def test_without_a_connection_it_is_refused() -> None:
    server = FakeRedis()
    async with serving(server):
        with pytest.raises(BrokerUnavailable, match="looking for the master"):
            Node(server).broker.signal(SIGNAL)


@in_loop
async def test_while_the_server_answers_none_their_number_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(signals_module, "SIGNALS_IN_FLIGHT", 3)
    async with node() as each:
        each.server.answers["PUBLISH"] = lambda command: SILENCE
        for _ in range(3):
            each.broker.signal(SIGNAL)
        with pytest.raises(BrokerUnavailable, match="3 signals wait for the Redis server"):
            each.broker.signal(SIGNAL)
        del each.server.answers["PUBLISH"]
        each.server.cut()
        await async_eventually("room again", lambda: each.broker._signals._in_flight == 0)
