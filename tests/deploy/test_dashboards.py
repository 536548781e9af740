"""The dashboards' files, which are made with Grafana's own types. No test looks at them in Grafana,
which Debian does not have.
"""

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from deploy.dashboards.__main__ import DIRECTORY, PAGES
from deploy.dashboards.panels import RUNBOOKS as ADDRESS
from tests.deploy.expressions import DASHBOARDS, RUNBOOKS, of_dashboards, panels
from tests.deploy.prometheus import promtool

VARIABLES = ["datasource", "namespace", "job", "instance", "type"]


@pytest.fixture(params=list(DASHBOARDS))
def dashboard(request: pytest.FixtureRequest) -> dict[str, Any]:
    found: dict[str, Any] = DASHBOARDS[request.param]
    return found


def test_the_files_are_those_of_the_code() -> None:
    assert {page.name for page in PAGES} == set(DASHBOARDS)
    for page in PAGES:
        assert (DIRECTORY / f"{page.name}.json").read_text() == page.json(), "run `make docs`"


def test_dashboards_have_fixed_addresses_and_refer_to_no_particular_grafana(
    dashboard: dict[str, Any],
) -> None:
    assert {found["uid"] for found in DASHBOARDS.values()} == {
        "eventhub-operators",
        "eventhub-producers",
        "eventhub-capacity",
    }
    assert "id" not in dashboard, "a Grafana gives it"
    assert dashboard["schemaVersion"] >= 39
    sources = [
        dashboard["annotations"]["list"][0]["datasource"],
        *(panel["datasource"] for panel in panels(dashboard)),
    ]
    sources += [target["datasource"] for panel in panels(dashboard) for target in panel["targets"]]
    assert all(source == {"type": "prometheus", "uid": "${datasource}"} for source in sources)


def test_every_panel_has_a_description_and_a_unit(dashboard: dict[str, Any]) -> None:
    for panel in panels(dashboard):
        assert len(panel["description"]) > 5, panel["title"]
        assert panel["type"] == "table" or panel["fieldConfig"]["defaults"]["unit"], panel["title"]


def test_panels_are_told_apart_and_do_not_overlap(dashboard: dict[str, Any]) -> None:
    found = dashboard["panels"]
    assert (
        len({panel["id"] for panel in found})
        == len({panel["title"] for panel in found})
        == len(found)
    )
    for one, other in combinations([panel["gridPos"] for panel in found], 2):
        apart = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        assert apart or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"], (
            one,
            other,
        )
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in found)


def test_dashboards_show_all_nodes_at_first_with_or_without_a_namespace(
    dashboard: dict[str, Any],
) -> None:
    variables = {variable["name"]: variable for variable in dashboard["templating"]["list"]}
    assert list(variables) == VARIABLES
    for name in VARIABLES[1:]:
        assert variables[name]["current"]["value"] == "$__all"
        assert variables[name]["refresh"] == 2, "when the time range changes"
    assert variables["namespace"]["allValue"] == ".*", "also matches what has none"
    assert "allValue" not in variables["job"], "process_… of other programs would match .*"


def test_expressions_use_only_variables_that_exist(dashboard: dict[str, Any]) -> None:
    known = {*VARIABLES, "__rate_interval", "__range", "__interval"}
    for panel in panels(dashboard):
        for target in panel["targets"]:
            assert set(re.findall(r"\$(\w+)", target["expr"])) <= known
            assert "@" not in target["expr"]
            assert 'job=~"$job"' in target["expr"], "of the chosen nodes"


def test_nodes_ready_is_a_share_of_those_there_should_be_and_0_when_all_are_gone(
    tmp_path: Path,
) -> None:
    (text,) = [found.text for found in of_dashboards() if found.where == "operators: Nodes ready"]
    expression = re.sub(r"\$\w+", ".*", text)
    series = {
        'up{job="events", instance="a"}': "1x9 0x9 stale",
        'eventhub_ready{job="events", instance="a", worker="0"}': "1x9 stale",
        'eventhub_ready{job="events", instance="a", worker="1"}': "1x9 stale",
        'eventhub_build_info{job="events", instance="a", worker="0", version="1"}': "1x9 stale",
        'up{job="events", instance="b"}': "1x18 stale",
        'eventhub_ready{job="events", instance="b"}': "1x14 0x3 stale",
        'eventhub_build_info{job="events", instance="b", version="1"}': "1x18 stale",
        'up{job="shop", instance="a"}': "1x30",
    }
    expected = {"9m": 1, "12m": 0.5, "16m": 0, "25m": 0}
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": expression,
                "eval_time": time,
                "exp_samples": [{"labels": "{}", "value": share}],
            }
            for time, share in expected.items()
        ],
    }
    (tmp_path / "test.yaml").write_text(json.dumps({"tests": [test]}))
    promtool("test", "rules", tmp_path / "test.yaml")


def test_peaks_are_looked_for_in_small_steps_however_long_the_time_shown() -> None:
    peaks = [
        found.text
        for found in of_dashboards()
        if "max_over_time(" in found.text and "$__range" in found.text
    ]
    assert len(peaks) == 3
    assert all("[$__range:1m]" in found for found in peaks)


def test_links_lead_to_runbooks_that_exist(dashboard: dict[str, Any]) -> None:
    links = [
        link
        for panel in panels(dashboard)
        for link in re.findall(r"\]\((.*?)\)", panel["description"])
    ]
    assert links
    for link in links:
        assert (RUNBOOKS / link.removeprefix(ADDRESS + "/")).is_file(), link
