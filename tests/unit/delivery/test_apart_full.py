"""delivery/apart.py: subscribers of a pattern whose writers are full."""

import pytest

from eventhub.delivery import apart as apart_module
from eventhub.delivery.subscriber import SubscriberState
from tests.unit.delivery.apart_node import Apart, earliest


def test_a_full_writer_begins_nowhere_until_it_has_drained() -> None:
    node = Apart("a", "b")
    reader = node.join(earliest("a"), full=True)
    other = node.join(full=True)
    reader.advance()
    other.advance()
    assert not node.reads
    assert not node.live
    reader.drain()
    other.drain()
    assert node.reads == ["a"]
    assert node.live == [other.subscriber]


def test_one_that_is_filled_by_a_page_begins_in_no_further_channel() -> None:
    node = Apart(*(names := [f"c{number}" for number in range(17)]))
    reader = node.join(earliest(*names))
    reader.wire.room = 1
    reader.advance()
    node.answer("c1")
    assert reader.wire.full
    assert "c0" not in node.reads
    reader.wire.room = 1000
    reader.drain()
    assert "c0" in node.reads


def test_one_turns_live_when_no_part_lags() -> None:
    node = Apart("a", "b")
    reader = node.join(full=True)
    node.publish("a")
    node.publish("b")
    assert [part.state for part in reader.subscriber.parts.values()] == [
        SubscriberState.LAGGING
    ] * 2
    reader.wire.full = False
    reader.advance()
    assert not node.live
    reader.drain()
    assert node.live == [reader.subscriber]
    assert reader.got == ["a gap", "b gap"]


def test_parts_of_a_writer_that_fills_again_wait_for_the_next_time() -> None:
    node = Apart("a", "b")
    reader = node.join(full=True)
    node.publish("a")
    node.publish("b")
    reader.wire.room = 1
    reader.drain()
    assert reader.got == ["a gap"]
    assert reader.parts == ["b"]
    assert not node.live
    reader.wire.room = 1000
    reader.drain()
    assert reader.got == ["a gap", "b gap"]
    assert node.live == [reader.subscriber]


def test_live_parts_lag_when_the_writer_is_full() -> None:
    node = Apart("a", "b", "c")
    reader = node.join(earliest("c"))
    reader.advance()
    node.publish("a")
    node.publish("b")
    reader.wire.full = True
    node.apart.congested(reader.subscriber)
    states = {name: part.state for name, part in reader.subscriber.parts.items()}
    assert states["a"] is states["b"] is SubscriberState.LAGGING
    assert reader.got == ["a a-3", "b a-3"], "what was queued for it comes first"


def test_draining_concerns_only_those_that_are_apart() -> None:
    node = Apart("a")
    reader = node.join()
    reader.advance()
    reader.drain()
    assert node.live == [reader.subscriber]


def test_one_that_is_behind_in_too_many_channels_is_closed_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(apart_module, "LAGGING_CHANNELS", 2)
    node = Apart("a", "b", "c")
    slow, quick = node.join(full=True), node.join(earliest("a"))
    for name in ("a", "b", "b"):
        node.publish(name)
    assert not node.failed
    node.publish("c")
    [(failed, error)] = node.failed
    assert failed is slow.subscriber
    assert error.message == (
        "the connection's outgoing buffer is full, and 2 channels of '*' have more to send; "
        "at most that many are kept for it"
    )
    assert slow.parts == []
    assert quick.parts == ["b", "c"]
    assert len(node.feeds["a"]) == 0


def test_one_that_is_not_full_may_have_a_part_in_every_channel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(apart_module, "LAGGING_CHANNELS", 1)
    node = Apart("a", "b", "c")
    reader = node.join(earliest("a"))
    reader.advance()
    node.publish("b")
    node.publish("c")
    assert reader.parts == ["a", "b", "c"]
    assert not node.failed
