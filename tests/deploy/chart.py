"""Renders the chart with Helm."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests import SETTINGS
from tests.harness import yaml_text

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm/eventhub"
HELM = ROOT / "tests/conformance/node_modules/.bin/helm"
CURRENT, OLDEST = "1.37", "1.30"
"""Versions of Kubernetes: the newest, and the first that Chart.yaml takes."""
RELEASE = "hub"
Object = dict[str, Any]
Values = Mapping[str, Any]


def ci(name: str) -> Object:
    """The values of ci/NAME-values.yaml."""
    values: Object = yaml_text.read((CHART / f"ci/{name}-values.yaml").read_text())
    return values


CI = sorted(path.name.removesuffix("-values.yaml") for path in (CHART / "ci").glob("*-values.yaml"))


def merged(low: Values, high: Values) -> Object:
    """`high` over `low`, merged as by Helm: null removes a key."""
    values = {key: value for key, value in low.items() if key not in high or high[key] is not None}
    for key, value in high.items():
        if isinstance(value, Mapping) and isinstance(values.get(key), Mapping):
            values[key] = merged(values[key], value)
        elif value is not None or key not in low:  # another null is one for the chart's own values
            values[key] = value
    return values


def helm(*arguments: str, values: Values | None = None) -> subprocess.CompletedProcess[str]:
    """Call Helm with these values.

    Skips the test if there is no Helm, unless EVENTHUB_TEST_REQUIRE is set.
    """
    if not HELM.exists() and not SETTINGS.get("EVENTHUB_TEST_REQUIRE"):
        pytest.skip("helm is not installed: `make test` does it")
    given = [] if values is None else ["--values", "-"]
    return subprocess.run(
        [str(HELM), *arguments, *given],
        input=json.dumps(values),
        capture_output=True,
        text=True,
        timeout=60,
    )


@cache
def _render(values: str, kubernetes: str, chart: Path) -> list[Object]:
    done = helm(
        "template",
        RELEASE,
        str(chart),
        "--namespace",
        "events",
        "--kube-version",
        kubernetes,
        values=json.loads(values),
    )
    assert done.returncode == 0, done.stderr
    return [rendered for rendered in yaml_text.read_all(done.stdout) if rendered]


def render(values: Values, kubernetes: str = f"{CURRENT}.0", chart: Path = CHART) -> list[Object]:
    """All rendered objects."""
    return _render(json.dumps(values), kubernetes, chart)


def render_all(several: Mapping[str, Values]) -> dict[str, list[Object]]:
    """The rendered objects of each, two at a time."""
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(several, pool.map(render, several.values()), strict=True))


def refusal(values: Values) -> str:
    """Helm's message for values that it refuses."""
    done = helm("template", RELEASE, str(CHART), "--kube-version", f"{CURRENT}.0", values=values)
    assert done.returncode != 0, "the chart takes them"
    return done.stderr


def one(objects: list[Object], kind: str) -> Object:
    """The only object of that kind; of ConfigMaps, the configuration and not the dashboards."""
    [found] = [
        each
        for each in objects
        if each["kind"] == kind and not each["metadata"]["name"].endswith("-dashboards")
    ]
    return found


def pods(objects: list[Object]) -> Iterator[Object]:
    """Metadata and spec of each pod that the objects make."""
    for each in objects:
        if each["kind"] == "Pod":
            yield each
        elif "template" in each.get("spec", {}):
            yield each["spec"]["template"]
