"""The dashboard for producers: rates, refusals and their causes, latency."""

from deploy.dashboards.panels import NODE, Panel, figure, graph, listing, page, runbook

GLANCE: list[Panel] = [
    figure(
        "Events published",
        "cps",
        "Events stored per second.",
        "sum(rate(eventhub_events_published_total{@types}[@]))",
    ),
    figure(
        "Events refused",
        "percentunit",
        "Share of the published events that were not stored."
        + runbook("EventHubPublishesRejected"),
        "sum(rate(eventhub_events_rejected_total{@types}[@])) / "
        "sum(rate(eventhub_events_published_total{@types}[@])"
        " or rate(eventhub_events_rejected_total{@types}[@]))",
        ("green", None),
        ("orange", 0.01),
        ("red", 0.05),
    ),
    figure(
        "Wait for an answer, p99",
        "s",
        "From the whole request to its answer, without the network."
        + runbook("EventHubPublishSlow"),
        "histogram_quantile(0.99, sum by (le) (rate(eventhub_publish_seconds_bucket{@types}[@])))",
        ("green", None),
        ("orange", 0.25),
        ("red", 1),
    ),
    figure(
        "Delivery lag, p99",
        "s",
        "From accepting an event to writing it to subscribers." + runbook("EventHubDeliveryLag"),
        "histogram_quantile(0.99, "
        "sum by (le) (rate(eventhub_publish_to_socket_seconds_bucket{@types}[@])))",
        ("green", None),
        ("orange", 0.25),
        ("red", 1),
    ),
    figure(
        "Publishing streams",
        "short",
        "Producers that publish in one long request now.",
        'sum(eventhub_connections{@nodes,transport="producer"})',
    ),
    figure(
        "Readers per event",
        "short",
        "Deliveries for each event. 0: no subscribers.",
        "sum(rate(eventhub_events_delivered_total{@types}[@]))"
        " / sum(rate(eventhub_events_published_total{@types}[@]))",
    ),
]

RATES: list[Panel] = [
    graph(
        "Published by channel type",
        "cps",
        "Events stored per second. If it falls to 0, producers stopped, cannot reach the nodes, or "
        "are refused (see Refusals).",
        ("sum by (type) (rate(eventhub_events_published_total{@types}[@]))", "{{type}}"),
    ),
    graph(
        "Published by node",
        "cps",
        "If one node has nearly all, a producer keeps one connection, which is fine, or the load "
        "balancer does not balance.",
        ("sum by (pod, instance) (rate(eventhub_events_published_total{@types}[@]))", NODE),
    ),
    graph(
        "Delivered by channel type",
        "cps",
        "Events written to subscribers per second. 0 while events are published: these channels "
        "have no subscribers.",
        ("sum by (type) (rate(eventhub_events_delivered_total{@types}[@]))", "{{type}}"),
    ),
    graph(
        "Signals",
        "cps",
        "Accepted, delivered and dropped per second. Dropped: a reader was slow, or a channel had "
        "more to write than it could. Nobody misses an event because of it.",
        ("sum(rate(eventhub_signals_sent_total{@types}[@]))", "sent"),
        ("sum(rate(eventhub_signals_delivered_total{@types}[@]))", "delivered"),
        ("sum(rate(eventhub_signals_dropped_total{@types}[@]))", "dropped"),
    ),
]

REFUSALS: list[Panel] = [
    graph(
        "Refused by code",
        "cps",
        "invalid_event: the answer names the place of the fault. forbidden: check the key's "
        "grants. broker_unavailable, internal: a fault of the server; try again.",
        ("sum by (code) (rate(eventhub_events_rejected_total{@types}[@]))", "{{code}}"),
    ),
    graph(
        "Refused share by channel type",
        "percentunit",
        "unknown is a channel whose type is not declared. Above 5 %, check the code, then the "
        "producer that changed last." + runbook("EventHubPublishesRejected"),
        (
            "sum by (type) (rate(eventhub_events_rejected_total{@types}[@])) / sum by (type) ("
            "rate(eventhub_events_published_total{@types}[@])"
            " or rate(eventhub_events_rejected_total{@types}[@]))",
            "{{type}}",
        ),
        limit=0.05,
    ),
    graph(
        "Held back by limits",
        "cps",
        "publish_rate: the principal exceeds its rate. Sizes: send smaller batches. "
        "bad_credentials: a key that expired or was removed.",
        (
            "sum by (limit) (rate(eventhub_refused_total{@nodes,limit=~"
            '"publish_rate|event_bytes|body_bytes|batch|depth|bad_credentials|'
            'body_seconds|channels|connections_per_principal"}[@]))',
            "{{limit}}",
        ),
    ),
    listing(
        "Refused in this time, by channel type and code",
        "Number of events that were not stored. PROTOCOL.md, Errors, explains the codes.",
        "sort_desc("
        "sum by (type, code) (increase(eventhub_events_rejected_total{@types}[$__range])))",
    ),
]

LATENCY: list[Panel] = [
    graph(
        "Wait for an answer",
        "s",
        "From the whole request, with all its events, to its answer. A large batch waits longer in "
        "total and less per event." + runbook("EventHubPublishSlow"),
        (
            "histogram_quantile(0.5, "
            "sum by (le) (rate(eventhub_publish_seconds_bucket{@types}[@])))",
            "p50",
        ),
        (
            "histogram_quantile(0.9, "
            "sum by (le) (rate(eventhub_publish_seconds_bucket{@types}[@])))",
            "p90",
        ),
        (
            "histogram_quantile(0.99, "
            "sum by (le) (rate(eventhub_publish_seconds_bucket{@types}[@])))",
            "p99",
        ),
        limit=1,
    ),
    graph(
        "Wait for an answer by channel type, p99",
        "s",
        "One type alone: large payloads or an expensive schema. All types: the broker (next panel) "
        "or CPU." + runbook("EventHubPublishSlow"),
        (
            "histogram_quantile(0.99, "
            "sum by (type, le) (rate(eventhub_publish_seconds_bucket{@types}[@])))",
            "{{type}}",
        ),
        limit=1,
    ),
    graph(
        "Of which the broker, p99",
        "s",
        "From handing events to the broker to its answer. If this is most of the wait, check the "
        "broker.",
        (
            "histogram_quantile(0.99, "
            "sum by (pod, instance, le) (rate(eventhub_broker_publish_seconds_bucket{@nodes}[@])))",
            NODE,
        ),
        limit=0.5,
    ),
]

PRODUCERS = page(
    "producers",
    "The events that producers publish to EventHub, refusals and their causes, and latency.",
    "now-1h",
    [("At a glance", GLANCE), ("Rates", RATES), ("Refusals", REFUSALS), ("Latency", LATENCY)],
)
