"""common/sorted_names.py: names in order, page by page, while they come and go."""

from hypothesis import given
from hypothesis import strategies as st

from eventhub.common.channel_pattern import ChannelPattern
from eventhub.common.sorted_names import SCAN, STALE, NamePage, SortedNames

NAMES = st.sampled_from([f"{first}.{second}" for first in "ab" for second in "0123456789"])
STEPS = st.lists(st.tuples(st.booleans(), NAMES, st.integers(0, 3)), max_size=40)


def read(names: SortedNames, pattern: str, limit: int) -> list[str]:
    found: list[str] = []
    after: str | None = ""
    while after is not None:
        page = names.page(ChannelPattern(pattern), after, limit)
        assert len(page.names) <= limit
        found += page.names
        after = page.next
    return found


@given(STEPS, st.sampled_from([">", "a.>", "b.*", "*.3", "a.5"]), st.integers(1, 5))
def test_pages_have_the_present_names_in_order(
    steps: list[tuple[bool, str, int]], pattern: str, limit: int
) -> None:
    present: set[str] = set()
    names = SortedNames(present)
    fits = ChannelPattern(pattern).covers
    for born, name, look in steps:
        if born:
            present.add(name)
            names.add(name)
        else:
            present.discard(name)
        if look == 0:
            assert read(names, pattern, limit) == sorted(filter(fits, present))
    assert read(names, pattern, limit) == sorted(filter(fits, present))


def filled(count: int) -> tuple[set[str], SortedNames]:
    present = {f"a.{number:05d}" for number in range(count)}
    names = SortedNames(present)
    for name in present:
        names.add(name)
    return present, names


def test_a_page_looks_at_a_bounded_number_of_names() -> None:
    _, names = filled(SCAN + 1)
    assert names.page(ChannelPattern("*.none"), "", 10) == NamePage([], f"a.{SCAN - 1:05d}")
    assert names.page(ChannelPattern("*.none"), f"a.{SCAN - 1:05d}", 10) == NamePage([], None)


def test_a_full_last_page_says_that_it_is_the_last() -> None:
    _, names = filled(3)
    assert names.page(ChannelPattern("a.>"), "", 3) == NamePage(
        ["a.00000", "a.00001", "a.00002"], None
    )
    assert names.page(ChannelPattern("a.>"), "", 2) == NamePage(["a.00000", "a.00001"], "a.00001")


def test_a_few_new_names_among_many_find_their_places() -> None:
    present, names = filled(1000)
    names.page(ChannelPattern(">"), "", 1)
    for name in ("a.00500x", "a.00000", "A.0", "z.0"):
        present.add(name)
        names.add(name)
    assert read(names, ">", 600) == sorted(present)


def test_names_that_come_and_go_are_not_kept_though_no_page_is_read() -> None:
    present = {"a.kept"}
    names = SortedNames(present)
    names.add("a.kept")
    for number in range(5 * STALE):
        names.add(f"a.{number}")
        assert len(names._new) + len(names._names) <= 3 * STALE
    assert read(names, ">", 10) == ["a.kept"]


def test_names_that_are_gone_are_not_kept_for_ever() -> None:
    present, names = filled(STALE + 100)
    names.page(ChannelPattern(">"), "", 1)
    present.clear()
    names.page(ChannelPattern(">"), "", 1)
    assert names._names == []
