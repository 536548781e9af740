"""common/channel_selection.py: what several channels and patterns cover together."""

import pytest

from eventhub.common.channel_selection import ChannelSelection


def test_a_selection_covers_what_one_of_its_parts_covers() -> None:
    selection = ChannelSelection.of("logs.>", "chat.a", "iot.*")
    assert [name for name in ("logs.a.b", "chat.a", "chat.b", "iot.t1", "iot.t1.raw")
            if selection.covers(name)] == ["logs.a.b", "chat.a", "iot.t1"]  # fmt: skip


def test_its_text_does_not_depend_on_the_order() -> None:
    texts = {ChannelSelection.of(*order).text for order in (("b.>", "a"), ("a", "b.>"))}
    assert texts == {"a,b.>"}


@pytest.mark.parametrize(
    ("texts", "overlap"),
    [
        (("a.>", "b.>", "a.b"), ("a.>", "a.b")),
        (("a.b", "a.b"), ("a.b", "a.b")),
        (("a.*", "*.b", "c"), ("*.b", "a.*")),
        (("a.*", "a", "a.*.b"), None),
        ((), None),
    ],
)
def test_parts_that_have_channels_in_common_are_found(
    texts: tuple[str, ...], overlap: tuple[str, str] | None
) -> None:
    assert ChannelSelection.of(*texts).overlap() == overlap
