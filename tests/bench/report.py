"""Tables from the JSON results: for the terminal and for RESULTS.md."""

from collections.abc import Callable, Iterator
from typing import Any

from tests.bench.cases import HUB, LIMIT
from tests.bench.load import Reading

Column = tuple[str, Callable[[Reading], str]]


def markdown(results: dict[str, Any]) -> str:
    """The machine, then a table for each case."""
    machine = [f"| {name} | {text} |" for name, text in results["machine"].items()]
    parts = ["## Machine", "\n".join(["| | |", "|---|---|", *machine]), "## Figures"]
    return "\n\n".join([*parts, *(section(case) for case in results["cases"].values())]) + "\n"


def section(case: dict[str, Any]) -> str:
    """One case: its title, its table, and the conclusions."""
    runs = max(len(variant["runs"]) for variant in case["variants"].values())
    disturbed = max(
        run["others_pct"] + run["stolen_pct"]
        for variant in case["variants"].values()
        for run in variant["runs"]
    )
    note = (
        f"Medians of {runs} run{'s' * (runs > 1)} each, {case['begun']}; "
        f"others took at most {disturbed:.0f} % of a core."
    )
    return "\n\n".join([f"### {case['title']}", table(case), " ".join([*_conclusions(case), note])])


def table(case: dict[str, Any]) -> str:
    """Its variants, one below the other."""
    limit = case["variants"].get(LIMIT, {}).get("median")
    columns = list(_columns(case["kind"], limit))
    rows = [["", *(title for title, _ in columns)], ["---"] * (len(columns) + 1)]
    for name, variant in case["variants"].items():
        rows.append([name, *(text(variant["median"]) for _, text in columns)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows)


def _conclusions(case: dict[str, Any]) -> Iterator[str]:
    if case["kind"] != "fanout":
        return
    if "ratio" in case:
        yield (
            f"**{HUB} is at {case['ratio']:.2f} of the limit** "
            f"(single rounds: {case['ratio_least']:.2f} to {case['ratio_most']:.2f})."
        )
    if "net" in case:
        share = f", {case['net_ratio']:.2f} of the limit" if "net_ratio" in case else ""
        yield f"Without the publish requests a delivery costs {case['net']:.3g} µs{share}."


def _columns(kind: str, limit: Reading | None) -> Iterator[Column]:
    if kind == "fanout":
        yield "CPU µs per delivery", lambda r: _or_dash(r["delivery_cpu_us"], ".3g")
        if limit:
            yield (
                "of the limit",
                lambda r: (
                    f"{limit['delivery_cpu_us'] / r['delivery_cpu_us']:.2f}"
                    if r["delivery_cpu_us"]
                    else "-"
                ),
            )
        yield "CPU µs per request", lambda r: _or_dash(r["request_cpu_us"], ",.0f")
        yield "deliveries/s", lambda r: _or_dash(r["deliveries_per_s"], ",.0f")
        yield "events per write", lambda r: _or_dash(r["events_per_write"], ".2f")
        yield "p99 ms", lambda r: _or_dash(r["p99_us"] / 1000 if r["requests"] else 0, ".3g")
        yield "lost", _lost
    elif kind == "latency":
        for title, name in (
            ("p50 ms", "p50_us"),
            ("p99 ms", "p99_us"),
            ("p99.9 ms", "p999_us"),
            ("max ms", "max_us"),
        ):
            yield title, lambda r, name=name: f"{r[name] / 1000:.2f}"  # type: ignore[misc]  # mypy: cannot infer a lambda with a default
        yield (
            "at the sockets in 10 ms",
            lambda r: f"{r['flushed_10ms']:.1%}" if r.get("flushed_10ms") else "-",
        )
        yield "deliveries/s", lambda r: f"{r['deliveries_per_s']:,.0f}"
        yield "lost", _lost
        yield "given up as too slow", lambda r: f"{r['given_up']:.0f}"
    elif kind == "publish":
        yield "events/s", lambda r: f"{r['events_per_s']:,.0f}"
        yield "CPU µs per event", lambda r: f"{r['event_cpu_us']:.3g}"
        yield "CPU µs per request", lambda r: f"{r['request_cpu_us']:,.0f}"
        yield "refused", lambda r: f"{r['refused']:.0f}"
    else:
        yield "handshakes/s", lambda r: f"{r['handshakes_per_s']:,.0f}"
        yield "CPU µs per handshake", lambda r: f"{r['handshake_cpu_us']:.0f}"
        yield (
            "RSS per connection",
            lambda r: f"{(r['rss_open_kb'] - r['rss_before_kb']) / r['open']:.2f} KB",
        )
        yield "CPU µs per heartbeat", lambda r: f"{r['server_cpu_us'] / max(1, r['pings']):.1f}"
        yield "heartbeats each", lambda r: f"{r['pings'] / r['subscribers']:.1f}"
        yield "still open", lambda r: f"{r['open']:,.0f}"
    yield "spread", lambda r: f"{r['spread']:.0%}"


def _or_dash(value: float, form: str) -> str:
    return format(value, form) if value else "-"


def _lost(reading: Reading) -> str:
    if not reading["accepted"] or not reading["subscribers"]:
        return "-"  # the number of sent events is unknown
    return f"{reading['missing']:.0f}" + (
        f" (+{reading['surplus']:.0f} twice)" if reading["surplus"] else ""
    )
