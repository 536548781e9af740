"""Families of metrics, made of counts that other classes keep."""

from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from eventhub.common.histogram import Histogram
from eventhub.delivery.counters import DeliveryCounters


def simple(name: str, text: str, values: Mapping[Any, float], labels: tuple[str, ...]) -> Metric:
    """Return a counter if the name ends in _total, otherwise a gauge."""
    kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
    family = kind(name, text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def histogram(
    name: str, text: str, histograms: Mapping[Any, Histogram], labels: tuple[str, ...]
) -> Metric:
    """Return a histogram."""
    family = HistogramMetricFamily(name, text, labels=labels)
    for key, values in histograms.items():
        family.add_metric(
            key,
            [(str(bound).replace("inf", "+Inf"), count) for bound, count in values.cumulative()],
            values.sum,
        )
    return family


def delivery_counters(counters: Mapping[str, DeliveryCounters]) -> Iterator[Metric]:
    """Yield what the feeds have counted."""
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
    yield simple(
        "eventhub_events_delivered_total", "Events written to subscribers", delivered, ("type",)
    )
    yield _filter_failures(counters)
    yield _states(counters)
    yield simple(
        "eventhub_resumed_total",
        "Subscriptions that resumed with nothing missing",
        resumed,
        ("type",),
    )
    yield simple(
        "eventhub_events_dropped_total",
        "Events that slow readers missed",
        dropped,
        ("type", "policy"),
    )
    yield from _signal_counters(counters)
    yield simple(
        "eventhub_slow_disconnects_total", "Connections closed as too slow", closed, ("type",)
    )
    yield simple("eventhub_gaps_total", "Gaps told to readers", gaps, ("type", "reason"))


def keyed(values: Mapping[str, Any]) -> dict[tuple[str], Any]:
    """Return the values by tuples of one label value."""
    return {(name,): value for name, value in values.items()}


def _filter_failures(counters: Mapping[str, DeliveryCounters]) -> Metric:
    return simple(
        "eventhub_filter_failures_total",
        "Events on which a filter failed, once for each filter",
        {(name,): counters.filter_failures for name, counters in counters.items()},
        ("type",),
    )


def _states(counters: Mapping[str, DeliveryCounters]) -> Metric:
    return simple(
        "eventhub_states_begun_total",
        "Subscriptions that began with the state of a channel",
        {(name,): counters.states for name, counters in counters.items()},
        ("type",),
    )


def _signal_counters(counters: Mapping[str, DeliveryCounters]) -> Iterator[Metric]:
    signals = {(name,): counters.signals for name, counters in counters.items()}
    dropped_signals = {
        (name, reason): counters.signals_dropped[reason]
        for name, counters in counters.items()
        for reason in ("slow", "busy")
    }
    yield simple(
        "eventhub_signals_delivered_total", "Signals written to subscribers", signals, ("type",)
    )
    yield simple(
        "eventhub_signals_dropped_total",
        "Signals that live subscribers did not get",
        dropped_signals,
        ("type", "reason"),
    )
