"""metrics.py: what a scrape shows, and that it neither drifts nor grows."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from prometheus_client.parser import text_string_to_metric_families

from eventhub import __version__
from eventhub.common.token_bucket import REFUSING
from eventhub.config.limit_settings import LimitSettings
from eventhub.observability.metrics import LATENCY, UNKNOWN, Dump, Metrics, Reading, exposition
from tests.harness.eventually import turns_until

Labels = frozenset[tuple[str, str]]


def text(metrics: Metrics) -> str:
    return asyncio.run(metrics.scrape()).decode()


def scrape(metrics: Metrics) -> dict[tuple[str, Labels], float]:
    """Value by name and labels, read back by Prometheus's parser."""
    families = text_string_to_metric_families(text(metrics))
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return scrape(metrics).get((name, frozenset(labels.items())))


def test_every_declared_type_shows_from_the_start_with_zeros() -> None:
    metrics = Metrics(["chat", "logs"])
    for kind in ("chat", "logs"):
        for name in ("published", "delivered"):
            assert value(metrics, f"eventhub_events_{name}_total", type=kind) == 0
        for name in ("eventhub_resumed_total", "eventhub_slow_disconnects_total"):
            assert value(metrics, name, type=kind) == 0
        for policy in ("latest", "drop"):
            assert value(metrics, "eventhub_events_dropped_total", type=kind, policy=policy) == 0
        for reason in ("expired", "reset", "slow", "conflated"):
            assert value(metrics, "eventhub_gaps_total", type=kind, reason=reason) == 0
        for name in (
            "eventhub_publish_to_socket_seconds",
            "eventhub_fanout_seconds",
            "eventhub_publish_seconds",
        ):
            assert value(metrics, f"{name}_count", type=kind) == 0


def test_lost_spans_are_counted_from_zero() -> None:
    metrics = Metrics([])
    assert value(metrics, "eventhub_spans_dropped_total") == 0
    metrics.spans_dropped(3)
    metrics.spans_dropped(2)
    assert value(metrics, "eventhub_spans_dropped_total") == 5


def test_the_version_is_shown() -> None:
    assert value(Metrics([]), "eventhub_build_info", version=__version__) == 1


def test_stored_events_are_counted_by_type() -> None:
    metrics = Metrics(["chat", "logs"])
    metrics.published("chat", 2)
    metrics.published("chat", 3)
    assert value(metrics, "eventhub_events_published_total", type="chat") == 5
    assert value(metrics, "eventhub_events_published_total", type="logs") == 0


def test_refused_events_are_counted_by_type_and_code() -> None:
    metrics = Metrics(["chat"])
    metrics.rejected("chat", "invalid_event")
    metrics.rejected("chat", "invalid_event", 4)
    metrics.rejected("chat", "forbidden")
    assert value(metrics, "eventhub_events_rejected_total", type="chat", code="invalid_event") == 5
    assert value(metrics, "eventhub_events_rejected_total", type="chat", code="forbidden") == 1


def test_every_limit_that_refuses_shows_from_the_start_and_is_counted_by_name() -> None:
    metrics = Metrics([])
    metrics.refused("batch")
    metrics.refused("batch")
    shown = {limit: value(metrics, "eventhub_refused_total", limit=limit) for limit in REFUSING}
    assert shown == {**dict.fromkeys(REFUSING, 0), "batch": 2}


def test_every_setting_of_limits_refuses_or_is_a_buffer() -> None:
    assert set(REFUSING) == LimitSettings.model_fields.keys() - {
        "buffer_bytes",
        "history_bytes",
        "keep_alive_seconds",
    }


def test_what_a_stranger_wrote_does_not_become_a_label() -> None:
    metrics = Metrics(["chat"])
    for number in range(1000):
        metrics.rejected(f"evil{number}", "unknown_channel")
    metrics.rejected('x"} 1\n# evil', "invalid_channel")
    metrics.rejected("", "invalid_channel")
    assert (
        value(metrics, "eventhub_events_rejected_total", type=UNKNOWN, code="unknown_channel")
        == 1000
    )
    assert (
        value(metrics, "eventhub_events_rejected_total", type=UNKNOWN, code="invalid_channel") == 2
    )
    assert "evil" not in text(metrics)


