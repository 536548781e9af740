"""What operators see. A few domain verbs; counters that others keep, and gauges, are read when metrics are scraped, so nothing can drift.

Labels are channel types and never channel names, so the size of a scrape does not depend on the number of channels. A scrape reads and
writes family by family, and who is read may pause as well, so that others have their turn in between.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
from threading import Lock
from typing import Any

from prometheus_client import generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from eventhub import __version__
from eventhub.common.faults import Faults
from eventhub.common.histogram import Histogram
from eventhub.common.token_bucket import REFUSING
from eventhub.delivery.fanout import DeliveryCounters

LATENCY = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
UNKNOWN = "unknown"
"""The type label of events for channels of no declared type: what a stranger wrote must not become
a label.
"""

Reading = tuple[str, str, Mapping[Any, float], tuple[str, ...]]
"""Name, help, value by label values (a tuple), label names. A counter if the name ends in _total,
otherwise a gauge.
"""
Snapshot = Callable[[], AsyncIterable[Reading]]
"""What is so at the moment of the scrape."""
Dump = list[tuple[str, str, str, list[tuple[str, dict[str, str], float]]]]
"""Families as values that JSON can hold: name, help, kind, and samples of name, labels and value."""


class Metrics:
    """The node's metrics."""

    def __init__(self, types: Iterable[str]) -> None:
        self.faults = Faults()
        self._snapshots: list[Snapshot] = []
        self.counters = {name: DeliveryCounters() for name in types}
        self._stored = dict.fromkeys(self.counters, 0)
        self._rejected = Counter[tuple[str, str]]()
        self._refused = dict.fromkeys(REFUSING, 0)
        self._latencies = {name: Histogram(LATENCY) for name in self.counters}
        self._fanouts = {name: Histogram(LATENCY) for name in self.counters}
        self._answers = {name: Histogram(LATENCY) for name in self.counters}
        self._spans, self._threads = 0, Lock()
        self._broker, self._delays = Histogram(LATENCY), Histogram(LATENCY)

    def published(self, type_name: str, count: int) -> None:
        """Events were stored."""
        self._stored[type_name] += count

    def rejected(self, type_name: str, code: str, count: int = 1) -> None:
        """Events were refused."""
        self._rejected[type_name if type_name in self.counters else UNKNOWN, code] += count

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
        with self._threads:  # that of the exporter among them
            self._spans += count

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
            (
                family.name,
                family.documentation,
                family.type,
                [(name, labels, value) for name, labels, value, *_ in family.samples],
            )
            async for family in self._families()
        ]

    async def _families(self) -> AsyncIterator[Metric]:
        for snapshot in self._snapshots:
            try:
                async for reading in snapshot():
                    yield _simple(*reading)
            except Exception as error:  # the others are told all the same
                self.faults.note("metrics", error)
        for family in (*self._counters(), *_told(self.counters), *self._histograms()):
            yield family

    def _counters(self) -> Iterator[Metric]:
        yield _simple(
            "eventhub_build_info", "The version that runs", {(__version__,): 1}, ("version",)
        )
        yield _simple(
            "eventhub_events_published_total", "Events stored", _keyed(self._stored), ("type",)
        )
        yield _simple(
            "eventhub_events_rejected_total", "Events refused", self._rejected, ("type", "code")
        )
        yield _simple(
            "eventhub_refused_total",
            "What a limit refused, or made to wait",
            _keyed(self._refused),
            ("limit",),
        )
        yield _simple(
            "eventhub_faults_total",
            "Faults of the server itself, by where they came up",
            _keyed(self.faults.counts),
            ("where",),
        )
        yield _simple(
            "eventhub_spans_dropped_total",
            "Spans not taken by the collector, or without room",
            {(): self._spans},
            (),
        )

    def _histograms(self) -> Iterator[Metric]:
        for name, text, histograms in (
            (
                "publish_to_socket",
                "From accepting an event to handing it to the sockets of this node",
                self._latencies,
            ),
            (
                "fanout",
                "Writing a tick's events of one channel to all its live subscribers",
                self._fanouts,
            ),
            ("publish", "From the whole of a publish being here to its answer", self._answers),
        ):
            yield _histogram(f"eventhub_{name}_seconds", text, _keyed(histograms), ("type",))
        broker = "From handing events to the broker to its answer"
        yield _histogram("eventhub_broker_publish_seconds", broker, {(): self._broker}, ())
        yield _histogram(
            "eventhub_loop_delay_seconds",
            "How late the event loop comes to what is due",
            {(): self._delays},
            (),
        )


class SingleCollector(Collector):
    """A family that is there already."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterable[Metric]:
        return (self._family,)


async def exposition(dumps: Mapping[int, Dump], unreachable: int) -> bytes:
    """The metrics of several workers as one text: each family once, each series with its worker's number."""
    families: dict[str, Metric] = {}
    for worker, dump in dumps.items():
        for name, text, kind, samples in dump:
            family = families.setdefault(name, Metric(name, text, kind))
            for sample, labels, value in samples:
                family.add_sample(sample, {**labels, "worker": str(worker)}, value)
    missing = _simple(
        "eventhub_workers_unreachable",
        "Workers whose series are missing from this scrape",
        {(): unreachable},
        (),
    )
    return await _text([*families.values(), missing])


async def _text(families: Iterable[Metric]) -> bytes:
    parts = []
    for family in families:
        parts.append(generate_latest(SingleCollector(family)))
        await asyncio.sleep(
            0
        )  # a family takes a millisecond where there are many types: others have their turn
    return b"".join(parts)


def _simple(name: str, text: str, values: Mapping[Any, float], labels: tuple[str, ...]) -> Metric:
    """A counter if its name says so, otherwise a gauge."""
    kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
    family = kind(name, text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def _histogram(
    name: str, text: str, histograms: Mapping[Any, Histogram], labels: tuple[str, ...]
) -> Metric:
    family = HistogramMetricFamily(name, text, labels=labels)
    for key, values in histograms.items():
        family.add_metric(
            key,
            [(str(bound).replace("inf", "+Inf"), count) for bound, count in values.cumulative()],
            values.sum,
        )
    return family


def _told(counters: Mapping[str, DeliveryCounters]) -> Iterator[Metric]:
    """What feeds counted."""
    delivered = {(name,): counters.delivered for name, counters in counters.items()}
    resumed = {(name,): counters.resumed for name, counters in counters.items()}
    closed = {(name,): counters.disconnected for name, counters in counters.items()}
    dropped = {
        (name, policy): counters.skipped[policy]
        for name, counters in counters.items()
        for policy in ("latest", "drop")
    }
    reasons = ("expired", "reset", "slow", "conflated", "unreadable")
    gaps = {
        (name, reason): counters.gaps[reason]
        for name, counters in counters.items()
        for reason in reasons
    }
    yield _simple(
        "eventhub_events_delivered_total", "Events written to subscribers", delivered, ("type",)
    )
    yield _simple(
        "eventhub_resumed_total",
        "Subscriptions that resumed with nothing missing",
        resumed,
        ("type",),
    )
    yield _simple(
        "eventhub_events_dropped_total",
        "Events that slow readers missed",
        dropped,
        ("type", "policy"),
    )
    yield _simple(
        "eventhub_slow_disconnects_total", "Connections closed as too slow", closed, ("type",)
    )
    yield _simple("eventhub_gaps_total", "Gaps told to readers", gaps, ("type", "reason"))


def _keyed(values: Mapping[str, Any]) -> dict[tuple[str], Any]:
    return {(name,): value for name, value in values.items()}
