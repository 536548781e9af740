"""What a run found, for people."""

from collections import Counter
from collections.abc import Sequence

from tests.mutation.judge import Verdict


def summary(verdicts: Sequence[Verdict]) -> str:
    """One line."""
    counts = Counter(each.verdict for each in verdicts)
    judged = counts["killed"] + counts["survived"] + counts["untested"]
    seconds = sum(each.seconds for each in verdicts)
    parts = [
        f"{counts['killed']} of {judged} killed",
        f"{counts['survived']} survived",
        f"{counts['untested']} run by no test",
        *(f"{counts[each]} {each}" for each in ("left", "failed") if counts[each]),
        f"{seconds:.0f} s of a processor",
        f"{60 * counts['killed'] / max(seconds, 0.1):.0f} killed a minute",
    ]
    return f"{100 * counts['killed'] / max(judged, 1):.1f} %: " + ", ".join(parts)
