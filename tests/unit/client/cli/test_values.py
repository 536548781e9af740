"""JSON values from lines of text."""

from collections.abc import Iterator
from typing import Any

import pytest

from eventhub_client.cli.values import VALUE_BYTES, values


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (['{"a":1}\n', '{"a":2}\n'], [{"a": 1}, {"a": 2}]),
        (["{\n", '"a":\n', "1}\n", "2\n"], [{"a": 1}, 2]),
        (['{"a":1} {"a":2}\n'], [{"a": 1}, {"a": 2}]),
        (["\n", "  \n", '"x"\n', "true\n", "null\n", "false\n"], ["x", True, None, False]),
        (["12\n", "3\n"], [12, 3]),
        (["[1,\n", "2]"], [[1, 2]]),
        ([], []),
        (["\n"], []),
        (['{"a":"}"}\n'], [{"a": "}"}]),
        (["1.5e3\n"], [1500.0]),
    ],
)
def test_values_are_found(lines: list[str], expected: list[Any]) -> None:
    assert list(values(lines)) == expected


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["oops\n"], "line 1 is not JSON.*'oops'"),
        (["1\n", "{nope}\n"], "line 2 is not JSON"),
        (["1\n", "2\n", '{"a":\n'], "line 3 is not JSON: it ends within the value"),
        (['"a" oops\n'], "line 1 is not JSON.*'oops'"),
        (["hello,\n"], "line 1 is not JSON.*'hello,'"),
        (["[" * 100_000 + "]\n"], "line 1 is not JSON: it nests too deeply"),
        (["[" + "1," * VALUE_BYTES + "\n"], "begins in line 1 is longer than 1048576"),
    ],
)
def test_what_is_not_json_is_named_with_its_line(lines: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        list(values(lines))


def test_a_value_is_there_before_the_next_line_is_read() -> None:
    def lines() -> Iterator[str]:
        yield '{"a":1}\n'
        raise AssertionError("the second line was read")

    assert next(values(lines())) == {"a": 1}
