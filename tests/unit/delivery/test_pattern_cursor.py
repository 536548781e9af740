"""delivery/pattern_cursor.py: what a cursor says is where its reader stands, whatever happened."""

from collections.abc import Callable
from itertools import count

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from eventhub.delivery import pattern_cursor
from eventhub.delivery.pattern_cursor import (
    CURSOR_BYTES,
    PART_BYTES,
    PatternCursor,
    RecordName,
    UnreadableJournal,
    is_pattern_cursor,
    parse_pattern_cursor,
    read_journal,
)
from eventhub.errors import InvalidSince

PATTERN = "iot.>"
LONGEST = 200
"""Characters of the longest channel name."""


class Kept:
    """Journals in memory."""

    def __init__(self) -> None:
        self.records: dict[str, list[bytes]] = {}
        self._names = count(1)

    def new(self) -> str:
        return f"{next(self._names):012x}"

    def add(self, name: RecordName, record: bytes) -> None:
        journal = self.records.setdefault(name.journal, [])
        journal.append(record)
        assert name.number == len(journal), "records are numbered in order"

    def resolve(self, text: str) -> tuple[str, dict[str, str]]:
        """What a cursor says: how the channels that it does not name begin, and positions."""
        assert is_pattern_cursor(text)
        parsed = parse_pattern_cursor(text, "since")
        at = dict(parsed.moved)
        while (record := parsed.record) is not None:
            parsed = read_journal(self.records[record.journal], record.number, PATTERN)
            at = {**parsed.moved, **at}
        return parsed.base, at

    @property
    def bytes(self) -> int:
        return sum(len(record) for journal in self.records.values() for record in journal)


class Readers(RuleBasedStateMachine):
    """Readers that move, resume, and share a cursor, with the model of where each stands."""

    def __init__(self) -> None:
        super().__init__()
        self.kept = Kept()
        self.model: dict[str, str] = {}
        self.base = ""
        self.cursor = PatternCursor(PATTERN, self.kept)
        self.given: list[tuple[str, str, dict[str, str]]] = []
        """Cursors that clients got, with what they must mean for ever."""
        self.offsets = count(1)

    @rule(
        channels=st.lists(st.integers(0, 120), min_size=1, max_size=60),
        length=st.sampled_from([8, 40, LONGEST]),
    )
    def move(self, channels: list[int], length: int) -> None:
        for channel in channels:
            name, position = f"iot.{channel:0{length - 4}}", f"e-{next(self.offsets)}"
            self.cursor.move(name, position)
            self.model[name] = position

    @rule(at=st.integers(0, 10**6))
    def give(self, at: int) -> None:
        self.given.append((str(self.cursor), self.base, dict(self.model)))

    @rule(at=st.integers(0, 10**6))
    def resume(self, at: int) -> None:
        if self.given:
            text, self.base, model = self.given[at % len(self.given)]
            self.model = dict(model)
            parsed = parse_pattern_cursor(text, "since")
            self.cursor = PatternCursor(PATTERN, self.kept, parsed.base, parsed.moved)

    @rule()
    def grow_old(self) -> None:
        self.cursor.begin_journal()

    @rule(base=st.sampled_from(["", "-20", "10m"]))
    def start(self, base: str) -> None:
        self.base, self.model = base, {}
        self.cursor = PatternCursor(PATTERN, self.kept, base)

    @rule()
    def move_to_where_it_stands(self) -> None:
        before = self.kept.bytes, str(self.cursor)
        self.cursor.move_all([])
        assert (self.kept.bytes, str(self.cursor)) == before

    @invariant()
    def the_cursor_says_where_the_reader_stands(self) -> None:
        text = str(self.cursor)
        assert self.kept.resolve(text) == (self.base, self.model)
        assert len(text) <= CURSOR_BYTES + LONGEST

    def teardown(self) -> None:
        for text, base, model in self.given:
            assert self.kept.resolve(text) == (base, model)


TestReaders = Readers.TestCase
TestReaders.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


def test_while_all_positions_fit_there_is_no_journal() -> None:
    kept = Kept()
    cursor = PatternCursor(PATTERN, kept)
    for number in range(1000):
        cursor.move(f"iot.t{number % 20}", f"k3x9-{number}")
    assert not kept.records
    assert not cursor.in_journal
    assert str(cursor).startswith("*,iot.t0@k3x9-980,iot.t1@k3x9-981")


