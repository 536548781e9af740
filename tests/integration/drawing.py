"""Draws a rolling restart as SVG: how many clients each node has, and how many are sent away and
reconnect in each second.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Protocol

WIDTH, HEIGHT, LEFT, RIGHT = 960, 200, 70, 20
TOPS = (40, 300)
COLOURS = ("#0072b2", "#d55e00", "#009e73")
"""Of the nodes: apart for those who see few colours, too."""
GREY, DARK = "#999999", "#333333"

Point = tuple[float, float]


class Span(Protocol):
    """A restart: seconds on one clock, and how many clients may be sent away in one second."""

    node: str
    begun: float
    ended: float
    ready: float
    goodbyes: list[float]


class Panel:
    """A diagram of the time from `begin` to `end` and values from 0 to `most`."""

    def __init__(self, top: float, begin: float, end: float, most: float) -> None:
        self._top, self._begin, self._end, self._most = top, begin, end, most

    def x(self, moment: float) -> float:
        return round(
            LEFT + (moment - self._begin) / (self._end - self._begin) * (WIDTH - LEFT - RIGHT), 1
        )

    def y(self, value: float) -> float:
        return round(self._top + HEIGHT * (1 - value / self._most), 1)

    def line(self, points: Iterable[Point], colour: str, dashes: str = "none") -> str:
        path = " ".join(f"{self.x(moment)},{self.y(value)}" for moment, value in points)
        return (
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2" '
            f'stroke-dasharray="{dashes}"/>'
        )

    def bars(self, counts: Counter[int], colour: str) -> str:
        """A bar for each second since the beginning."""
        parts = (
            f'<rect x="{self.x(self._begin + second)}" y="{self.y(count)}" '
            f'width="{self.x(self._begin + 1) - LEFT - 1:.1f}" '
            f'height="{round(self.y(0) - self.y(count), 1)}" fill="{colour}"/>'
            for second, count in sorted(counts.items())
        )
        return "".join(parts)

    def axes(self, title: str, step: int) -> str:
        marks = [text(LEFT, self._top - 12, title, DARK)]
        for value in range(0, int(self._most) + 1, step):
            marks.append(f'<path d="M{LEFT} {self.y(value)}H{WIDTH - RIGHT}" stroke="#e5e5e5"/>')
            marks.append(text(LEFT - 8, self.y(value) + 4, f"{value:,}", DARK, "end"))
        seconds = range(0, int(self._end - self._begin) + 1, 5)
        marks += [
            text(self.x(self._begin + second), self.y(0) + 18, f"{second} s", DARK, "middle")
            for second in seconds
        ]
        return "".join(marks)


def text(x: float, y: float, words: str, colour: str, anchor: str = "start") -> str:
    """A line of text."""
    return f'<text x="{x}" y="{y}" fill="{colour}" text-anchor="{anchor}">{words}</text>'


def drawing(
    samples: Sequence[tuple[float, dict[str, int]]],
    restarts: Sequence[Span],
    shares: Sequence[float],
    returns: Sequence[float],
) -> str:
    """The SVG.

    `samples` are the connections of each node over time; `shares` is how many clients each restart
    may send away in a second.
    """
    begin, end = samples[0][0], samples[-1][0]
    told = Counter(int(moment - begin) for restart in restarts for moment in restart.goodbyes)
    back = Counter(int(moment - begin) for moment in returns)
    crowds = Panel(TOPS[0], begin, end, 1.2 * max(max(counts.values()) for _, counts in samples))
    moves = Panel(TOPS[1], begin, end, 1.15 * max(*told.values(), *back.values(), *shares))
    parts = [crowds.axes("clients at each node", 500), moves.axes("clients in each second", 50)]
    for restart in restarts:
        parts.append(
            f'<rect x="{crowds.x(restart.ended)}" y="{TOPS[0]}" '
            f'width="{crowds.x(restart.ready) - crowds.x(restart.ended):.1f}" '
            f'height="{HEIGHT}" fill="#eeeeee"/>'
        )
        parts.append(
            text(crowds.x(restart.begun) + 4, TOPS[0] + 14, f"SIGTERM {restart.node}", DARK)
        )
        parts.append(crowds.line([(restart.begun, 0), (restart.begun, crowds._most)], GREY, "2 3"))
    for number, colour in enumerate(COLOURS):
        name = restarts[number].node
        parts.append(crowds.line([(moment, counts[name]) for moment, counts in samples], colour))
        parts.append(text(420 + 70 * number, TOPS[0] - 12, name, colour))
    parts.append(text(420 + 70 * len(COLOURS), TOPS[0] - 12, "grey: one does not run", GREY))
    parts.append(moves.bars(told, "#cc79a7"))
    parts.append(
        moves.line(
            [(begin + second + 0.5, back[second]) for second in range(int(end - begin))], "#0072b2"
        )
    )
    for restart, share in zip(restarts, shares, strict=True):
        parts.append(moves.line([(restart.begun, share), (restart.ended, share)], "#000000", "6 4"))
    for x, words, colour in (
        (420, "sent away", "#cc79a7"),
        (520, "came back", "#0072b2"),
        (620, "- - may be sent away (1/spread of its clients)", "#000000"),
    ):
        parts.append(text(x, TOPS[1] - 12, words, colour))
    size = f'width="{WIDTH}" height="{TOPS[1] + HEIGHT + 40}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="13">\n'
        f'<rect {size} fill="#ffffff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )
