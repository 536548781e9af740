"""The metrics of a node.

Gauges, and counters that other classes keep, are read at each scrape, so they cannot drift. Labels
are channel types and never channel names, so the size of a scrape does not depend on the number of
channels. A scrape works family by family and lets other tasks run in between.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
from threading import Lock
from typing import Any

from prometheus_client import generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from eventhub import __version__
from eventhub.common.faults import Faults
from eventhub.common.histogram import Histogram
from eventhub.common.token_bucket import REFUSING
from eventhub.delivery.counters import DeliveryCounters
from eventhub.observability.families import delivery_counters, histogram, keyed, simple

LATENCY = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
UNKNOWN = "unknown"
"""The type label for undeclared channel types: a client's text must not become a label."""

Reading = tuple[str, str, Mapping[Any, float], tuple[str, ...]]
"""Name, help, value by label values (a tuple), label names. It is a counter if the name ends in
_total, otherwise a gauge.
"""
Snapshot = Callable[[], AsyncIterable[Reading]]
"""Called at each scrape."""
Dump = list[tuple[str, str, str, list[tuple[str, dict[str, str], float]]]]
"""Families for JSON: name, help, kind, and samples of name, labels and value."""


class Metrics:
    """The node's metrics."""

    def __init__(self, types: Iterable[str]) -> None:
        self.faults = Faults()
        self._snapshots: list[Snapshot] = []
        self.counters = {name: DeliveryCounters() for name in types}
        self._signals = dict.fromkeys(self.counters, 0)
        self._stored = dict.fromkeys(self.counters, 0)
        self._rejected = Counter[tuple[str, str]]()
        self._rejected_signals = Counter[tuple[str, str]]()
        self._refused = dict.fromkeys(REFUSING, 0)
        self._latencies = {name: Histogram(LATENCY) for name in self.counters}
        self._fanouts = {name: Histogram(LATENCY) for name in self.counters}
        self._answers = {name: Histogram(LATENCY) for name in self.counters}
        self._spans, self._threads = 0, Lock()
        self._broker, self._delays = Histogram(LATENCY), Histogram(LATENCY)

    def published(self, type_name: str, count: int) -> None:
        """Count stored events."""
        self._stored[type_name] += count

    def signalled(self, type_name: str) -> None:
        """Count a signal that was handed to the broker."""
        self._signals[type_name] += 1

    def rejected(self, type_name: str, code: str, count: int = 1) -> None:
        """Count refused events."""
        self._rejected[type_name if type_name in self.counters else UNKNOWN, code] += count

    def signal_rejected(self, type_name: str, code: str) -> None:
        """Count a refused signal."""
        name = type_name if type_name in self.counters else UNKNOWN
        self._rejected_signals[name, code] += 1

    def refused(self, limit: str) -> None:
        """Count an effect of a limit, which is one of REFUSING."""
        self._refused[limit] += 1

    def answered(self, type_name: str, seconds: float) -> None:
        """Observe the seconds from a complete publish request to its answer."""
        self._answers[type_name].observe(seconds)

    def stored(self, seconds: float) -> None:
        """Observe the seconds that the broker took to answer."""
        self._broker.observe(seconds)

    def delayed(self, seconds: float) -> None:
        """Observe how many seconds late the event loop was."""
        self._delays.observe(seconds)

    def spans_dropped(self, count: int) -> None:
        """Count lost spans. May be called from any thread."""
        with self._threads:  # the exporter has a thread of its own
            self._spans += count

    def flushed(
        self, type_name: str, latencies: Iterable[tuple[float, int]], seconds: float
    ) -> None:
        """Observe events written to sockets, and the seconds of the write.

        `latencies`: each in seconds, and how many events it holds for.
        """
        observe = self._latencies[type_name].observe
        for latency, count in latencies:
            observe(latency, count)
        self._fanouts[type_name].observe(seconds)

    def read(self, snapshot: Snapshot) -> None:
        """Read these metrics at each scrape."""
        self._snapshots.append(snapshot)

    async def scrape(self) -> bytes:
        """Return all metrics in the Prometheus text format."""
        return await _text([family async for family in self._families()])

    async def dump(self) -> Dump:
        """Return all metrics for another process."""
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
                    yield simple(*reading)
            except Exception as error:  # the other metrics are still reported
                self.faults.note("metrics", error)
        for family in (*self._counters(), *delivery_counters(self.counters), *self._histograms()):
            yield family

    def _counters(self) -> Iterator[Metric]:
        yield simple(
            "eventhub_build_info", "The version that runs", {(__version__,): 1}, ("version",)
        )
        yield simple(
            "eventhub_events_published_total", "Events stored", keyed(self._stored), ("type",)
        )
        yield simple(
            "eventhub_signals_sent_total", "Signals accepted", keyed(self._signals), ("type",)
        )
        yield simple(
            "eventhub_signals_rejected_total",
            "Signals refused",
            self._rejected_signals,
            ("type", "code"),
        )
        yield simple(
            "eventhub_events_rejected_total",
            "Events refused",
            self._rejected,
            ("type", "code"),
        )
        yield simple(
            "eventhub_refused_total",
            "Requests that a limit refused or delayed",
            keyed(self._refused),
            ("limit",),
        )
        yield simple(
            "eventhub_faults_total",
            "Faults of the server itself, by where they came up",
            keyed(self.faults.counts),
            ("where",),
        )
        yield simple(
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
            yield histogram(f"eventhub_{name}_seconds", text, keyed(histograms), ("type",))
        broker = "From handing events to the broker to its answer"
        yield histogram("eventhub_broker_publish_seconds", broker, {(): self._broker}, ())
        yield histogram(
            "eventhub_loop_delay_seconds",
            "How late the event loop runs a timer",
            {(): self._delays},
            (),
        )


class SingleCollector(Collector):
    """Collects one family that exists already."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterable[Metric]:
        return (self._family,)


async def exposition(dumps: Mapping[int, Dump], unreachable: int) -> bytes:
    """Return the metrics of several workers as one text, with the worker as a label."""
    families: dict[str, Metric] = {}
    for worker, dump in dumps.items():
        for name, text, kind, samples in dump:
            family = families.setdefault(name, Metric(name, text, kind))
            for sample, labels, value in samples:
                family.add_sample(sample, {**labels, "worker": str(worker)}, value)
    missing = simple(
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
        await asyncio.sleep(0)  # a family with many types takes a millisecond
    return b"".join(parts)
