"""For whoever publishes: how much, what is refused and why, how long it takes."""

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
        "The share of what was published that was not stored."
        + runbook("EventHubPublishesRejected"),
        "sum(rate(eventhub_events_rejected_total{@types}[@])) / "
        "sum(rate(eventhub_events_published_total{@types}[@]) or rate(eventhub_events_rejected_total{@types}[@]))",
        ("green", None),
        ("orange", 0.01),
        ("red", 0.05),
    ),
    figure(
        "Wait for an answer, p99",
        "s",
        "From the whole request to its answer; the network comes on top."
        + runbook("EventHubPublishSlow"),
        "histogram_quantile(0.99, sum by (le) (rate(eventhub_publish_seconds_bucket{@types}[@])))",
        ("green", None),
        ("orange", 0.25),
        ("red", 1),
    ),
    figure(
        "Readers have it after, p99",
        "s",
        "From accepting an event to writing it to subscribers." + runbook("EventHubDeliveryLag"),
        "histogram_quantile(0.99, sum by (le) (rate(eventhub_publish_to_socket_seconds_bucket{@types}[@])))",
        ("green", None),
        ("orange", 0.25),
        ("red", 1),
    ),
    figure(
        "Publishing streams",
        "short",
        "Producers that publish over one long request now.",
        'sum(eventhub_connections{@nodes,transport="producer"})',
    ),
    figure(
        "Readers per event",
        "short",
        "Deliveries for each event. 0: nobody listens.",
        "sum(rate(eventhub_events_delivered_total{@types}[@])) / sum(rate(eventhub_events_published_total{@types}[@]))",
    ),
]

RATES: list[Panel] = [
    graph(
        "Published by channel type",
        "cps",
        "Events stored per second. Falls to nothing: producers stopped, cannot reach the nodes, or are refused (see Refusals).",
        ("sum by (type) (rate(eventhub_events_published_total{@types}[@]))", "{{type}}"),
    ),
    graph(
        "Published by node",
        "cps",
        "One node has nearly all: a producer keeps one connection, which is fine, or the load balancer does not balance.",
        ("sum by (pod, instance) (rate(eventhub_events_published_total{@types}[@]))", NODE),
    ),
    graph(
        "Delivered by channel type",
        "cps",
        "Events written to subscribers per second. None while events are published: nobody subscribed to those channels.",
        ("sum by (type) (rate(eventhub_events_delivered_total{@types}[@]))", "{{type}}"),
    ),
]

REFUSALS: list[Panel] = [
    graph(
        "Refused by code",
        "cps",
        "invalid_event: the answer names the place. forbidden: the key's grants. broker_unavailable, internal: the server; try again.",
        ("sum by (code) (rate(eventhub_events_rejected_total{@types}[@]))", "{{code}}"),
    ),
    graph(
        "Refused share by channel type",
        "percentunit",
        "unknown is a channel of a type that is not declared. Above 5 %: look at the code, then at the producer that changed last."
        + runbook("EventHubPublishesRejected"),
        (
            "sum by (type) (rate(eventhub_events_rejected_total{@types}[@])) / sum by (type) ("
            "rate(eventhub_events_published_total{@types}[@]) or rate(eventhub_events_rejected_total{@types}[@]))",
            "{{type}}",
        ),
        limit=0.05,
    ),
    graph(
        "Held back by limits",
        "cps",
        "publish_rate: more than the principal's share. Sizes: send smaller batches. bad_credentials: a key that ended.",
        (
            'sum by (limit) (rate(eventhub_refused_total{@nodes,limit=~"publish_rate|event_bytes|body_bytes|batch|depth|bad_credentials|'
            'body_seconds|channels|connections_per_principal"}[@]))',
            "{{limit}}",
        ),
    ),
    listing(
        "Refused in this time, by channel type and code",
        "How many events were not stored. The codes are explained in PROTOCOL.md, Errors.",
        "sort_desc(sum by (type, code) (increase(eventhub_events_rejected_total{@types}[$__range])))",
    ),
]

LATENCY: list[Panel] = [
    graph(
        "Wait for an answer",
        "s",
        "From the whole request, with all its events, to its answer. Large batches wait longer in all and less per event."
        + runbook("EventHubPublishSlow"),
        (
            "histogram_quantile(0.5, sum by (le) (rate(eventhub_publish_seconds_bucket{@types}[@])))",
            "p50",
        ),
        (
            "histogram_quantile(0.9, sum by (le) (rate(eventhub_publish_seconds_bucket{@types}[@])))",
            "p90",
        ),
        (
            "histogram_quantile(0.99, sum by (le) (rate(eventhub_publish_seconds_bucket{@types}[@])))",
            "p99",
        ),
        limit=1,
    ),
    graph(
        "Wait for an answer by channel type, p99",
        "s",
        "One type alone: large payloads or a costly schema; all: the broker (next panel) or CPU."
        + runbook("EventHubPublishSlow"),
        (
            "histogram_quantile(0.99, sum by (type, le) (rate(eventhub_publish_seconds_bucket{@types}[@])))",
            "{{type}}",
        ),
        limit=1,
    ),
    graph(
        "Of which the broker, p99",
        "s",
        "From handing events to the broker to its answer. When this is most of the wait, the broker is what to look at.",
        (
            "histogram_quantile(0.99, sum by (pod, instance, le) (rate(eventhub_broker_publish_seconds_bucket{@nodes}[@])))",
            NODE,
        ),
        limit=0.5,
    ),
]

PRODUCERS = page(
    "producers",
    "What producers publish to EventHub, what is refused and why, and how long it takes.",
    "now-1h",
    [("At a glance", GLANCE), ("Rates", RATES), ("Refusals", REFUSALS), ("Latency", LATENCY)],
)
