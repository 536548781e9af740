"""The dashboard for people on call: the four golden signals, then the broker and the nodes."""

from deploy.dashboards.panels import NODE, PROCESS, Panel, figure, graph, listing, page, runbook

GLANCE: list[Panel] = [
    figure(
        "Nodes ready",
        "percentunit",
        "Ready nodes, as a share of the nodes that Prometheus has reached within a day. Below "
        "100 %: see Nodes below." + runbook("EventHubNodeDown"),
        "sum(min by (pod, instance) (eventhub_ready{@nodes}))"
        " / count(up{@nodes} and "
        "on (job, instance) max_over_time(eventhub_build_info{@nodes}[24h])) or vector(0)",
        ("red", None),
        ("green", 1),
    ),
    figure(
        "Nodes with a working broker",
        "percentunit",
        "Below 100 %, publishing fails at some nodes, and they get no events from other nodes."
        + runbook("EventHubBrokerLost"),
        "avg(min by (pod, instance) (eventhub_broker_up{@nodes}))",
        ("red", None),
        ("green", 1),
    ),
    figure(
        "Connections",
        "short",
        "Open connections, over all transports.",
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
        "histogram_quantile(0.99, "
        "sum by (le) (rate(eventhub_publish_to_socket_seconds_bucket{@types}[@])))",
        ("green", None),
        ("orange", 0.25),
        ("red", 1),
    ),
    figure(
        "Events refused",
        "percentunit",
        "Share of the published events that were not stored. Errors below shows the causes."
        + runbook("EventHubPublishesRejected"),
        "sum(rate(eventhub_events_rejected_total{@types}[@])) / "
        "sum(rate(eventhub_events_published_total{@types}[@])"
        " or rate(eventhub_events_rejected_total{@types}[@]))",
        ("green", None),
        ("orange", 0.01),
        ("red", 0.05),
    ),
    figure(
        "Events dropped",
        "percentunit",
        "Share of the deliveries that slow readers missed; each reader was told."
        + runbook("EventHubEventsDropped"),
        "sum(rate(eventhub_events_dropped_total{@types}[@])) / "
        "sum(rate(eventhub_events_delivered_total{@types}[@])"
        " or rate(eventhub_events_dropped_total{@types}[@]))",
        ("green", None),
        ("orange", 0.01),
        ("red", 0.05),
    ),
    figure(
        "Fullest process",
        "percentunit",
        "Share of the connection limit in use at the fullest process. Above 80 %, add nodes."
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
        "From accepting an event to writing it to sockets. One type alone: check its payloads or "
        "readers. All types: check broker, CPU or clocks." + runbook("EventHubDeliveryLag"),
        (
            "histogram_quantile(0.5, "
            "sum by (type, le) (rate(eventhub_publish_to_socket_seconds_bucket{@types}[@])))",
            "{{type}} p50",
        ),
        (
            "histogram_quantile(0.99, "
            "sum by (type, le) (rate(eventhub_publish_to_socket_seconds_bucket{@types}[@])))",
            "{{type}} p99",
        ),
        limit=1,
    ),
    graph(
        "Delivery lag by node, p99",
        "s",
        "One node alone: check its CPU, its connection to the broker, or its clock (if another "
        "node accepted the event, lag is measured between two clocks).",
        (
            "histogram_quantile(0.99, "
            "sum by (pod, instance, le) ("
            "rate(eventhub_publish_to_socket_seconds_bucket{@types}[@])))",
            NODE,
        ),
        limit=1,
    ),
    graph(
        "Publishing, p99",
        "s",
        "Time that producers wait, from the whole request to its answer. Above one second, check "
        "the broker." + runbook("EventHubPublishSlow"),
        (
            "histogram_quantile(0.99, "
            "sum by (type, le) (rate(eventhub_publish_seconds_bucket{@types}[@])))",
            "{{type}}",
        ),
        limit=1,
    ),
]

