"""Prometheus's text format (prometheus.io/docs/instrumenting/exposition_formats, version 0.0.4): families of series, and their text.

A line takes a quarter of the time of prometheus_client's, of which there was no other use.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from eventhub.histogram import Histogram

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})

Kind = Literal["counter", "gauge", "histogram"]
Sample = tuple[str, dict[str, str], float]
"""Name, labels and value of a series."""


@dataclass(frozen=True, slots=True)
class Family:
    """The series of one metric. The name of a counter ends in _total."""

    name: str
    help: str
    kind: Kind
    samples: list[Sample]

    def text(self) -> str:
        """Its lines."""
        lines = [f"# HELP {self.name} {self.help}\n# TYPE {self.name} {self.kind}\n"]
        for name, labels, value in self.samples:
            if labels:
                pairs = ",".join([f'{label}="{labels[label].translate(_ESCAPES)}"' for label in sorted(labels)])
                lines.append(f"{name}{{{pairs}}} {number(value)}\n")
            else:
                lines.append(f"{name} {number(value)}\n")
        return "".join(lines)


def simple(name: str, text: str, values: Mapping[Any, float], labels: tuple[str, ...]) -> Family:
    """A counter if its name says so, otherwise a gauge. `values` by tuples of as many strings as there are labels."""
    kind: Kind = "counter" if name.endswith("_total") else "gauge"
    return Family(name, text, kind, [(name, dict(zip(labels, key, strict=True)), float(value)) for key, value in values.items()])


def histogram(name: str, text: str, histograms: Mapping[Any, Histogram], labels: tuple[str, ...]) -> Family:
    """The distributions, by tuples of as many strings as there are labels."""
    samples: list[Sample] = []
    for key, values in histograms.items():
        own, count = dict(zip(labels, key, strict=True)), 0
        for bound, count in values.cumulative():  # the last is the number of all
            samples.append((f"{name}_bucket", {**own, "le": number(bound)}, count))
        samples += [(f"{name}_count", own, count), (f"{name}_sum", own, values.sum)]
    return Family(name, text, "histogram", samples)


def number(value: float) -> str:
    """As Go reads it."""
    return "+Inf" if value == float("inf") else repr(float(value))
