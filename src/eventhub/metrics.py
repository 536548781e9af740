"""What operators see. A few domain verbs; counters that feeds keep, and gauges, are read when metrics are scraped, so nothing can drift.

Labels are channel types and never channel names, so the size of a scrape does not depend on the number of channels.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from eventhub import __version__
from eventhub.fanout import Tally
from eventhub.limits import REFUSING

LATENCY = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
UNKNOWN = "unknown"
"""The type label of events for channels of no declared type: what a stranger wrote must not become a label."""

# a timestamp beside every counter doubles the scrape, and Prometheus finds resets without it
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has no annotation there

Snapshot = Callable[[], Iterable[tuple[str, str, dict[tuple[str, ...], float], tuple[str, ...]]]]
"""Gauges now: name, help, value by label values, label names."""
Dump = list[tuple[str, str, str, list[tuple[str, dict[str, str], float]]]]
"""Families as values that JSON can hold: name, help, kind, and samples of name, labels and value."""


class Metrics:
    """The node's metrics, on a registry of their own."""

    def __init__(self, types: Iterable[str]) -> None:
        self.registry = CollectorRegistry()
        self.tallies = {name: Tally() for name in types}
        published = Counter("eventhub_events_published", "Events stored", ["type"], registry=self.registry)
        self._rejected = Counter("eventhub_events_rejected", "Events refused", ["type", "code"], registry=self.registry)
        refused = Counter("eventhub_refused", "What a limit refused, or made to wait", ["limit"], registry=self.registry)
        self._spans = Counter("eventhub_spans_dropped", "Spans not taken by the collector, or without room", registry=self.registry)
        latency = Histogram(
            "eventhub_publish_to_socket_seconds", "From accepting an event to handing it to the sockets of this node",
            ["type"], buckets=LATENCY, registry=self.registry,
        )  # fmt: skip
        fanout = Histogram(
            "eventhub_fanout_seconds", "Writing a tick's events of one channel to all its live subscribers",
            ["type"], buckets=LATENCY, registry=self.registry,
        )  # fmt: skip
        # the children, bound once: finding one by its labels takes longer than counting
        self._stored = {name: published.labels(name) for name in self.tallies}
        self._refused = {name: refused.labels(name) for name in REFUSING}
        self._latencies = {name: latency.labels(name) for name in self.tallies}
        self._fanouts = {name: fanout.labels(name) for name in self.tallies}
        self.registry.register(TallyCollector(self.tallies))

    def published(self, type_name: str, count: int) -> None:
        """Events were stored."""
        self._stored[type_name].inc(count)

    def rejected(self, type_name: str, code: str, count: int = 1) -> None:
        """Events were refused."""
        self._rejected.labels(type_name if type_name in self.tallies else UNKNOWN, code).inc(count)

    def refused(self, limit: str) -> None:
        """A limit, one of REFUSING, took effect."""
        self._refused[limit].inc()

    def spans_dropped(self, count: int) -> None:
        """Spans were lost. Called from any thread."""
        self._spans.inc(count)

    def flushed(self, type_name: str, latencies: Iterable[float], seconds: float) -> None:
        """A channel's events reached the sockets, each after its latency; the writing took `seconds`."""
        observe = self._latencies[type_name].observe
        for latency in latencies:
            observe(latency)
        self._fanouts[type_name].observe(seconds)

    def gauges(self, snapshot: Snapshot) -> None:
        """Gauges to read at each scrape."""
        self.registry.register(GaugeCollector(snapshot))

    async def scrape(self) -> bytes:
        """All of them now, in the Prometheus text format."""
        return generate_latest(self.registry)

    def dump(self) -> Dump:
        """All of them now, for another process."""
        return [
            (family.name, family.documentation, family.type, [(name, labels, value) for name, labels, value, *_ in family.samples])
            for family in self.registry.collect()
        ]


def exposition(dumps: Mapping[int, Dump], unreachable: int) -> bytes:
    """The metrics of several workers as one text: each family once, each series with its worker's number."""
    families: dict[str, Metric] = {}
    for worker, dump in dumps.items():
        for name, text, kind, samples in dump:
            family = families.setdefault(name, Metric(name, text, kind))
            for sample, labels, value in samples:
                family.add_sample(sample, {**labels, "worker": str(worker)}, value)
    missing = GaugeMetricFamily("eventhub_workers_unreachable", "Workers whose series are missing from this scrape", unreachable)
    return generate_latest(Given([*families.values(), missing]))


class Given(Collector):
    """Families that are there already."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


class TallyCollector(Collector):
    """What feeds counted."""

    def __init__(self, tallies: dict[str, Tally]) -> None:
        self._tallies = tallies

    def collect(self) -> Iterator[Metric]:
        build = GaugeMetricFamily("eventhub_build_info", "The version that runs", labels=["version"])
        build.add_metric([__version__], 1)
        yield build
        delivered = CounterMetricFamily("eventhub_events_delivered", "Events written to subscribers", labels=["type"])
        resumed = CounterMetricFamily("eventhub_resumed", "Subscriptions that resumed with nothing missing", labels=["type"])
        dropped = CounterMetricFamily("eventhub_events_dropped", "Events that slow readers missed", labels=["type", "policy"])
        closed = CounterMetricFamily("eventhub_slow_disconnects", "Connections closed as too slow", labels=["type"])
        gaps = CounterMetricFamily("eventhub_gaps", "Gaps told to readers", labels=["type", "reason"])
        for name, tally in self._tallies.items():
            delivered.add_metric([name], tally.delivered)
            resumed.add_metric([name], tally.resumed)
            closed.add_metric([name], tally.disconnected)
            for policy in ("latest", "drop"):
                dropped.add_metric([name, policy], tally.skipped[policy])
            for reason in ("expired", "reset", "slow", "conflated"):
                gaps.add_metric([name, reason], tally.gaps[reason])
        yield from (delivered, resumed, dropped, closed, gaps)


class GaugeCollector(Collector):
    """What is true at the moment of the scrape."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        for name, text, values, labels in self._snapshot():
            family = GaugeMetricFamily(name, text, labels=labels)
            for key, value in values.items():
                family.add_metric(key, value)
            yield family
