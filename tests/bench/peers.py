"""`python -m tests.bench.peers`: EventHub beside Centrifugo, in turn, with one load client.

Both keep 10,000 events of a channel for an hour, in memory, and ask for no credential, except
EventHub in `publish-1-auth`. Each has one core. `make bench-peers` builds Centrifugo first.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from tests.bench import machine, report
from tests.bench.cases import BURST, HUB, LIMIT, Case, Variant
from tests.bench.load import Load, Reading
from tests.bench.runner import Runner
from tests.bench.servers import CENTRIFUGO, EventHub, centrifugo
from tests.bench.tools import build

PEER = "Centrifugo"
LOCKSTEP = Load(publishers=1, lockstep=True)
Figure = tuple[str, Callable[[Reading], float]]


def _beside(load: Load, *, limit: bool = False, auth: bool = False) -> tuple[Variant, ...]:
    peer = Variant(PEER, load, partial(centrifugo, batch=load.batch))
    hub = Variant(HUB, load, EventHub(payload="json", auth=auth))
    if not limit:
        return hub, peer
    alone = replace(load, publishers=0) if load.lockstep else Load(load.subscribers, rate=load.rate)
    return hub, peer, Variant(LIMIT, replace(alone, seconds=load.seconds), "limit")


_CHANNELS = Load(10_000, publishers=64, rate=2000, seconds=4, channels=1000)
CASES = (
    Case("fanout-100", "Fan-out to 100, one event at a time", "fanout",
         _beside(replace(LOCKSTEP, subscribers=100), limit=True)),
    Case("fanout-1000", "Fan-out to 1,000, one event at a time", "fanout",
         _beside(replace(LOCKSTEP, subscribers=1000), limit=True)),
    Case("bursts-1000", "Fan-out to 1,000, bursts of 16 events", "fanout",
         _beside(replace(LOCKSTEP, subscribers=1000, batch=BURST), limit=True)),
    Case("publishers-64", "64 publishers, 1,000 subscribers", "fanout",
         _beside(Load(1000, publishers=64))),
    Case("latency", "Latency at 50 events/s to 1,000 subscribers", "latency",
         _beside(Load(1000, publishers=4, rate=50, seconds=6), limit=True)),
    Case("channels", "1,000 channels of 10, 2,000 events/s", "fanout", _beside(_CHANNELS)),
    Case("publish-1", "Publishing, one event a request, 64 connections", "publish",
         _beside(Load(publishers=64))),
    Case("publish-1-auth", "Publishing with a token and a rate, Centrifugo without", "publish",
         _beside(Load(publishers=64), auth=True)),
    Case("publish-100", "Publishing, 100 events a request, 64 connections", "publish",
         _beside(Load(publishers=64, batch=100))),
    Case("idle-10000", "10,000 idle connections with a subscription", "idle",
         _beside(Load(10_000, hold=3))),
)  # fmt: skip

FIGURES: dict[str, tuple[Figure, ...]] = {
    "fanout": (
        ("CPU µs a delivery", lambda r: r["delivery_cpu_us"]),
        ("deliveries/s", lambda r: r["deliveries_per_s"]),
        ("p99 ms", lambda r: r["p99_us"] / 1000),
    ),
    "latency": (
        ("p50 ms", lambda r: r["p50_us"] / 1000),
        ("p99 ms", lambda r: r["p99_us"] / 1000),
        ("CPU % of a core", lambda r: r["server_cpu_us"] / r["seconds"] / 1e4),
    ),
    "publish": (("CPU µs a request", lambda r: r["request_cpu_us"]),),
    "idle": (
        ("KB a connection", lambda r: (r["rss_open_kb"] - r["rss_before_kb"]) / r["open"]),
        ("CPU µs a handshake", lambda r: r["handshake_cpu_us"]),
    ),
}
"""What is compared, by the kind of a case."""


def summary(cases: dict[str, Any]) -> str:
    """One table of all cases: each figure of both servers, their ratio, and what was lost."""
    rows = [["", HUB, PEER, f"{HUB} / {PEER}", "lost"], ["---"] * 5]
    for case in cases.values():
        hub, peer = (case["variants"][name]["median"] for name in (HUB, PEER))
        lost = f"{hub['missing'] + hub['refused']:.0f}, {peer['missing'] + peer['refused']:.0f}"
        for title, figure in FIGURES[case["kind"]]:
            ours, theirs = figure(hub), figure(peer)
            ratio = f"{ours / theirs:.2f}" if theirs else "-"
            rows.append([f"{case['title']}: {title}", _short(ours), _short(theirs), ratio, lost])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def main() -> None:
    """Measure, and print the tables."""
    options = _options()
    if not CENTRIFUGO.exists():
        raise SystemExit(f"there is no {CENTRIFUGO}; `make bench-peers` builds it, with Go")
    cases = [case for case in CASES if case.name == options.only] or [
        case for case in CASES if case.name.startswith(options.only)
    ]
    described = {**machine.describe(), PEER: f"{CENTRIFUGO.parent.name}, GOMAXPROCS=1"}
    results: dict[str, Any] = {"machine": described, "cases": {}}
    with tempfile.TemporaryDirectory() as directory:
        settings = (1, 1, 0.0) if options.quick else (options.rounds, 4, 10.0)
        runner = Runner(build(Path(directory)), *settings)
        for case in cases:
            results["cases"][case.name] = runner.run(case.quick() if options.quick else case)
            _say(report.section(results["cases"][case.name]) + "\n\n")
            if options.json:
                options.json.write_text(json.dumps(results, indent=1) + "\n")
    _say("\n".join(f"{name}: {text}" for name, text in described.items()) + "\n\n")
    _say(summary(results["cases"]) + "\n")


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.peers", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short run of each variant")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each variant (5)")
    parser.add_argument("--only", metavar="CASE", default="", help="cases whose names begin so")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the results there")
    return parser.parse_args()


if __name__ == "__main__":
    main()
