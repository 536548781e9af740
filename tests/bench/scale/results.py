"""The measurements as they are stored, and the models that are fitted to them."""

import json
import re
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.bench.scale.cost import COSTS, Cost, Size
from tests.bench.scale.fit import fit, predict, spread
from tests.bench.scale.measure import Sample

FILE = Path(__file__).parents[1] / "scale.json"
TOLERANCE = 1 / 3
"""Of the measured value, by which a prediction may be wrong."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the model says of a size that it was not fitted to, beside what was measured."""

    cost: str
    size: Size
    predicted: float
    measured: float

    @property
    def error(self) -> float:
        """Relative to what was measured."""
        return self.predicted / self.measured - 1


@dataclass(frozen=True)
class Model:
    """A cost with the medians of its readings."""

    cost: Cost
    medians: dict[Size, float]

    @cached_property
    def coefficients(self) -> dict[str, float]:
        """By term."""
        return dict(zip(self.cost.terms, fit(*self._fitted), strict=True))

    @cached_property
    def spreads(self) -> dict[str, tuple[float, float]]:
        """The lowest and highest coefficient when one size is left out."""
        return dict(zip(self.cost.terms, spread(*self._fitted), strict=True))

    def predictions(self) -> list[Prediction]:
        weights = list(self.coefficients.values())
        return [
            Prediction(
                self.cost.name,
                size,
                predict(weights, self.cost.row(size)),
                self.medians[size],
            )
            for size in self.cost.held_out
        ]

    @property
    def _fitted(self) -> tuple[list[list[float]], list[float]]:
        sizes = self.cost.fitted
        return [self.cost.row(size) for size in sizes], [self.medians[size] for size in sizes]


@dataclass(frozen=True, slots=True)
class Results:
    """All models, and what they were measured on."""

    machine: dict[str, str]
    begun: str
    models: dict[str, Model]
    written: dict[str, dict[str, float]]
    """The coefficients as they are stored, for those who read the file without this module."""

    def of(self, cost: str, term: str) -> float:
        """A coefficient."""
        return self.models[cost].coefficients[term]

    def predictions(self) -> list[Prediction]:
        return [found for model in self.models.values() for found in model.predictions()]


def read(file: Path = FILE) -> Results:
    """The stored measurements, fitted again."""
    stored = json.loads(file.read_text(encoding="utf-8"))
    models = {name: Model(COSTS[name], _medians(found)) for name, found in _readings(file).items()}
    written = {
        name: {term: found["value"] for term, found in cost["coefficients"].items()}
        for name, cost in stored["costs"].items()
    }
    return Results(stored["machine"], stored["begun"], models, written)


def write(
    machine: dict[str, str], begun: str, samples: Iterable[Sample], file: Path = FILE
) -> None:
    """Store the measurements, and the coefficients that follow from them.

    Costs that were not measured now keep their readings.
    """
    new: dict[str, dict[Size, list[float]]] = {}
    for name, size, value in samples:
        new.setdefault(name, {}).setdefault(size, []).append(round(value, 3))
    costs = {name: _stored(COSTS[name], found) for name, found in (_readings(file) | new).items()}
    ordered = {name: costs[name] for name in COSTS if name in costs}
    text = json.dumps({"machine": machine, "begun": begun, "costs": ordered}, indent=1)
    file.write_text(_LIST.sub(_on_one_line, text) + "\n", encoding="utf-8")


_LIST = re.compile(r"\[[^][{}]*\]")


def _on_one_line(numbers: re.Match[str]) -> str:
    return " ".join(numbers[0].split()).replace("[ ", "[").replace(" ]", "]")


def _readings(file: Path) -> dict[str, dict[Size, list[float]]]:
    """By cost and size, as they are stored; none if there is no file."""
    stored = json.loads(file.read_text(encoding="utf-8"))["costs"] if file.exists() else {}
    return {
        name: {tuple(point["size"]): point["values"] for point in cost["points"]}
        for name, cost in stored.items()
    }


def _stored(cost: Cost, points: dict[Size, list[float]]) -> dict[str, Any]:
    model = Model(cost, _medians(points))
    return {
        "title": cost.title,
        "unit": cost.unit,
        "axes": cost.axes,
        "coefficients": {
            term: {"value": _short(value), "spread": [*map(_short, model.spreads[term])]}
            for term, value in model.coefficients.items()
        },
        "points": [
            {"size": size, "held_out": size in cost.held_out, "values": points[size]}
            for size in cost.sizes
        ],
    }


def _medians(points: dict[Size, list[float]]) -> dict[Size, float]:
    return {size: statistics.median(values) for size, values in points.items()}


def _short(value: float) -> float:
    """Four digits: more would say more than was measured."""
    return float(f"{value:.4g}")
