"""For whoever is on call: the four golden signals, then the broker and the nodes."""

from deploy.dashboards.panels import NODE, PROCESS, Panel, figure, graph, listing, page, runbook

GLANCE: list[Panel] = [
    figure(
        "Nodes ready",
        "percentunit",
        "Of those that Prometheus is to scrape, and once did, how many take connections and events. Below 100 %: see Nodes below."
        + runbook("EventHubNodeDown"),
        "sum(min by (pod, instance) (eventhub_ready{@nodes}))"
        " / count(up{@nodes} and on (job, instance) max_over_time(eventhub_build_info{@nodes}[24h])) or vector(0)",
        ("red", None),
        ("green", 1),
    ),
    figure(
        "Nodes that have their broker",
        "percentunit",
        "Below 100 %, publishing fails at some nodes and they hear nothing of others."
        + runbook("EventHubBrokerLost"),
        "avg(min by (pod, instance) (eventhub_broker_up{@nodes}))",
        ("red", None),
        ("green", 1),
    ),
    figure(
        "Connections",
        "short",
        "Open now, over all transports.",
        "sum(eventhub_connections{@nodes})",
    ),
    figure(
        "Deliveries",
        "cps",
        "Events written to subscribers per second.",
        "sum(rate(eventhub_events_delivered_total{@types}[@]))",
    ),
    figure(
        "Delivery lag, p99",
        "s",
        "From accepting an event to writing it to sockets." + runbook("EventHubDeliveryLag"),
        "histogram_quantile(0.99, sum by (le) (rate(eventhub_publish_to_socket_seconds_bucket{@types}[@])))",
        ("green", None),
        ("orange", 0.25),
        ("red", 1),
    ),
    figure(
        "Events refused",
        "percentunit",
        "The share of what was published that was not stored. Errors below says why."
        + runbook("EventHubPublishesRejected"),
        "sum(rate(eventhub_events_rejected_total{@types}[@])) / "
        "sum(rate(eventhub_events_published_total{@types}[@]) or rate(eventhub_events_rejected_total{@types}[@]))",
        ("green", None),
        ("orange", 0.01),
        ("red", 0.05),
    ),
    figure(
        "Events dropped",
        "percentunit",
        "The share of deliveries that slow readers missed; each was told."
        + runbook("EventHubEventsDropped"),
        "sum(rate(eventhub_events_dropped_total{@types}[@])) / "
        "sum(rate(eventhub_events_delivered_total{@types}[@]) or rate(eventhub_events_dropped_total{@types}[@]))",
        ("green", None),
        ("orange", 0.01),
        ("red", 0.05),
    ),
    figure(
        "Fullest process",
        "percentunit",
        "Connections of what the fullest process takes at most. Above 80 % add nodes."
        + runbook("EventHubConnectionsNearLimit"),
        "max(sum by (pod, instance, worker) (eventhub_connections{@nodes})"
        " / sum by (pod, instance, worker) (eventhub_connections_limit{@nodes}))",
        ("green", None),
        ("orange", 0.8),
        ("red", 0.95),
    ),
]

LATENCY: list[Panel] = [
    graph(
        "Delivery lag by channel type",
        "s",
        "From accepting an event to writing it to sockets. One type alone: its payloads or readers; all: broker, CPU or clocks."
        + runbook("EventHubDeliveryLag"),
        (
            "histogram_quantile(0.5, sum by (type, le) (rate(eventhub_publish_to_socket_seconds_bucket{@types}[@])))",
            "{{type}} p50",
        ),
        (
            "histogram_quantile(0.99, sum by (type, le) (rate(eventhub_publish_to_socket_seconds_bucket{@types}[@])))",
            "{{type}} p99",
        ),
        limit=1,
    ),
    graph(
        "Delivery lag by node, p99",
        "s",
        "One node alone: its CPU, its way to the broker, or its clock (lag is measured across clocks when another node took the event).",
        (
            "histogram_quantile(0.99, sum by (pod, instance, le) (rate(eventhub_publish_to_socket_seconds_bucket{@types}[@])))",
            NODE,
        ),
        limit=1,
    ),
    graph(
        "Publishing, p99",
        "s",
        "What producers wait, from the whole request to its answer. Above one second look at the broker."
        + runbook("EventHubPublishSlow"),
        (
            "histogram_quantile(0.99, sum by (type, le) (rate(eventhub_publish_seconds_bucket{@types}[@])))",
            "{{type}}",
        ),
        limit=1,
    ),
]

