"""The alerts' file: promtool's judgement, each alert quiet and firing, and a runbook for each."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from eventhub.errors import TABLE
from tests.deploy.expressions import ALERTS, CHART, DASHBOARDS, ROOT, RUNBOOKS, of_dashboards, of_runbooks
from tests.redis_servers import program

CASES: list[dict[str, Any]] = [
    case for test in yaml.safe_load((ROOT / "tests/deploy/alerts_test.yaml").read_text())["tests"] for case in test["alert_rule_test"]
]
NAMES = sorted({rule["alert"] for rule in ALERTS})


def promtool(*arguments: str | Path) -> None:
    done = subprocess.run([program("promtool"), *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_takes_the_rules() -> None:
    promtool("check", "rules", "--lint=all", "--lint-fatal", CHART / "alerts.yaml")


def test_the_configuration_in_the_documents_is_one(tmp_path: Path) -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/metrics.md").read_text(), re.DOTALL)
    (tmp_path / "prometheus.yml").write_text(block)
    (tmp_path / "alerts.yaml").write_text((CHART / "alerts.yaml").read_text())
    promtool("check", "config", "--syntax-only", tmp_path / "prometheus.yml")


def test_each_alert_fires_when_it_should_and_not_before() -> None:
    promtool("test", "rules", ROOT / "tests/deploy/alerts_test.yaml")


@pytest.mark.parametrize("name", NAMES)
def test_there_is_a_case_of_firing_and_one_of_not_firing(name: str) -> None:
    cases = [case for case in CASES if case["alertname"] == name]
    assert any("exp_alerts" not in case for case in cases)
    fired = {alert["exp_labels"]["severity"] for case in cases for alert in case.get("exp_alerts", [])}
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
    expressions = [rule["expr"] for rule in ALERTS] + [found.text for found in (*of_dashboards(), *of_runbooks())]
    expressions += [str(variable.get("query")) for dashboard in DASHBOARDS.values() for variable in dashboard["templating"]["list"]]
    for expression in expressions:
        for name in re.findall(r"\b((?:eventhub|process)_\w+)", expression):
            family = re.sub(r"_(total|bucket|sum|count)$", "", name)
            assert f"`{family}`" in documented or f"`{name}`" in documented, name


def test_the_alert_on_failing_publishes_has_every_code_that_is_the_servers_fault() -> None:
    fails, rejected = (next(rule["expr"] for rule in ALERTS if rule["alert"] == f"EventHubPublishes{end}") for end in ("Fail", "Rejected"))
    server = {code for code, kind in TABLE.items() if kind.status >= 500}
    for expression, operator in ((fails, "=~"), (rejected, "!~")):
        (codes,) = re.findall(rf'code{operator}"([^"]+)"', expression)
        assert set(codes.split("|")) == server
