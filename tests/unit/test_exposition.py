"""exposition.py: what is written is what Prometheus's own parser reads."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from eventhub.exposition import Family, histogram, number, simple
from eventhub.histogram import Histogram


def read(family: Family) -> tuple[str, str, dict[tuple[str, frozenset[tuple[str, str]]], float]]:
    """Kind, help and samples, as others understand them."""
    (found,) = text_string_to_metric_families(family.text())
    return found.type, found.documentation, {(name, frozenset(labels.items())): value for name, labels, value, *_ in found.samples}


def test_a_name_says_what_is_a_counter() -> None:
    assert read(simple("rooms", "Rooms", {(): 4}, ())) == ("gauge", "Rooms", {("rooms", frozenset()): 4})
    assert read(simple("doors_total", "Doors", {(): 5}, ())) == ("counter", "Doors", {("doors_total", frozenset()): 5})


@given(st.text(), st.text(), st.floats(allow_nan=False))
def test_whatever_a_label_and_a_value_are_they_come_back(one: str, other: str, value: float) -> None:
    kept = [text.replace("\r", "") for text in (one, other)]  # Python's parser takes lines apart there; Prometheus does not
    labels = frozenset({("b", kept[0]), ("a", kept[1])})
    assert read(simple("rooms", "Rooms", {tuple(kept): value}, ("b", "a")))[2] == {("rooms", labels): value}


def test_labels_are_in_alphabetical_order_whatever_order_they_are_given_in() -> None:
    assert simple("rooms", "Rooms", {("x", "y"): 1}, ("b", "a")).text().splitlines()[-1] == 'rooms{a="y",b="x"} 1.0'


def test_a_histogram_has_its_buckets_count_and_sum() -> None:
    values = Histogram((0.5, 1.0))
    for value in (0.25, 0.5, 1.0, 7.0):
        values.observe(value)
    assert histogram("wait_seconds", "Waits", {("a",): values}, ("type",)).text() == (
        "# HELP wait_seconds Waits\n# TYPE wait_seconds histogram\n"
        'wait_seconds_bucket{le="0.5",type="a"} 2.0\nwait_seconds_bucket{le="1.0",type="a"} 3.0\n'
        'wait_seconds_bucket{le="+Inf",type="a"} 4.0\n'
        'wait_seconds_count{type="a"} 4.0\nwait_seconds_sum{type="a"} 8.75\n'
    )


def test_numbers_are_written_as_go_reads_them() -> None:
    assert [number(value) for value in (0, 1, 0.1, 1e21, float("inf"))] == ["0.0", "1.0", "0.1", "1e+21", "+Inf"]