TRAFFIC: list[Panel] = [
    graph(
        "Deliveries by channel type",
        "cps",
        "Events written to subscribers per second. Falls while publishing goes on: readers left, or do not reach the nodes.",
        ("sum by (type) (rate(eventhub_events_delivered_total{@types}[@]))", "{{type}}"),
    ),
    graph(
        "Published by channel type",
        "cps",
        "Events stored per second. Falls to nothing: producers stopped, or are refused (see Errors).",
        ("sum by (type) (rate(eventhub_events_published_total{@types}[@]))", "{{type}}"),
    ),
    graph(
        "Connections by transport",
        "short",
        "A cliff is a node or a load balancer that went; a saw tooth is a proxy that ends idle connections: raise its time-out.",
        ("sum by (transport) (eventhub_connections{@nodes})", "{{transport}}"),
    ),
    graph(
        "Connections opened",
        "cps",
        "Many and always: clients come and go instead of staying; see Slow disconnects, and proxies that end connections.",
        (
            "sum by (transport) (rate(eventhub_connections_opened_total{@nodes}[@]))",
            "{{transport}}",
        ),
    ),
    graph(
        "Subscriptions",
        "short",
        "One connection may have several. Each event is written once for every subscription of its channel.",
        ("sum by (type) (eventhub_subscriptions{@types})", "{{type}}"),
    ),
    graph(
        "Channels with subscribers",
        "short",
        "Summed over nodes: a channel counts at each node that has readers of it. Grows without end: clients make up names.",
        ("sum by (type) (eventhub_channels{@types})", "{{type}}"),
    ),
]

ERRORS: list[Panel] = [
    graph(
        "Events refused by code",
        "cps",
        "What producers get wrong, and what the server cannot take now (broker_unavailable, internal). The codes are in PROTOCOL.md."
        + runbook("EventHubPublishesFail"),
        ("sum by (code) (rate(eventhub_events_rejected_total{@types}[@]))", "{{code}}"),
    ),
    graph(
        "Events dropped by policy",
        "cps",
        "What slow readers missed under latest or drop. Each was told. Many readers: the network, or more events than they can take."
        + runbook("EventHubEventsDropped"),
        (
            "sum by (type, policy) (rate(eventhub_events_dropped_total{@types}[@]))",
            "{{type}} {{policy}}",
        ),
    ),
    graph(
        "Slow disconnects",
        "cps",
        "Readers of types with the policy disconnect that were too slow. They come back and ask for what they missed."
        + runbook("EventHubSlowDisconnects"),
        ("sum by (type) (rate(eventhub_slow_disconnects_total{@types}[@]))", "{{type}}"),
    ),
    graph(
        "Gaps by reason",
        "cps",
        "Readers told that events are gone for them. expired: retention; reset: the broker lost its log; slow, conflated: policies."
        + runbook("EventHubGapRate"),
        ("sum by (reason) (rate(eventhub_gaps_total{@types}[@]))", "{{reason}}"),
    ),
    graph(
        "Came back too late",
        "percentunit",
        "Of the readers that came back with a position, those whose events were no longer kept. Keep more of this type."
        + runbook("EventHubRetentionTooShort"),
        (
            'sum by (type) (rate(eventhub_gaps_total{@types,reason="expired"}[@])) / sum by (type) ('
            'rate(eventhub_gaps_total{@types,reason="expired"}[@]) or rate(eventhub_resumed_total{@types}[@]))',
            "{{type}}",
        ),
        limit=0.05,
    ),
    graph(
        "Refused by limits",
        "cps",
        "How often each setting below limits took effect. Find out who it is, then whether the limit is right (docs/settings.md).",
        ("sum by (limit) (rate(eventhub_refused_total{@nodes}[@]))", "{{limit}}"),
    ),
]

