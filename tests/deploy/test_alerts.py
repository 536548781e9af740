"""The file of alerts: promtool accepts it, each alert is tested quiet and firing, and each has a
runbook.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from eventhub.errors import TABLE
from tests.deploy.alertmanager import Alertmanager
from tests.deploy.expressions import (
    ALERTS,
    CHART,
    DASHBOARDS,
    ROOT,
    RUNBOOKS,
    of_dashboards,
    of_runbooks,
)
from tests.deploy.prometheus import promtool
from tests.harness import yaml_text

CASES: list[dict[str, Any]] = [
    case
    for test in yaml_text.read((ROOT / "tests/deploy/alerts_test.yaml").read_text())["tests"]
    for case in test["alert_rule_test"]
]
DOCUMENTED: dict[str, str] = dict(
    re.findall(r"```yaml\n# (\S+)\n(.*?)```", (ROOT / "docs/metrics.md").read_text(), re.DOTALL)
)
"""The files that docs/metrics.md shows, by their names."""
NAMES = sorted({rule["alert"] for rule in ALERTS})


def test_promtool_takes_the_rules() -> None:
    promtool("check", "rules", "--lint=all", "--lint-fatal", CHART / "alerts.yaml")


def test_the_configuration_in_the_documents_is_one(tmp_path: Path) -> None:
    for name, text in DOCUMENTED.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "alerts.yaml").write_text((CHART / "alerts.yaml").read_text())
    promtool("check", "config", "--syntax-only", tmp_path / "prometheus.yml")


def test_the_rule_in_the_documents_finds_what_was_never_scraped(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(DOCUMENTED["eventhub-targets.yaml"])
    never: tuple[tuple[str, dict[str, str], str], ...] = (
        ('up{job="eventhub", instance="a:8000"}', {"instance": "a:8000"}, "a:8000"),
        ('up{job="other", instance="a:8000"}', {}, "any node"),
    )
    for series, labels, who in never:
        alert = {
            "exp_labels": {"severity": "warning", "job": "eventhub", **labels},
            "exp_annotations": {
                "summary": f"Prometheus does not reach {who} of eventhub.",
                "runbook_url": "https://github.com/eventhub/eventhub/blob/main/docs/runbooks/EventHubNodeDown.md",
            },
        }
        cases: list[dict[str, Any]] = [
            {"eval_time": "5m"},
            {"eval_time": "20m", "exp_alerts": [alert]},
        ]
        test = {
            "interval": "1m",
            "input_series": [{"series": series, "values": "0x30"}],
            "alert_rule_test": [{"alertname": "EventHubTargetDown", **case} for case in cases],
        }
        (tmp_path / "test.json").write_text(
            json.dumps({"rule_files": ["rules.yaml"], "tests": [test]})
        )
        promtool("test", "rules", tmp_path / "test.json")


def test_alertmanager_sends_one_message_for_an_outage_and_holds_back_what_follows_from_it(
    tmp_path: Path,
) -> None:
    with Alertmanager(tmp_path, DOCUMENTED["alertmanager.yml"]) as alertmanager:
        outage = [
            ("BrokerLost", "a"),
            ("BrokerLost", "b"),
            ("PublishesFail", ""),
            ("Down", ""),
            ("NodeDown", "b"),
        ]
        alertmanager.post(
            [
                {"alertname": f"EventHub{name}", "job": "events", "instance": node}
                for name, node in outage
            ]
        )
        alertmanager.post([{"alertname": "EventHubPublishesFail", "job": "other"}])
        told = [
            ["EventHubPublishesFail"],
            ["EventHubBrokerLost", "EventHubBrokerLost", "EventHubDown"],
        ]
        alertmanager.until(f"{told} to be told", lambda groups: sorted(groups, key=len) == told)


def test_the_alerts_that_alertmanager_holds_back_exist() -> None:
    for rule in yaml_text.read(DOCUMENTED["alertmanager.yml"])["inhibit_rules"]:
        for matcher in rule["source_matchers"] + rule["target_matchers"]:
            prefix, several = re.fullmatch(r'alertname =~? "?(\w+)(?:\((.+)\)")?', matcher).groups()  # type: ignore[union-attr]
            names = [prefix + end for end in (several or "").split("|")]
            assert set(names) <= {*NAMES, "EventHubTargetDown"}


def test_each_alert_fires_when_it_should_and_not_before() -> None:
    promtool("test", "rules", ROOT / "tests/deploy/alerts_test.yaml")


@pytest.mark.parametrize("name", NAMES)
def test_there_is_a_case_of_firing_and_one_of_not_firing(name: str) -> None:
    cases = [case for case in CASES if case["alertname"] == name]
    assert any("exp_alerts" not in case for case in cases)
    fired = {
        alert["exp_labels"]["severity"] for case in cases for alert in case.get("exp_alerts", [])
    }
    assert fired == {rule["labels"]["severity"] for rule in ALERTS if rule["alert"] == name}


def test_every_alert_says_how_bad_it_is_since_when_and_what_to_do() -> None:
    for rule in ALERTS:
        assert rule["labels"].keys() == {"severity"}
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["for"]
        assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
        assert rule["annotations"]["runbook_url"].endswith(f"/docs/runbooks/{rule['alert']}.md")


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    assert sorted(path.stem for path in RUNBOOKS.glob("*.md")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_runbook_says_what_it_means_how_to_see_it_and_what_to_do(name: str) -> None:
    text = (RUNBOOKS / f"{name}.md").read_text()
    assert text.startswith(f"# {name}\n")
    for severity in {rule["labels"]["severity"] for rule in ALERTS if rule["alert"] == name}:
        assert severity in text.splitlines()[2].lower()
    places = [text.index(part) for part in ("**For users:**", "**See**", "```promql", "**Do**")]
    assert places == sorted(places)
    for link in re.findall(r"\]\(([^)#]+)", text):
        assert (RUNBOOKS / link).is_file(), link


def test_every_metric_that_is_asked_for_is_documented() -> None:
    documented = (ROOT / "docs/metrics.md").read_text()
    expressions = [rule["expr"] for rule in ALERTS] + [
        found.text for found in (*of_dashboards(), *of_runbooks())
    ]
    expressions += [
        str(variable.get("query"))
        for dashboard in DASHBOARDS.values()
        for variable in dashboard["templating"]["list"]
    ]
    for expression in expressions:
        for name in re.findall(r"\b((?:eventhub|process)_\w+)", expression):
            family = re.sub(r"_(total|bucket|sum|count)$", "", name)
            assert f"`{family}`" in documented or f"`{name}`" in documented, name


def test_the_alert_on_failing_publishes_has_every_code_that_is_the_servers_fault() -> None:
    fails, rejected = (
        next(rule["expr"] for rule in ALERTS if rule["alert"] == f"EventHubPublishes{end}")
        for end in ("Fail", "Rejected")
    )
    server = {code for code, kind in TABLE.items() if kind.status >= 500}
    for expression, operator in ((fails, "=~"), (rejected, "!~")):
        (codes,) = re.findall(rf'code{operator}"([^"]+)"', expression)
        assert set(codes.split("|")) == server
