"""tracing.py: what is a traceparent (W3C Trace Context, 3.2), and what is none."""

import pytest

from eventhub.observability.tracing import TraceParent, may_be_sampled, parent_of, trace_id_of

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("text", "flags", "sampled"),
    [
        (f"00-{TRACE}-{SPAN}-01", 1, True),
        (f"00-{TRACE}-{SPAN}-00", 0, False),
        (f"00-{TRACE}-{SPAN}-03", 3, True),
        (f"00-{TRACE}-{SPAN}-fe", 254, False),
        (f"cc-{TRACE}-{SPAN}-01", 1, True),
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like", 1, True),
    ],
)
def test_a_traceparent_names_trace_and_span_and_whether_they_are_recorded(
    *, text: str, flags: int, sampled: bool
) -> None:
    parent = parent_of({"traceparent": text, "source": "s"})
    assert parent == TraceParent(TRACE, SPAN, flags)
    assert parent.sampled == sampled
    assert may_be_sampled({"traceparent": text}) or not sampled
    assert trace_id_of({"traceparent": text}) == TRACE


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01-",
        f"00-{TRACE}-{SPAN}-01\n",
        f"cc-{TRACE}-{SPAN}-01.what",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[1:]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-\u0660\u0661",
        f" 00-{TRACE}-{SPAN}-01",
    ],
)
def test_what_is_no_traceparent_is_as_none(text: str) -> None:
    assert parent_of({"traceparent": text}) is None
    assert trace_id_of({"traceparent": text}) is None


@pytest.mark.parametrize("flags", ["00", "fe", "02"])
def test_one_look_tells_most_of_those_that_are_not_sampled(flags: str) -> None:
    assert not may_be_sampled({"traceparent": f"00-{TRACE}-{SPAN}-{flags}"})
    assert not may_be_sampled({"source": "s"})
    assert not may_be_sampled(None)


def test_most_events_have_none() -> None:
    assert parent_of(None) is None
    assert parent_of({"subject": f"00-{TRACE}-{SPAN}-01"}) is None
