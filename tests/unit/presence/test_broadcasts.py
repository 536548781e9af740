"""presence/broadcasts.py: how much is in a message between nodes, and which are taken."""

import orjson
import pytest

from eventhub.auth.principal import MEMBER_BYTES
from eventhub.presence.broadcasts import BATCH, Row, batches, check, news, parts
from eventhub.presence.member_data import LAST_VERSION, NOTHING, Data

BROKER_BYTES = 256 * 1024
"""What brokers carry (brokers/base.py)."""
LONGEST = "\x00" * 64
CHANNEL = "c" * 200


def rows(count: int, size: int) -> list[Row]:
    """Members with the longest names, each with data of this size, 0 for none."""
    data = Data(LAST_VERSION, "n1", b'{"a":"%b"}' % (b"x" * (size - 8))) if size else NOTHING
    return [Row(CHANNEL, LONGEST, data) for _ in range(count)]


@pytest.mark.parametrize("size", [0, 8, 100, 1024, MEMBER_BYTES])
def test_no_message_is_larger_than_brokers_carry(size: int) -> None:
    everybody = rows(2 * BATCH, size)
    found = [
        orjson.dumps({"node": "n" * 64, "number": 1, **fields})
        for fields in (*map(news, batches(everybody)), *parts(everybody))
    ]
    assert max(map(len, found)) < BROKER_BYTES


def test_members_without_data_are_split_by_their_number_and_those_with_data_by_its_size() -> None:
    assert [len(batch) for batch in batches(rows(BATCH + 1, 0))] == [BATCH, 1]
    assert [len(batch) for batch in batches(rows(40, 4096))] == [13, 13, 13, 1]
    assert list(batches([])) == []


def test_all_rows_are_sent_once_and_in_order() -> None:
    mixed = [
        Row(
            "chat.a",
            f"m{number}",
            Data(1, "n1", b"x" * (number % 3 * 2000)) if number % 2 else None,
        )
        for number in range(300)
    ]
    assert [row for batch in batches(mixed) for row in batch] == mixed


def test_only_members_with_data_have_a_row_of_it() -> None:
    given = [
        Row("chat.a", "ana", Data(7, "n1", b'{"x":1}')),
        Row("chat.a", "bob", NOTHING),
        Row("chat.a", "cem", Data(8, "n1", b"")),
        Row("chat.a", "dia", None),
    ]
    assert orjson.loads(orjson.dumps(news(given))) == {
        "news": [
            ["chat.a", "ana", True],
            ["chat.a", "bob", True],
            ["chat.a", "cem", True],
            ["chat.a", "dia", False],
        ],
        "data": [["chat.a", "ana", 7, {"x": 1}], ["chat.a", "cem", 8, None]],
    }
    assert news(given[1:2]) == {"news": [("chat.a", "bob", True)]}


def test_a_node_without_members_says_so_in_one_part() -> None:
    assert list(parts([])) == [{"part": 0, "last": True, "rooms": {}}]


def test_what_is_written_is_read_as_it_was() -> None:
    data = Data(7, "n2", b'{"x":[1.5,"\xc3\xa9",null]}')
    message = {"node": "n2", "number": 1, **news([Row("chat.a", "ana", data)])}
    assert check(orjson.loads(orjson.dumps(message))) == {("chat.a", "ana"): data}


LARGE = {"a": "x" * (MEMBER_BYTES - 8)}


def test_the_largest_data_and_the_last_version_are_taken() -> None:
    found = check({"node": "n2", "number": 1, "data": [["chat.a", "ana", LAST_VERSION, LARGE]]})
    assert len(found["chat.a", "ana"].json) == MEMBER_BYTES


@pytest.mark.parametrize(
    "row",
    [
        ["chat.a", "ana", 0, {}],
        ["chat.a", "ana", -1, {}],
        ["chat.a", "ana", True, {}],
        ["chat.a", "ana", 1.5, {}],
        ["chat.a", "ana", "1", {}],
        ["chat.a", "ana", LAST_VERSION + 1, {}],
        ["chat.a", "ana", 1, []],
        ["chat.a", "ana", 1, "away"],
        ["chat.a", "ana", 1, {**LARGE, "b": 1}],
        ["chat.a", 5, 1, {}],
        [None, "ana", 1, {}],
        ["chat.a", "ana", 1],
        ["chat.a", "ana", 1, {}, 1],
        5,
    ],
)
def test_data_that_no_node_wrote_is_refused(row: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        check({"node": "n2", "number": 1, "news": [["chat.a", "ana", True]], "data": [row]})
