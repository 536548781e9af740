"""What operators see. A few domain verbs; counters that others keep, and gauges, are read when metrics are scraped, so nothing can drift.

Labels are channel types and never channel names, so the size of a scrape does not depend on the number of channels. A scrape reads and
writes family by family, and who is read may pause as well, so that others have their turn in between.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, disable_created_metrics, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from eventhub import __version__
from eventhub.fanout import Tally
from eventhub.histogram import Histogram
from eventhub.limits import REFUSING

LATENCY = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
UNKNOWN = "unknown"
"""The type label of events for channels of no declared type: what a stranger wrote must not become a label."""

# a timestamp beside every counter doubles the scrape, and Prometheus finds resets without it
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has no annotation there

Reading = tuple[str, str, Mapping[Any, float], tuple[str, ...]]
"""Name, help, value by label values (a tuple), label names. A counter if the name ends in _total, otherwise a gauge."""
Snapshot = Callable[[], AsyncIterable[Reading]]
"""What is so at the moment of the scrape."""
Dump = list[tuple[str, str, str, list[tuple[str, dict[str, str], float]]]]
"""Families as values that JSON can hold: name, help, kind, and samples of name, labels and value."""


class Metrics:
    """The node's metrics."""

    def __init__(self, types: Iterable[str]) -> None:
        self._registry = CollectorRegistry()
        self._snapshots: list[Snapshot] = []
        self.tallies = {name: Tally() for name in types}
        self._rejected = Counter("eventhub_events_rejected", "Events refused", ["type", "code"], registry=self._registry)
        self._spans = Counter("eventhub_spans_dropped", "Spans not taken by the collector, or without room", registry=self._registry)
        self._stored = dict.fromkeys(self.tallies, 0)
        self._refused = dict.fromkeys(REFUSING, 0)
        self._latencies = {name: Histogram(LATENCY) for name in self.tallies}
        self._fanouts = {name: Histogram(LATENCY) for name in self.tallies}
        self._answers = {name: Histogram(LATENCY) for name in self.tallies}
        self._broker, self._delays = Histogram(LATENCY), Histogram(LATENCY)

    def published(self, type_name: str, count: int) -> None:
        """Events were stored."""
        self._stored[type_name] += count

    def rejected(self, type_name: str, code: str, count: int = 1) -> None:
        """Events were refused."""
        self._rejected.labels(type_name if type_name in self.tallies else UNKNOWN, code).inc(count)

    def refused(self, limit: str) -> None:
        """A limit, one of REFUSING, took effect."""
        self._refused[limit] += 1

    def answered(self, type_name: str, seconds: float) -> None:
        """A publish was answered so long after the whole of it was here."""
        self._answers[type_name].observe(seconds)

    def stored(self, seconds: float) -> None:
        """The broker took so long to answer."""
        self._broker.observe(seconds)

    def delayed(self, seconds: float) -> None:
        """The event loop came so late to what was due."""
        self._delays.observe(seconds)

    def spans_dropped(self, count: int) -> None:
        """Spans were lost. Called from any thread."""
        self._spans.inc(count)

    def flushed(self, type_name: str, latencies: Iterable[float], seconds: float) -> None:
        """A channel's events reached the sockets, each after its latency; the writing took `seconds`."""
        observe = self._latencies[type_name].observe
        for latency in latencies:
            observe(latency)
        self._fanouts[type_name].observe(seconds)

    def read(self, snapshot: Snapshot) -> None:
        """Take a snapshot at each scrape."""
        self._snapshots.append(snapshot)

    async def scrape(self) -> bytes:
        """All of them now, in the Prometheus text format."""
        return await _text([family async for family in self._families()])

    async def dump(self) -> Dump:
        """All of them now, for another process."""
        return [
            (family.name, family.documentation, family.type, [(name, labels, value) for name, labels, value, *_ in family.samples])
            async for family in self._families()
        ]

    async def _families(self) -> AsyncIterator[Metric]:
        for snapshot in self._snapshots:
            async for reading in snapshot():
                yield _family(*reading)
        for family in (*self._registry.collect(), *self._counters(), *self._histograms()):
            yield family

    def _counters(self) -> Iterator[Metric]:
        yield _family("eventhub_build_info", "The version that runs", {(__version__,): 1}, ("version",))
        stored = {(name,): count for name, count in self._stored.items()}
        yield _family("eventhub_events_published_total", "Events stored", stored, ("type",))
        refused = {(name,): count for name, count in self._refused.items()}
        yield _family("eventhub_refused_total", "What a limit refused, or made to wait", refused, ("limit",))
        yield from _told(self.tallies)

    def _histograms(self) -> Iterator[Metric]:
        yield _histograms(
            "eventhub_publish_to_socket_seconds", "From accepting an event to handing it to the sockets of this node", self._latencies
        )
        yield _histograms("eventhub_fanout_seconds", "Writing a tick's events of one channel to all its live subscribers", self._fanouts)
        yield _histograms("eventhub_publish_seconds", "From the whole of a publish being here to its answer", self._answers)
        yield _histogram("eventhub_broker_publish_seconds", "From handing events to the broker to its answer", self._broker)
        yield _histogram("eventhub_loop_delay_seconds", "How late the event loop comes to what is due", self._delays)


