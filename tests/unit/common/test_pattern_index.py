"""common/pattern_index.py: a look-up finds the patterns that cover a channel, and no other ones."""

from hypothesis import given
from hypothesis import strategies as st

from eventhub.common.channel_pattern import ChannelPattern
from eventhub.common.pattern_index import PatternIndex
from tests.unit.common.test_channel_pattern import CHANNELS, patterns


@given(
    st.lists(st.tuples(st.sampled_from(["add", "discard"]), patterns()), max_size=30),
    st.lists(CHANNELS, max_size=5),
)
def test_the_patterns_that_cover_a_channel_are_found_whatever_comes_and_goes(
    steps: list[tuple[str, str]], channels: list[str]
) -> None:
    index, present = PatternIndex[str](), set[str]()
    for step, text in steps:
        if step == "discard":
            index.discard(ChannelPattern(text))
            present.discard(text)
        elif text not in present:
            index.add(ChannelPattern(text), text)
            present.add(text)
    for channel in channels:
        covering = {text for text in present if ChannelPattern(text).covers(channel)}
        found = index.covering(channel)
        assert (len(found), set(found)) == (len(covering), covering)
    for text in present:
        index.discard(ChannelPattern(text))
    assert index._root.following == {}, "nothing is left of patterns that are gone"


def test_patterns_that_cover_a_channel_in_different_ways_are_all_found() -> None:
    index = PatternIndex[str]()
    texts = [">", "iot.>", "iot.*", "*.t1", "iot.t1", "*.>", "iot.t1.>", "iot", "*", "iot.*.t1"]
    for text in texts:
        index.add(ChannelPattern(text), text)
    assert set(index.covering("iot.t1")) == {">", "iot.>", "iot.*", "*.t1", "iot.t1", "*.>"}
    assert set(index.covering("iot")) == {">", "iot", "*"}
    assert set(index.covering("iot.x.t1")) == {">", "iot.>", "*.>", "iot.*.t1"}


def test_a_pattern_that_begins_like_another_survives_it() -> None:
    index = PatternIndex[str]()
    for text in ("iot.a.>", "iot.a"):
        index.add(ChannelPattern(text), text)
    index.discard(ChannelPattern("iot.a"))
    index.discard(ChannelPattern("iot.a"))
    index.discard(ChannelPattern("iot.b.c"))
    assert index.covering("iot.a.b") == ["iot.a.>"]
    assert index.covering("iot.a") == []