def test_a_scrape_does_not_grow_with_what_happens_in_however_many_channels() -> None:
    metrics = Metrics(["chat"])
    metrics.rejected("chat", "forbidden")
    before = scrape(metrics).keys()
    for number in range(1000):
        metrics.published("chat", 1)
        metrics.rejected("chat", "forbidden")
        metrics.flushed("chat", [(0.001 * number, 1)], 0.0001)
        metrics.counters["chat"].delivered += 1
        metrics.counters["chat"].gaps["expired"] += 1
    assert scrape(metrics).keys() == before


def test_counters_of_feeds_are_read_when_scraped() -> None:
    metrics = Metrics(["chat", "iot"])
    counters = metrics.counters["chat"]
    counters.delivered, counters.resumed, counters.disconnected = 7, 6, 5
    counters.skipped["drop"], counters.skipped["latest"] = 4, 3
    counters.gaps["expired"], counters.gaps["slow"] = 2, 1
    assert value(metrics, "eventhub_events_delivered_total", type="chat") == 7
    assert value(metrics, "eventhub_resumed_total", type="chat") == 6
    assert value(metrics, "eventhub_slow_disconnects_total", type="chat") == 5
    assert value(metrics, "eventhub_events_dropped_total", type="chat", policy="drop") == 4
    assert value(metrics, "eventhub_events_dropped_total", type="chat", policy="latest") == 3
    assert value(metrics, "eventhub_gaps_total", type="chat", reason="expired") == 2
    assert value(metrics, "eventhub_gaps_total", type="chat", reason="slow") == 1
    assert value(metrics, "eventhub_events_delivered_total", type="iot") == 0
    counters.delivered += 1
    assert value(metrics, "eventhub_events_delivered_total", type="chat") == 8


def test_reading_counters_of_feeds_does_not_change_them() -> None:
    metrics = Metrics(["chat"])
    assert scrape(metrics) == scrape(metrics)
    assert not metrics.counters["chat"].gaps
    assert not metrics.counters["chat"].skipped


def test_a_flush_is_one_fanout_and_a_latency_for_each_event() -> None:
    metrics = Metrics(["chat"])
    metrics.flushed("chat", [(0.0004, 1), (0.02, 1), (30, 2)], 0.003)
    assert value(metrics, "eventhub_publish_to_socket_seconds_count", type="chat") == 4
    assert value(metrics, "eventhub_publish_to_socket_seconds_sum", type="chat") == pytest.approx(
        60.0204
    )
    assert (
        value(metrics, "eventhub_publish_to_socket_seconds_bucket", type="chat", le="0.0005") == 1
    )
    assert value(metrics, "eventhub_publish_to_socket_seconds_bucket", type="chat", le="0.025") == 2
    assert value(metrics, "eventhub_publish_to_socket_seconds_bucket", type="chat", le="10.0") == 2
    assert value(metrics, "eventhub_publish_to_socket_seconds_bucket", type="chat", le="+Inf") == 4
    assert value(metrics, "eventhub_fanout_seconds_count", type="chat") == 1
    assert value(metrics, "eventhub_fanout_seconds_sum", type="chat") == pytest.approx(0.003)
    assert sorted(LATENCY) == list(LATENCY)


def test_what_a_producer_waits_what_the_broker_takes_and_how_late_the_loop_is_are_told_apart() -> (
    None
):
    metrics = Metrics(["chat"])
    metrics.answered("chat", 0.004)
    metrics.stored(0.003)
    metrics.stored(0.03)
    metrics.delayed(0.2)
    assert value(metrics, "eventhub_publish_seconds_sum", type="chat") == 0.004
    assert value(metrics, "eventhub_publish_seconds_bucket", type="chat", le="0.005") == 1
    assert value(metrics, "eventhub_broker_publish_seconds_count") == 2
    assert value(metrics, "eventhub_broker_publish_seconds_bucket", le="0.005") == 1
    assert value(metrics, "eventhub_loop_delay_seconds_bucket", le="0.1") == 0
    assert value(metrics, "eventhub_loop_delay_seconds_bucket", le="0.25") == 1


