"""A part of a list of writes, in C and in Python."""

import sys

import pytest

from eventhub._native import write_all
from eventhub.delivery.bulk_write import WriteAll, write_all_plainly

both = pytest.mark.parametrize("way", [write_all, write_all_plainly])


def written(way: WriteAll, *part: int) -> list[int]:
    """Which of twenty writes were called, in order."""
    got: list[int] = []
    writes = [lambda data, number=number: got.append(number) for number in range(20)]
    assert way(writes, b"x", *part) == []  # type: ignore[arg-type]  # mypy: lambdas with defaults
    return got


@both
@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ((), range(20)),
        ((3,), range(3, 20)),
        ((0, 20), range(20)),
        ((0, 1), range(1)),
        ((19, 20), [19]),
        ((5, 15), range(5, 15)),
        ((15, 99), range(15, 20)),
        ((0, sys.maxsize), range(20)),
        ((7, 7), []),
        ((20, 30), []),
        ((9, 3), []),
    ],
)
def test_only_the_writes_of_the_part_are_called(
    way: WriteAll, part: tuple[int, ...], expected: list[int]
) -> None:
    assert written(way, *part) == list(expected)


@both
def test_a_failure_in_a_part_is_returned_with_its_write(way: WriteAll) -> None:
    def broken(data: bytes) -> None:
        raise ConnectionError(data)

    got: list[bytes] = []
    failures = way([broken, got.append, broken, got.append, broken], b"x", 1, 4)
    assert got == [b"x", b"x"]
    assert [(write, str(error)) for write, error in failures] == [(broken, "b'x'")]


def test_a_part_that_begins_before_the_list_is_an_error() -> None:
    with pytest.raises(ValueError, match="begin is -1; expected 0 or more"):
        write_all([], b"x", -1)
