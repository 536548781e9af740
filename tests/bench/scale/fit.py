"""Least squares in plain Python: the coefficients of a sum of terms, and how firm they are."""

from collections.abc import Sequence

Row = Sequence[float]


def fit(rows: Sequence[Row], values: Sequence[float]) -> list[float]:
    """The coefficients with the least sum of squared relative errors, none below zero.

    Errors are relative because sizes span three powers of ten: the largest alone would decide.
    Nothing costs less than nothing: a term whose coefficient comes out negative is left out.
    Raises ValueError where the rows do not determine the coefficients.
    """
    kept = list(range(len(rows[0])))
    while True:
        found = _least_squares([[row[at] for at in kept] for row in rows], values)
        lowest = min(range(len(kept)), key=found.__getitem__)
        if found[lowest] >= 0:
            by_term = dict(zip(kept, found, strict=True))
            return [by_term.get(at, 0.0) for at in range(len(rows[0]))]
        del kept[lowest]


def predict(coefficients: Sequence[float], row: Row) -> float:
    """What the model says of a size."""
    return _dot(coefficients, row)


def spread(rows: Sequence[Row], values: Sequence[float]) -> list[tuple[float, float]]:
    """The lowest and highest value of each coefficient when each size is left out in turn."""
    fits = [
        fit([*rows[:left], *rows[left + 1 :]], [*values[:left], *values[left + 1 :]])
        for left in range(len(rows))
    ]
    return [(min(column), max(column)) for column in zip(*fits, strict=True)]


def _least_squares(rows: Sequence[Row], values: Sequence[float]) -> list[float]:
    weighted = [[cell / value for cell in row] for row, value in zip(rows, values, strict=True)]
    columns = list(zip(*weighted, strict=True))
    normal = [[_dot(one, other) for other in columns] for one in columns]
    return _solve(normal, [sum(column) for column in columns])


def _dot(one: Row, other: Row) -> float:
    return sum(x * y for x, y in zip(one, other, strict=True))


def _solve(matrix: list[list[float]], right: list[float]) -> list[float]:
    """Gauss's elimination with the largest pivot."""
    size = len(right)
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    for at in range(size):
        pivot = max(range(at, size), key=lambda row: abs(rows[row][at]))
        rows[at], rows[pivot] = rows[pivot], rows[at]
        if abs(rows[at][at]) <= 1e-12 * max(abs(row[at]) for row in matrix):
            raise ValueError("the sizes do not tell the terms apart")
        for below in range(at + 1, size):
            factor = rows[below][at] / rows[at][at]
            rows[below] = [x - factor * y for x, y in zip(rows[below], rows[at], strict=True)]
    found = [0.0] * size
    for at in reversed(range(size)):
        known = _dot(rows[at][at + 1 : size], found[at + 1 :])
        found[at] = (rows[at][size] - known) / rows[at][at]
    return found
