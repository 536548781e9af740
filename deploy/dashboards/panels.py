"""Dashboards, rows and panels in one style, made with Grafana's own builders.

In expressions, `@nodes` stands for the labels of the selected nodes, `@types` for the labels of the
selected channel types at these nodes, and `[@]` for the time range that a rate needs. The labels
`pod` and `instance` identify a node; a plain Prometheus sets no pod, which does no harm. Sums over
`worker` also work without that label.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    BigValueGraphMode,
    GraphThresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    TooltipDisplayMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    Threshold,
    ThresholdsMode,
    VariableOption,
    VariableRefresh,
    VariableSort,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

NODES = 'namespace=~"$namespace",job=~"$job",instance=~"$instance"'
TYPES = NODES + ',type=~"$type"'
NODE = "{{pod}} {{instance}}"
PROCESS = "{{pod}} {{instance}} {{worker}}"
SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
RUNBOOKS = "https://github.com/eventhub/eventhub/blob/main/docs/runbooks"
EVERYTHING = VariableOption(text="All", value="$__all")

Query = tuple[str, str]
"""An expression, and the legend of its series."""
Panel = timeseries.Panel | stat.Panel | table.Panel


@dataclass(frozen=True, slots=True)
class Page:
    """A dashboard: the name of its file, and Grafana's model of it."""

    name: str
    model: dashboard.Dashboard

    def json(self) -> str:
        """The text of the file."""
        return (
            json.dumps(
                self.model.build(), cls=JSONEncoder, indent=1, sort_keys=True, ensure_ascii=False
            )
            + "\n"
        )


def page(name: str, text: str, begin: str, rows: Sequence[tuple[str, Sequence[Panel]]]) -> Page:
    """A dashboard of rows, each a title and its panels.

    It opens with the time range from `begin`.
    """
    found = (
        dashboard.Dashboard(f"EventHub / {name.capitalize()}")
        .uid(f"eventhub-{name}")
        .description(text)
        .tags(["eventhub"])
        .time(begin, "now")
        .refresh("30s")
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .link(
            dashboard.DashboardLink("EventHub")
            .type(DashboardLinkType.DASHBOARDS)
            .tags(["eventhub"])
            .include_vars(True)
            .keep_time(True)
        )
        .annotation(_alerts())
        .with_variable(
            dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus")
        )
        .with_variable(_variable("namespace", "eventhub_build_info").all_value(".*"))
        .with_variable(_variable("job", 'eventhub_build_info{namespace=~"$namespace"}'))
        .with_variable(
            _variable("instance", 'eventhub_build_info{namespace=~"$namespace",job=~"$job"}')
        )
        # .* because the type is `unknown` if an event's channel type is not declared
        .with_variable(
            _variable(
                "type", 'eventhub_events_published_total{namespace=~"$namespace",job=~"$job"}'
            ).all_value(".*")
        )
    )
    ids = count(1)
    for title, panels in rows:
        found.with_row(dashboard.Row(title).id(next(ids)))
        for one in panels:
            found.with_panel(one.id(next(ids)).datasource(SOURCE))
    return Page(name, found)


def graph(
    title: str, unit: str, text: str, *queries: Query, limit: float | None = None
) -> timeseries.Panel:
    """Lines over time, a third of the page wide. Values from `limit` on are shown as bad."""
    found = (
        timeseries.Panel()
        .title(title)
        .description(text)
        .unit(unit)
        .span(8)
        .height(8)
        .min(0)
        .line_width(1)
        .fill_opacity(8)
        .show_points(VisibilityMode.NEVER)
        .legend(
            common.VizLegendOptions()
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(
            common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING)
        )
    )
    if limit is not None:
        found.thresholds(_steps(("green", None), ("red", limit)))
        found.thresholds_style(
            common.GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.DASHED)
        )
    for number, query in enumerate(queries):
        found.with_target(_target(number, query))
    return found


def figure(
    title: str, unit: str, text: str, expr: str, *steps: tuple[str, float | None]
) -> stat.Panel:
    """One number, an eighth of the page wide, in the colour of the highest step that it reaches."""
    found = stat.Panel().title(title).description(text).unit(unit).span(3).height(4)
    return found.thresholds(_steps(*steps or (("text", None),))).with_target(_target(0, (expr, "")))


def summary(title: str, unit: str, text: str, expr: str) -> stat.Panel:
    """One number for the whole time range, from one query.

    A line would run the query for each point.
    """
    found = (
        stat.Panel()
        .title(title)
        .description(text)
        .unit(unit)
        .span(3)
        .height(4)
        .graph_mode(BigValueGraphMode.NONE)
    )
    return found.thresholds(_steps(("text", None))).with_target(_target(0, (expr, "")).instant())


def listing(title: str, text: str, expr: str) -> table.Panel:
    """A table of the present series: their labels and values."""
    target = _target(0, (expr, "")).instant().format(PromQueryFormat.TABLE)
    return table.Panel().title(title).description(text).span(24).height(7).with_target(target)


def runbook(alert: str) -> str:
    """A link from a description to the alert's runbook."""
    return f" Runbook: [{alert}]({RUNBOOKS}/{alert}.md)."


def _target(number: int, query: Query) -> prometheus.Dataquery:
    expr, legend = query
    found = prometheus.Dataquery().ref_id("ABCDEF"[number]).datasource(SOURCE)
    for short, long in (("@nodes", NODES), ("@types", TYPES), ("[@]", "[$__rate_interval]")):
        expr = expr.replace(short, long)
    return found.expr(expr).legend_format(legend or "__auto").range()


def _steps(*steps: tuple[str, float | None]) -> dashboard.ThresholdsConfig:
    return (
        dashboard.ThresholdsConfig()
        .mode(ThresholdsMode.ABSOLUTE)
        .steps([Threshold(color=color, value=value) for color, value in steps])
    )


def _variable(name: str, series: str) -> dashboard.QueryVariable:
    """A selector of this label's values; all are selected at first."""
    query: dict[str, Any] = {"query": f"label_values({series}, {name})", "refId": name}
    found = (
        dashboard.QueryVariable(name)
        .datasource(SOURCE)
        .query(query)
        .multi(True)
        .include_all(True)
        .current(EVERYTHING)
    )
    return found.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED).sort(VariableSort.ALPHABETICAL_ASC)


def _alerts() -> dashboard.AnnotationQuery:
    expr = 'ALERTS{alertname=~"EventHub.+",alertstate="firing",namespace=~"$namespace",job=~"$job"}'
    return (
        dashboard.AnnotationQuery()
        .name("Alerts")
        .datasource(SOURCE)
        .enable(True)
        .icon_color("red")
        .expr(expr)
    )
