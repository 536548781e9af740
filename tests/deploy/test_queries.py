"""A real Prometheus scrapes real nodes under load: every expression of dashboards, alerts and
runbooks finds data.

Memory is not brought near its limit. A machine without a limit in its control groups has no
`eventhub_memory_limit_bytes`, as documented. Its alert fires only in promtool's test
(alerts_test.yaml).
"""

import math
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.deploy.expressions import ALERTS, DASHBOARDS, Expression, of_dashboards, of_runbooks
from tests.deploy.prometheus import Prometheus
from tests.deploy.scene import Scene

LIMIT = "eventhub_memory_limit_bytes"


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with Scene(tmp_path_factory.mktemp("scene")) as scene:
        yield scene


def chosen(prometheus: Prometheus) -> dict[str, str]:
    """Grafana's variables with everything selected: the values that their queries find, or
    `allValue`.
    """
    found = {"__rate_interval": "15s", "__range": "1m", "__interval": "1s"}
    for variable in DASHBOARDS["operators"]["templating"]["list"][1:]:
        series, label = re.fullmatch(
            r"label_values\((.*), (\w+)\)", variable["query"]["query"]
        ).groups()  # type: ignore[union-attr]
        values = prometheus.values(label, substituted(series, found))
        assert values, f"{variable['name']} has nothing to choose from"
        found[variable["name"]] = variable.get(
            "allValue"
        ) or f"({'|'.join(map(re.escape, values))})".replace("\\", "\\\\")
    return found


def substituted(expression: str, values: dict[str, str]) -> str:
    found = re.sub(r"\$(\w+)", lambda found: values[found[1]], expression)
    return found.replace(
        ":1m]", ":1s]"
    )  # steps are at whole minutes, and all this may lie between two


def without_data(prometheus: Prometheus, expressions: list[Expression]) -> list[str]:
    """The expressions that gave no series since the start, or only NaN.

    A rate exists only while something happens.
    """
    values = chosen(prometheus)
    answers = [
        prometheus.values_since_start(substituted(expression.text, values))
        for expression in expressions
    ]
    return [
        f"{expression.where}: {expression.text}"
        for expression, answer in zip(expressions, answers, strict=True)
        if all(map(math.isnan, answer))
    ]


def fired(prometheus: Prometheus) -> set[str]:
    """The alerts that have fired so far."""
    found = prometheus.query('last_over_time(ALERTS{alertstate="firing"}[5m])')
    return {labels["alertname"] for labels, _ in found}


@pytest.mark.proof  # in short, test_alerts.py: promtool runs the rules, and names are compared
@pytest.mark.timeout(600)
def test_every_alert_fires_for_its_fault_and_every_panel_and_runbook_has_data(
    scene: Scene,
) -> None:
    prometheus = scene.prometheus
    # a machine that is short of cores is late and answers scrapes late: then these two are true
    healthy = (
        f'ALERTS{{instance="127.0.0.1:{scene.one.port}",'
        'alertname!~"EventHubLoopSaturated|EventHubNodeDown"}'
    )
    prometheus.until('rate(eventhub_events_published_total{job="events",type="chat"}[15s]) > 0', 2)
    with ThreadPoolExecutor() as pool:
        for trouble in [
            pool.submit(scene.troubles_of_readers),
            pool.submit(scene.troubles_of_workers),
        ]:
            trouble.result()
    limited = bool(prometheus.query(LIMIT))
    expressions = [
        found for found in (*of_dashboards(), *of_runbooks()) if limited or LIMIT not in found.text
    ]
    assert without_data(prometheus, expressions) == []
    prometheus.until(
        f"(count({healthy}) or vector(0)) == 0"
    )  # it is only the other nodes that have trouble
    scene.troubles_of_the_broker()
    assert fired(prometheus) == {rule["alert"] for rule in ALERTS} - {"EventHubMemoryNearLimit"}
