"""The chart's README: a table of its values, with the comments of values.yaml as their meaning.

`python -m tests.deploy.values_page` writes it.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.deploy.chart import CHART
from tests.harness import yaml_text

FILE = CHART / "README.md"
HEAD = """# EventHub on Kubernetes

Kubernetes 1.30 or newer, Helm 3.10 or newer. [docs/kubernetes.md](../../docs/kubernetes.md)
explains an installation step by step. `config` is the content of `eventhub.yaml`, whose keys are in
[docs/settings.md](../../docs/settings.md). Values that are not in this table are refused.

| value | default | meaning |
|---|---|---|
"""
_KEY = re.compile(r"^( *)(\w+):")


@dataclass(frozen=True, slots=True)
class Value:
    """A value of values.yaml: its path, its default, and the comment above it."""

    path: tuple[str, ...]
    default: Any
    meaning: str


def documented() -> Iterator[Value]:
    """The values, in the order of the file."""
    defaults = yaml_text.read((CHART / "values.yaml").read_text())
    path: list[str] = []
    comment: list[str] = []
    for line in (CHART / "values.yaml").read_text().splitlines():
        if line.strip().startswith("#"):
            comment.append(line.strip(" #"))
        elif (found := _KEY.match(line)) is not None:
            path = [*path[: len(found[1]) // 2], found[2]]
            yield Value(tuple(path), _at(defaults, path), " ".join(comment))
            comment = []
        else:
            comment = []  # a comment followed by an empty line describes no single value


def values_page() -> str:
    """The text of the README."""
    rows = [
        f"| `{'.'.join(value.path)}` | {_shown(value.default)} | {value.meaning} |"
        for value in documented()
        if value.meaning
    ]
    return HEAD + "\n".join(rows) + "\n"


def _at(values: Any, path: list[str]) -> Any:
    for key in path:
        values = values[key]
    return values


def _shown(default: Any) -> str:
    if default in ("", None, [], {}):
        return "none"
    return (
        ""
        if isinstance(default, dict)
        else f"`{default if isinstance(default, str) else json.dumps(default)}`"
    )


if __name__ == "__main__":
    FILE.write_text(values_page())