async def exposition(dumps: Mapping[int, Dump], unreachable: int) -> bytes:
    """The metrics of several workers as one text: each family once, each series with its worker's number."""
    families: dict[str, Metric] = {}
    for worker, dump in dumps.items():
        for name, text, kind, samples in dump:
            family = families.setdefault(name, Metric(name, text, kind))
            for sample, labels, value in samples:
                family.add_sample(sample, {**labels, "worker": str(worker)}, value)
    missing = _family("eventhub_workers_unreachable", "Workers whose series are missing from this scrape", {(): unreachable}, ())
    return await _text([*families.values(), missing])


class One(Collector):
    """A family that is there already."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterable[Metric]:
        return (self._family,)


async def _text(families: Iterable[Metric]) -> bytes:
    parts = []
    for family in families:
        parts.append(generate_latest(One(family)))
        await asyncio.sleep(0)  # a family takes a millisecond where there are many types: others have their turn
    return b"".join(parts)


def _told(tallies: Mapping[str, Tally]) -> Iterator[Metric]:
    """What feeds counted."""
    delivered = {(name,): tally.delivered for name, tally in tallies.items()}
    resumed = {(name,): tally.resumed for name, tally in tallies.items()}
    closed = {(name,): tally.disconnected for name, tally in tallies.items()}
    dropped = {(name, policy): tally.skipped[policy] for name, tally in tallies.items() for policy in ("latest", "drop")}
    reasons = ("expired", "reset", "slow", "conflated")
    gaps = {(name, reason): tally.gaps[reason] for name, tally in tallies.items() for reason in reasons}
    yield _family("eventhub_events_delivered_total", "Events written to subscribers", delivered, ("type",))
    yield _family("eventhub_resumed_total", "Subscriptions that resumed with nothing missing", resumed, ("type",))
    yield _family("eventhub_events_dropped_total", "Events that slow readers missed", dropped, ("type", "policy"))
    yield _family("eventhub_slow_disconnects_total", "Connections closed as too slow", closed, ("type",))
    yield _family("eventhub_gaps_total", "Gaps told to readers", gaps, ("type", "reason"))


def _family(name: str, text: str, values: Mapping[Any, float], labels: tuple[str, ...]) -> Metric:
    kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
    family = kind(name, text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def _histograms(name: str, text: str, by_type: Mapping[str, Histogram]) -> Metric:
    family = HistogramMetricFamily(name, text, labels=["type"])
    for type_name, histogram in by_type.items():
        _add(family, [type_name], histogram)
    return family


def _histogram(name: str, text: str, histogram: Histogram) -> Metric:
    family = HistogramMetricFamily(name, text, labels=[])
    _add(family, [], histogram)
    return family


def _add(family: HistogramMetricFamily, labels: list[str], histogram: Histogram) -> None:
    counts = [(str(bound).replace("inf", "+Inf"), float(count)) for bound, count in histogram.cumulative()]
    family.add_metric(labels, counts, histogram.sum)
