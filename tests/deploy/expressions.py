"""Reads the Prometheus expressions of dashboards, alerts and runbooks from their files."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.harness import yaml_text

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm/eventhub/files"
RUNBOOKS = ROOT / "docs/runbooks"
DASHBOARDS = {
    path.stem: json.loads(path.read_text())
    for path in sorted((CHART / "dashboards").glob("*.json"))
}
ALERTS: list[dict[str, Any]] = [
    rule
    for group in yaml_text.read((CHART / "alerts.yaml").read_text())["groups"]
    for rule in group["rules"]
]


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression, and its place."""

    where: str
    text: str


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    """All panels but rows."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def of_dashboards() -> Iterator[Expression]:
    """The expressions of the dashboards as written, with Grafana's variables."""
    for name, dashboard in DASHBOARDS.items():
        for panel in panels(dashboard):
            for target in panel["targets"]:
                yield Expression(f"{name}: {panel['title']}", target["expr"])
        for annotation in dashboard["annotations"]["list"]:
            yield Expression(f"{name}: annotation {annotation['name']}", annotation["expr"])


def of_runbooks() -> Iterator[Expression]:
    """The expressions of the runbooks, one for each line of a block."""
    for path in sorted(RUNBOOKS.glob("*.md")):
        for block in re.findall(r"```promql\n(.*?)```", path.read_text(), re.DOTALL):
            for line in block.splitlines():
                yield Expression(path.name, line)
