"""brokers/signals.py: what one node writes, another reads; anything else is no signal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventhub.brokers.signals import decode, encode
from eventhub.common.strict_json import dump
from eventhub.events.signal import Signal

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=5)


@given(JSON, st.integers(0, 2**42), st.none() | st.dictionaries(TEXTS, TEXTS, min_size=1))
def test_a_signal_is_read_as_it_was_written(
    value: object, time: int, attributes: dict[str, str] | None
) -> None:
    signal = Signal("a.b", dump(value), time, attributes)
    assert decode("a.b", encode(signal)) == signal


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"1",
        b"1\n",
        b"x\n\n1",
        b"-1\n\n1",
        b"1\n\n",
        b"1\n\n{",
        b'1\n{"a":1}\n1',
        b"1\n[]\n1",
        b"1\n{\n1",
        b"1\n\n[1,\n2]",
        b"999999999999999999\n\n1",
    ],
)
def test_anything_else_is_refused(message: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # of several kinds, all of which callers expect
        decode("a.b", message)
