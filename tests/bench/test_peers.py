"""The comparison with Centrifugo: its table, and what each of its cases measures."""

from collections import defaultdict
from typing import Any

from tests.bench.cases import HUB
from tests.bench.peers import CASES, FIGURES, PEER, summary
from tests.bench.servers import EventHub


def reading(**figures: float) -> dict[str, Any]:
    return {"median": defaultdict(float, figures)}


def test_the_table_has_each_figure_with_its_ratio_and_what_was_lost() -> None:
    hub = reading(delivery_cpu_us=2.5, deliveries_per_s=400_000, p99_us=1500)
    peer = reading(delivery_cpu_us=5, deliveries_per_s=200_000, p99_us=3000, missing=7, refused=1)
    case = {"title": "Fan-out", "kind": "fanout", "variants": {HUB: hub, PEER: peer}}
    assert summary({"fanout": case}).splitlines()[2:] == [
        "| Fan-out: CPU µs a delivery | 2.5 | 5 | 0.50 | 0, 8 |",
        "| Fan-out: deliveries/s | 400,000 | 200,000 | 2.00 | 0, 8 |",
        "| Fan-out: p99 ms | 1.5 | 3 | 0.50 | 0, 8 |",
    ]


def test_every_case_has_both_servers_with_the_same_load_and_any_json() -> None:
    for case in CASES:
        assert case.kind in FIGURES
        variants = {variant.name: variant for variant in case.variants}
        assert variants[HUB].load == variants[PEER].load
        with_token = case.name == "publish-1-auth"
        assert variants[HUB].server == EventHub(payload="json", auth=with_token)
