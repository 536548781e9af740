"""Batches of a source that may be slow."""

import threading
from collections.abc import Iterator

import pytest

from eventhub_client.cli.ahead import BOUND, ReadAhead


def test_a_batch_does_not_wait_for_more_than_one_item() -> None:
    more = threading.Event()

    def source() -> Iterator[int]:
        yield 1
        assert more.wait(30)
        yield 2

    ahead = ReadAhead(source())
    assert ahead.batch(10) == [1]
    more.set()
    assert ahead.batch(10) == [2]
    assert ahead.batch(10) == []
    assert ahead.batch(10) == []


def test_items_stay_in_order_and_batches_have_a_size() -> None:
    ahead = ReadAhead(iter(range(1000)))
    found: list[int] = []
    while batch := ahead.batch(7):
        assert len(batch) <= 7
        found += batch
    assert found == list(range(1000))


def test_an_error_of_the_source_comes_after_what_was_read_before_it() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise ValueError("line 2 is not JSON")

    ahead = ReadAhead(source())
    assert ahead.batch(1) == [1]
    with pytest.raises(ValueError, match="line 2"):
        ahead.batch(1)


def test_a_source_that_is_faster_waits() -> None:
    read = []

    def source() -> Iterator[int]:
        for number in range(BOUND * 3):
            read.append(number)
            yield number

    ahead = ReadAhead(source())
    assert ahead.batch(1) == [0]
    assert len(read) <= BOUND + 3