@given(st.integers(100, 3000))
def test_what_is_kept_is_as_large_as_what_moved_and_a_journal_is_read_in_one_go(steps: int) -> None:
    """Not the whole vector each time. The vector has 500 channels."""
    kept = Kept()
    cursor = PatternCursor(PATTERN, kept)
    for number in range(steps):
        cursor.move(f"iot.t{number * 7 % 500}", f"k3x9-{number:09}")
    moved = sum(len(f'"iot.t{number * 7 % 500}":"k3x9-000000000",') for number in range(steps))
    vector = 500 * 30
    assert kept.bytes < 1.7 * moved + 2 * vector
    most = (pattern_cursor.REWRITE + 1) * (vector + CURSOR_BYTES) + PART_BYTES + CURSOR_BYTES
    assert all(sum(map(len, records)) < most for records in kept.records.values())


def test_a_complete_record_is_divided() -> None:
    kept = Kept()
    cursor = PatternCursor(PATTERN, kept)
    for number in range(10_000):
        cursor.move(f"iot.t{number}", "k3x9-000000000")
    cursor.begin_journal()
    records = list(kept.records.values())[-1]
    assert len(records) > 3
    assert max(map(len, records)) < PART_BYTES * 1.1
    assert len(kept.resolve(str(cursor))[1]) == 10_000


def test_to_move_to_the_same_positions_writes_nothing() -> None:
    kept = Kept()
    cursor = PatternCursor(PATTERN, kept)
    positions = [(f"iot.t{number}", "k3x9-1") for number in range(1000)]
    cursor.move_all(positions)
    before = kept.bytes
    cursor.move_all(positions)
    assert kept.bytes == before
    cursor.move_all([*positions, ("iot.t3", "k3x9-2")])
    assert str(cursor).endswith(",iot.t3@k3x9-2")


@pytest.mark.parametrize("part", ["iot.a", "@k-1", "", "iot.a=k-1", "x" * 5000])
def test_a_part_of_another_form_is_refused(part: str) -> None:
    with pytest.raises(InvalidSince, match="Last-Event-ID is a cursor of a pattern, but") as found:
        parse_pattern_cursor(f"*,iot.b@k-1,{part}", "Last-Event-ID")
    assert len(str(found.value)) < 300


Change = Callable[[list[bytes]], list[bytes]]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda records: records[:-1], "record 2 of its journal is not known"),
        (lambda records: records[1:], "record 1 of its journal is not known"),
        (lambda records: [], "record 1 of its journal is not known"),
        (lambda records: [b"{", records[1]], "cannot be read: JSONDecodeError"),
        (lambda records: [records[0], b"[]"], "cannot be read: TypeError"),
        (lambda records: [b'{"number":1,"at":{}}', records[1]], "cannot be read: KeyError"),
        (lambda records: [records[0], b'{"number":2,"at":7}'], "cannot be read: TypeError"),
    ],
)
def test_a_journal_that_is_not_whole_is_not_used(change: Change, reason: str) -> None:
    records = [
        orjson.dumps({"number": 1, "pattern": PATTERN, "base": "", "at": {"iot.a": "k-1"}}),
        orjson.dumps({"number": 2, "at": {"iot.b": "k-2", "iot.a": "k-3"}}),
    ]
    both = {"iot.a": "k-3", "iot.b": "k-2"}
    assert read_journal(records, 2, PATTERN).moved == both
    assert read_journal(records[::-1], 2, PATTERN).moved == both, "it was stored again, and late"
    assert read_journal(records, 1, PATTERN).moved == {"iot.a": "k-1"}
    with pytest.raises(UnreadableJournal, match=reason):
        read_journal(change(records), 2, PATTERN)


def test_a_cursor_is_good_for_its_pattern_only() -> None:
    kept = Kept()
    cursor = PatternCursor(PATTERN, kept)
    cursor.begin_journal()
    with pytest.raises(UnreadableJournal, match=r"of the pattern 'iot\.>'; expected 'iot\.a"):
        read_journal(kept.records["000000000001"], 1, "iot.a.>")


@pytest.mark.parametrize(
    "text", ["", "-20", "10m", "0123456789ab", "0123456789ab.0", "0123456789ab.01", "x.1",
             "0123456789AB.1", "0123456789ab.1234567890", "0123456789ab.1\n"],
)  # fmt: skip
def test_what_names_no_record(text: str) -> None:
    assert RecordName.parse(text) is None


def test_a_record_has_a_name() -> None:
    name = RecordName.parse("0123456789ab.7")
    assert name == RecordName("0123456789ab", 7)
    assert str(name) == "0123456789ab.7"