TRAFFIC: list[Panel] = [
    graph(
        "Deliveries by channel type",
        "cps",
        "Events written to subscribers per second. If it falls while publishing continues, readers "
        "left or cannot reach the nodes.",
        ("sum by (type) (rate(eventhub_events_delivered_total{@types}[@]))", "{{type}}"),
    ),
    graph(
        "Published by channel type",
        "cps",
        "Events stored per second. If it falls to 0, producers stopped or are refused (see "
        "Errors).",
        ("sum by (type) (rate(eventhub_events_published_total{@types}[@]))", "{{type}}"),
    ),
    graph(
        "Connections by transport",
        "short",
        "A sudden drop: a node or a load balancer is gone. A saw tooth: a proxy ends idle "
        "connections; raise its time-out.",
        ("sum by (transport) (eventhub_connections{@nodes})", "{{transport}}"),
    ),
    graph(
        "Connections opened",
        "cps",
        "If it is always high, clients do not stay connected. Check Slow disconnects, and proxies "
        "that end connections.",
        (
            "sum by (transport) (rate(eventhub_connections_opened_total{@nodes}[@]))",
            "{{transport}}",
        ),
    ),
    graph(
        "Subscriptions",
        "short",
        "One connection may have several. Each event is written once for every subscription of its "
        "channel.",
        ("sum by (type) (eventhub_subscriptions{@types})", "{{type}}"),
    ),
    graph(
        "Channels with subscribers",
        "short",
        "Sum over nodes: a channel counts at each node where it has readers. If it grows without "
        "end, clients invent names.",
        ("sum by (type) (eventhub_channels{@types})", "{{type}}"),
    ),
]

ERRORS: list[Panel] = [
    graph(
        "Events refused by code",
        "cps",
        "Faults of producers, and events that the server cannot store now (broker_unavailable, "
        "internal). PROTOCOL.md explains the codes." + runbook("EventHubPublishesFail"),
        ("sum by (code) (rate(eventhub_events_rejected_total{@types}[@]))", "{{code}}"),
    ),
    graph(
        "Events dropped by policy",
        "cps",
        "Events that slow readers missed under latest or drop. Each reader was told. Many readers: "
        "check the network, or publish fewer events." + runbook("EventHubEventsDropped"),
        (
            "sum by (type, policy) (rate(eventhub_events_dropped_total{@types}[@]))",
            "{{type}} {{policy}}",
        ),
    ),
    graph(
        "Slow disconnects",
        "cps",
        "Readers that were disconnected because they were too slow (slow: disconnect). They "
        "reconnect and ask for the missed events." + runbook("EventHubSlowDisconnects"),
        ("sum by (type) (rate(eventhub_slow_disconnects_total{@types}[@]))", "{{type}}"),
    ),
    graph(
        "Gaps by reason",
        "cps",
        "Gaps sent to readers. expired: retention; reset: the broker lost its log; slow, "
        "conflated: the setting slow of the channel type." + runbook("EventHubGapRate"),
        ("sum by (reason) (rate(eventhub_gaps_total{@types}[@]))", "{{reason}}"),
    ),
    graph(
        "Readers that came back too late",
        "percentunit",
        "Share of the readers that came back with a position and found missed events no longer "
        "stored. Raise the retention of this type." + runbook("EventHubRetentionTooShort"),
        (
            'sum by (type) (rate(eventhub_gaps_total{@types,reason="expired"}[@]))'
            " / sum by (type) ("
            'rate(eventhub_gaps_total{@types,reason="expired"}[@])'
            " or rate(eventhub_resumed_total{@types}[@]))",
            "{{type}}",
        ),
        limit=0.05,
    ),
    graph(
        "Refused events kept and lost",
        "cps",
        "Refused events that can be mended and published again (/v1/refused), and those that were "
        "not kept: more than 10 a second (rate), too many wait (queue), the broker did not store "
        "them." + runbook("EventHubRefusedEventsLost"),
        ("sum by (type) (rate(eventhub_refused_kept_total{@types}[@]))", "{{type}} kept"),
        (
            "sum by (type, reason) (rate(eventhub_refused_dropped_total{@types}[@]))",
            "{{type}} lost, {{reason}}",
        ),
    ),
    graph(
        "Refused by limits",
        "cps",
        "How often each setting below limits took effect. Find the client, then check whether the "
        "limit is right (docs/settings.md).",
        ("sum by (limit) (rate(eventhub_refused_total{@nodes}[@]))", "{{limit}}"),
    ),
]