def test_others_have_their_turn_between_any_two_families() -> None:
    metrics = Metrics([f"type{number}" for number in range(50)])

    async def turns_of(work: Callable[[], Awaitable[object]]) -> int:
        task = asyncio.ensure_future(work())
        return len([turn async for turn in turns_until(task.done)])

    assert asyncio.run(turns_of(metrics.scrape)) > text(metrics).count("# TYPE ") > 10


def test_snapshots_are_taken_when_scraped_and_a_name_says_what_is_a_counter() -> None:
    metrics = Metrics(["chat"])
    now: dict[tuple[str, ...], float] = {("websocket",): 1.0, ("sse",): 0.0}

    async def snapshot() -> AsyncIterator[Reading]:
        yield "eventhub_connections", "Open connections", now, ("transport",)
        yield "eventhub_rooms", "Rooms", {(): 4.0}, ()
        yield "eventhub_doors_total", "Doors", {(): 5.0}, ()

    metrics.read(snapshot)
    assert value(metrics, "eventhub_connections", transport="websocket") == 1
    now["websocket",] = 2.0
    assert value(metrics, "eventhub_connections", transport="websocket") == 2
    assert value(metrics, "eventhub_connections", transport="sse") == 0
    assert value(metrics, "eventhub_rooms") == 4
    assert value(metrics, "eventhub_doors_total") == 5
    assert "# TYPE eventhub_rooms gauge\n" in text(metrics)
    assert "# TYPE eventhub_doors_total counter\n" in text(metrics)


def test_two_nodes_in_one_process_do_not_share_counters() -> None:
    one, other = Metrics(["chat"]), Metrics(["chat"])
    one.published("chat", 1)
    assert value(other, "eventhub_events_published_total", type="chat") == 0


def test_every_metric_is_ours_and_explained_and_none_has_a_timestamp_beside_it() -> None:
    metrics = Metrics(["chat"])
    metrics.rejected("chat", "forbidden")
    families = list(text_string_to_metric_families(text(metrics)))
    assert all(family.name.startswith("eventhub_") and family.documentation for family in families)
    assert not [name for name, _ in scrape(metrics) if name.endswith("_created")]
    labels = {label for _, pairs in scrape(metrics) for label, _ in pairs}
    assert labels == {"type", "code", "limit", "policy", "reason", "version", "le"}


async def together(workers: dict[int, Metrics]) -> str:
    dumps: dict[int, Dump] = {number: await metrics.dump() for number, metrics in workers.items()}
    return (await exposition(dumps, unreachable=1)).decode()


def test_series_of_several_workers_are_told_apart_and_each_family_is_there_once() -> None:
    one, other = Metrics(["chat"]), Metrics(["chat"])
    one.published("chat", 2)
    one.flushed("chat", [(0.001, 1)], 0.001)
    other.published("chat", 3)
    shown = asyncio.run(together({0: one, 4: other}))
    families = {family.name: family for family in text_string_to_metric_families(shown)}
    assert shown.count("# TYPE ") == shown.count("# HELP ") == len(families)
    samples = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families.values()
        for sample in family.samples
    }
    for (name, labels), number in scrape(one).items():
        assert samples[name, labels | {("worker", "0")}] == number
    for (name, labels), number in scrape(other).items():
        assert samples[name, labels | {("worker", "4")}] == number
    assert samples["eventhub_workers_unreachable", frozenset()] == 1
    assert len(samples) == len(scrape(one)) + len(scrape(other)) + 1


def test_a_part_whose_figures_cannot_be_read_is_a_fault_and_the_others_are_shown() -> None:
    async def broken() -> AsyncIterator[Reading]:
        yield "eventhub_before", "Read before the fault", {(): 1}, ()
        raise ZeroDivisionError

    metrics = Metrics(["chat"])
    metrics.read(broken)
    metrics.published("chat", 3)
    text = asyncio.run(metrics.scrape()).decode()
    assert "\neventhub_before 1.0" in text
    assert '\neventhub_events_published_total{type="chat"} 3.0' in text
    assert '\neventhub_faults_total{where="metrics"} 1.0' in text