SATURATION: list[Panel] = [
    graph(
        "Connections of what is allowed",
        "percentunit",
        "At 100 % clients are turned away. Add nodes, or raise limits.connections and the limit of open files."
        + runbook("EventHubConnectionsNearLimit"),
        (
            "sum by (pod, instance, worker) (eventhub_connections{@nodes})"
            " / sum by (pod, instance, worker) (eventhub_connections_limit{@nodes})",
            PROCESS,
        ),
        limit=0.8,
    ),
    graph(
        "CPU, cores per process",
        "short",
        "A process uses one core at most. Near 1: more workers or nodes.",
        ("sum by (pod, instance, worker) (rate(process_cpu_seconds_total{@nodes}[@]))", PROCESS),
        limit=0.8,
    ),
    graph(
        "Event loop delay, p99",
        "s",
        "How late a process comes to what is due. High with CPU near 1: too much work; high without: throttled, or swapping."
        + runbook("EventHubLoopSaturated"),
        (
            "histogram_quantile(0.99, sum by (pod, instance, worker, le) (rate(eventhub_loop_delay_seconds_bucket{@nodes}[@])))",
            PROCESS,
        ),
        limit=0.25,
    ),
    graph(
        "Memory of its limit",
        "percentunit",
        "Empty where the control group has no limit. At 100 % the kernel kills the process."
        + runbook("EventHubMemoryNearLimit"),
        (
            "sum by (pod, instance) (process_resident_memory_bytes{@nodes}) / max by (pod, instance) (eventhub_memory_limit_bytes{@nodes})",
            NODE,
        ),
        limit=0.85,
    ),
    graph(
        "Waiting to be sent",
        "bytes",
        "In outgoing buffers. Grows before readers are found too slow: the network, or clients that do not read.",
        ("sum by (transport) (eventhub_buffered_bytes{@nodes})", "{{transport}}"),
    ),
    graph(
        "Memory broker: history of its limit",
        "percentunit",
        "Empty with other brokers. At 100 % the largest channels lose their oldest half."
        + runbook("EventHubHistoryNearLimit"),
        (
            "sum by (pod, instance) (eventhub_history_bytes{@nodes}) / sum by (pod, instance) (eventhub_history_bytes_limit{@nodes})",
            NODE,
        ),
        limit=0.9,
    ),
]

BROKER: list[Panel] = [
    graph(
        "Broker there",
        "short",
        "1 while a node can use its broker. 0 at one node: its network; at all: the broker."
        + runbook("EventHubBrokerLost"),
        ("min by (pod, instance) (eventhub_broker_up{@nodes})", NODE),
    ),
    graph(
        "Broker's answer",
        "s",
        "From handing events over to their being stored. Rises before anything else does when the broker is short of CPU, disk or network."
        + runbook("EventHubPublishSlow"),
        (
            "histogram_quantile(0.5, sum by (le) (rate(eventhub_broker_publish_seconds_bucket{@nodes}[@])))",
            "p50",
        ),
        (
            "histogram_quantile(0.99, sum by (le) (rate(eventhub_broker_publish_seconds_bucket{@nodes}[@])))",
            "p99",
        ),
        limit=0.5,
    ),
    graph(
        "Calls of the broker",
        "cps",
        "Groups of events handed over per second: far fewer than events when producers send batches.",
        ("sum by (pod, instance) (rate(eventhub_broker_publish_seconds_count{@nodes}[@]))", NODE),
    ),
]

RUNNING: list[Panel] = [
    listing(
        "Versions",
        "What runs where. Two versions for longer than a roll-out takes: the roll-out hangs.",
        "max by (namespace, job, pod, instance, version) (eventhub_build_info{@nodes})",
    ),
    graph(
        "Ready",
        "short",
        "0 while a node takes nobody: it starts, ends, or misses its broker or its keys; /readyz says which."
        + runbook("EventHubNodeNotReady"),
        ("min by (pod, instance) (eventhub_ready{@nodes})", NODE),
    ),
    graph(
        "Up for",
        "s",
        "Falls to 0 at each start. Again and again: look at why it ends."
        + runbook("EventHubRestarts"),
        ("time() - max by (pod, instance, worker) (process_start_time_seconds{@nodes})", PROCESS),
    ),
    graph(
        "Workers that do not answer",
        "short",
        "Empty with one worker. Above 0 for longer than a replacement takes: a worker hangs."
        + runbook("EventHubWorkersUnreachable"),
        ("max by (pod, instance) (eventhub_workers_unreachable{@nodes})", NODE),
        limit=1,
    ),
    graph(
        "Certificate ends in",
        "s",
        "Empty where a proxy does TLS. Below two weeks its renewal does not work."
        + runbook("EventHubCertificateExpiry"),
        (
            "min by (pod, instance) (eventhub_certificate_not_after_timestamp_seconds{@nodes}) - time()",
            NODE,
        ),
    ),
]

OPERATORS = page(
    "operators",
    "The four golden signals of EventHub, its broker and its nodes.",
    "now-1h",
    [
        ("At a glance", GLANCE),
        ("Latency", LATENCY),
        ("Traffic", TRAFFIC),
        ("Errors", ERRORS),
        ("Saturation", SATURATION),
        ("Broker", BROKER),
        ("Nodes", RUNNING),
    ],
)