SATURATION: list[Panel] = [
    graph(
        "Connections, share of the limit",
        "percentunit",
        "At 100 % clients are refused. Add nodes, or raise limits.connections and the limit of "
        "open files." + runbook("EventHubConnectionsNearLimit"),
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
        "A process uses at most one core. Near 1, add workers or nodes.",
        ("sum by (pod, instance, worker) (rate(process_cpu_seconds_total{@nodes}[@]))", PROCESS),
        limit=0.8,
    ),
    graph(
        "Event loop delay, p99",
        "s",
        "How late a process runs its timers. High with CPU near 1: too much work. High with low "
        "CPU: it is throttled, or swaps." + runbook("EventHubLoopSaturated"),
        (
            "histogram_quantile(0.99, "
            "sum by (pod, instance, worker, le) ("
            "rate(eventhub_loop_delay_seconds_bucket{@nodes}[@])))",
            PROCESS,
        ),
        limit=0.25,
    ),
    graph(
        "Memory, share of the limit",
        "percentunit",
        "Empty if the control group has no limit. At 100 % the kernel kills the process."
        + runbook("EventHubMemoryNearLimit"),
        (
            "sum by (pod, instance) (process_resident_memory_bytes{@nodes})"
            " / max by (pod, instance) (eventhub_memory_limit_bytes{@nodes})",
            NODE,
        ),
        limit=0.85,
    ),
    graph(
        "Waiting to be sent",
        "bytes",
        "Bytes in outgoing buffers. They grow before readers count as too slow. Check the network, "
        "and clients that do not read.",
        ("sum by (transport) (eventhub_buffered_bytes{@nodes})", "{{transport}}"),
    ),
    graph(
        "Memory broker: history, share of the limit",
        "percentunit",
        "Empty with other brokers. At 100 % the largest channels lose their oldest half."
        + runbook("EventHubHistoryNearLimit"),
        (
            "sum by (pod, instance) (eventhub_history_bytes{@nodes})"
            " / sum by (pod, instance) (eventhub_history_bytes_limit{@nodes})",
            NODE,
        ),
        limit=0.9,
    ),
]

BROKER: list[Panel] = [
    graph(
        "Broker up",
        "short",
        "1 while a node can use its broker. 0 at one node: check its network. 0 at all nodes: "
        "check the broker." + runbook("EventHubBrokerLost"),
        ("min by (pod, instance) (eventhub_broker_up{@nodes})", NODE),
    ),
    graph(
        "Broker's answer",
        "s",
        "From handing events to the broker until they are stored. Rises first when the broker is "
        "short of CPU, disk or network." + runbook("EventHubPublishSlow"),
        (
            "histogram_quantile(0.5, "
            "sum by (le) (rate(eventhub_broker_publish_seconds_bucket{@nodes}[@])))",
            "p50",
        ),
        (
            "histogram_quantile(0.99, "
            "sum by (le) (rate(eventhub_broker_publish_seconds_bucket{@nodes}[@])))",
            "p99",
        ),
        limit=0.5,
    ),
    graph(
        "Broker calls",
        "cps",
        "Groups of events handed to the broker per second: far fewer than events if producers send "
        "batches.",
        ("sum by (pod, instance) (rate(eventhub_broker_publish_seconds_count{@nodes}[@]))", NODE),
    ),
]

SELECTIONS: list[Panel] = [
    graph(
        "Subscriptions to patterns",
        "short",
        "Each gets the events of all channels that fit its pattern. They are not among "
        "Subscriptions above.",
        ("sum(eventhub_pattern_subscribers{@nodes})", "subscriptions"),
        ("sum(eventhub_patterns{@nodes})", "patterns, at each node"),
    ),
    graph(
        "Widest pattern, share of the limit",
        "percentunit",
        "Channels of the pattern that has most of them. At 100 % its readers are disconnected "
        "(too_many_subscriptions): raise limits.pattern_channels, or use narrower patterns.",
        (
            "max by (pod, instance) (eventhub_pattern_channels{@nodes}"
            " / eventhub_pattern_channels_limit{@nodes})",
            NODE,
        ),
        limit=0.8,
    ),
    graph(
        "Filters, share of the limit",
        "percentunit",
        "Different filters in use. At 100 % new ones are refused (invalid_filter): raise "
        "limits.filters, or let clients use the same text.",
        (
            "max by (pod, instance) (eventhub_filters{@nodes} / eventhub_filters_limit{@nodes})",
            NODE,
        ),
        limit=0.8,
    ),
    graph(
        "Filter failures",
        "cps",
        "Events for which a filter had no value, such as a field that is missing. The reader was "
        "told once; the event was not delivered.",
        ("sum by (type) (rate(eventhub_filter_failures_total{@types}[@]))", "{{type}}"),
    ),
    graph(
        "Schema versions",
        "short",
        "The lowest and the highest version of each channel type's schema among the nodes. They "
        "differ while a new version is rolled out. If they still differ after it, a node has an "
        "old file.",
        ("min by (type) (eventhub_schema_version{@nodes})", "{{type}}, lowest"),
        ("max by (type) (eventhub_schema_version{@nodes})", "{{type}}, highest"),
    ),
    graph(
        "States begun",
        "cps",
        "Readers that began with the newest event of each key, or with what has changed.",
        ("sum by (type) (rate(eventhub_states_begun_total{@types}[@]))", "{{type}}"),
    ),
    graph(
        "Cursors that wait for the broker",
        "short",
        "Records of cursors of patterns that are not stored yet. Their streams wait. Lost: a "
        "reader that resumes there is told that it missed events.",
        ("sum(eventhub_cursor_records_waiting{@nodes})", "waiting"),
        (
            'sum(increase(eventhub_cursor_records_total{@nodes,outcome="lost"}[@]))',
            "lost",
        ),
    ),
]

RUNNING: list[Panel] = [
    listing(
        "Versions",
        "The version of each node. If two versions run for longer than a roll-out takes, the "
        "roll-out hangs.",
        "max by (namespace, job, pod, instance, version) (eventhub_build_info{@nodes})",
    ),
    graph(
        "Ready",
        "short",
        "0 while a node accepts no new clients: it starts, stops, or lacks its broker or its keys. "
        "/readyz names the cause." + runbook("EventHubNodeNotReady"),
        ("min by (pod, instance) (eventhub_ready{@nodes})", NODE),
    ),
    graph(
        "Up for",
        "s",
        "Falls to 0 at each start. If that repeats, find out why the process ends."
        + runbook("EventHubRestarts"),
        ("time() - max by (pod, instance, worker) (process_start_time_seconds{@nodes})", PROCESS),
    ),
    graph(
        "Workers that do not answer",
        "short",
        "Empty with one worker. If it is above 0 for longer than a replacement takes, a worker "
        "hangs." + runbook("EventHubWorkersUnreachable"),
        ("max by (pod, instance) (eventhub_workers_unreachable{@nodes})", NODE),
        limit=1,
    ),
    graph(
        "Certificate ends in",
        "s",
        "Empty if a proxy does TLS. Below two weeks, renewal does not work."
        + runbook("EventHubCertificateExpiry"),
        (
            "min by (pod, instance) (eventhub_certificate_not_after_timestamp_seconds{@nodes})"
            " - time()",
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
        ("Patterns, filters and states", SELECTIONS),
        ("Nodes", RUNNING),
    ],
)
