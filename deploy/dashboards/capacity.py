"""For whoever sizes it: what a connection and a delivery cost, how much room is left, how it grows."""

from deploy.dashboards.panels import NODE, PROCESS, Panel, graph, page, runbook, summary

PEAKS = "$__range:1m"
"""Every minute of the time shown: with steps of `$__interval`, hours when that is a month, peaks
would fall in between.
"""
STEADY = "2m"
"""For rates at these steps, so that nothing falls between them."""

CONNECTION: list[Panel] = [
    graph(
        "Memory per connection",
        "bytes",
        "All of a node's memory by its connections, so that few connections carry its base. With many it says how many fit into a node.",
        (
            "sum by (pod, instance) (process_resident_memory_bytes{@nodes})"
            " / clamp_min(sum by (pod, instance) (eventhub_connections{@nodes}), 1)",
            NODE,
        ),
    ),
    graph(
        "CPU per connection",
        "percentunit",
        "Cores by connections: heartbeats, and the connection's deliveries.",
        (
            "sum by (pod, instance) (rate(process_cpu_seconds_total{@nodes}[@]))"
            " / clamp_min(sum by (pod, instance) (eventhub_connections{@nodes}), 1)",
            NODE,
        ),
    ),
    graph(
        "Waiting to be sent per connection",
        "bytes",
        "Outgoing buffers. Each may hold limits.buffer_bytes: with all full at once that is what memory must carry.",
        (
            "sum by (pod, instance) (eventhub_buffered_bytes{@nodes})"
            " / clamp_min(sum by (pod, instance) (eventhub_connections{@nodes}), 1)",
            NODE,
        ),
    ),
]

DELIVERY: list[Panel] = [
    graph(
        "CPU per delivery",
        "s",
        "All CPU time by events written to subscribers. Falls with more readers per event; rises with TLS, compression, large payloads.",
        (
            "sum by (pod, instance) (rate(process_cpu_seconds_total{@nodes}[@]))"
            " / sum by (pod, instance) (rate(eventhub_events_delivered_total{@nodes}[@]))",
            NODE,
        ),
    ),
    graph(
        "Of which writing to sockets",
        "s",
        "Fan-out time by delivery. The rest of CPU per delivery is publishing, heartbeats, handshakes and the broker.",
        (
            "sum by (type) (rate(eventhub_fanout_seconds_sum{@types}[@]))"
            " / sum by (type) (rate(eventhub_events_delivered_total{@types}[@]))",
            "{{type}}",
        ),
    ),
    graph(
        "Memory per delivery a second",
        "bytes",
        "A node's memory by its deliveries per second: what throughput costs in memory. Rises alone: history or buffers grow.",
        (
            "sum by (pod, instance) (process_resident_memory_bytes{@nodes})"
            " / sum by (pod, instance) (rate(eventhub_events_delivered_total{@nodes}[@]))",
            NODE,
        ),
    ),
    graph(
        "Deliveries per event",
        "short",
        "How many readers an event has. CPU goes with deliveries, the broker's load with events times nodes.",
        (
            "sum by (type) (rate(eventhub_events_delivered_total{@types}[@]))"
            " / sum by (type) (rate(eventhub_events_published_total{@types}[@]))",
            "{{type}}",
        ),
    ),
    graph(
        "Deliveries a second by node",
        "cps",
        "Beside CPU per process it says how much more a node can deliver.",
        ("sum by (pod, instance) (rate(eventhub_events_delivered_total{@nodes}[@]))", NODE),
    ),
    graph(
        "Broker calls a second by node",
        "cps",
        "What publishing asks of the broker. Batches of producers make fewer calls of more events.",
        ("sum by (pod, instance) (rate(eventhub_broker_publish_seconds_count{@nodes}[@]))", NODE),
    ),
]

ROOM: list[Panel] = [
    graph(
        "Connections, and how many there may be",
        "short",
        "By node. At the limit clients are turned away: add nodes, or raise limits.connections and open files."
        + runbook("EventHubConnectionsNearLimit"),
        ("sum by (pod, instance) (eventhub_connections{@nodes})", NODE),
        ("sum by (pod, instance) (eventhub_connections_limit{@nodes})", NODE + " limit"),
    ),
    graph(
        "Memory",
        "bytes",
        "By node. Leave room for reconnects: after a node fails, its clients are here, too."
        + runbook("EventHubMemoryNearLimit"),
        ("sum by (pod, instance) (process_resident_memory_bytes{@nodes})", NODE),
    ),
    graph(
        "Memory limit",
        "bytes",
        "Of the control group; empty where there is none." + runbook("EventHubMemoryNearLimit"),
        ("max by (pod, instance) (eventhub_memory_limit_bytes{@nodes})", NODE),
    ),
    graph(
        "CPU, cores per process",
        "short",
        "A process uses one core at most. Near 1: more workers or nodes."
        + runbook("EventHubLoopSaturated"),
        ("sum by (pod, instance, worker) (rate(process_cpu_seconds_total{@nodes}[@]))", PROCESS),
        limit=0.8,
    ),
    graph(
        "Event loop delay",
        "s",
        "Over all processes. The p99 rises long before CPU is all used: it says how much of the room is real."
        + runbook("EventHubLoopSaturated"),
        (
            "histogram_quantile(0.5, sum by (le) (rate(eventhub_loop_delay_seconds_bucket{@nodes}[@])))",
            "p50",
        ),
        (
            "histogram_quantile(0.99, sum by (le) (rate(eventhub_loop_delay_seconds_bucket{@nodes}[@])))",
            "p99",
        ),
        limit=0.25,
    ),
    graph(
        "Open files of what is allowed",
        "percentunit",
        "Each connection is one. Raise the limit (ulimit -n, LimitNOFILE) before limits.connections.",
        (
            "max by (pod, instance, worker) (process_open_fds{@nodes}) / max by (pod, instance, worker) (process_max_fds{@nodes})",
            PROCESS,
        ),
        limit=0.8,
    ),
    graph(
        "Memory broker: history held",
        "bytes",
        "Empty with other brokers. At limits.history_bytes the largest channels lose their oldest half."
        + runbook("EventHubHistoryNearLimit"),
        ("sum by (pod, instance) (eventhub_history_bytes{@nodes})", NODE),
        ("sum by (pod, instance) (eventhub_history_bytes_limit{@nodes})", NODE + " limit"),
    ),
]

GROWTH: list[Panel] = [
    summary(
        "Most connections at once",
        "short",
        "In the time shown. Size for this and a node that fails, not for the average.",
        f"max_over_time(sum(eventhub_connections{{@nodes}})[{PEAKS}])",
    ),
    summary(
        "Most deliveries a second",
        "cps",
        "In the time shown.",
        f"max_over_time(sum(rate(eventhub_events_delivered_total{{@nodes}}[{STEADY}]))[{PEAKS}])",
    ),
    summary(
        "Most memory of a node",
        "bytes",
        "In the time shown.",
        f"max_over_time(max(sum by (pod, instance) (process_resident_memory_bytes{{@nodes}}))[{PEAKS}])",
    ),
    summary(
        "Connections in 30 days",
        "short",
        "If the time shown goes on as it did. Look at two weeks or more, or days and nights mislead.",
        "predict_linear(sum(eventhub_connections{@nodes})[$__range:$__interval], 30 * 86400)",
    ),
    summary(
        "Connections there may be",
        "short",
        "At all nodes together.",
        "sum(eventhub_connections_limit{@nodes})",
    ),
]

CAPACITY = page(
    "capacity",
    "What a connection and a delivery cost, how much room is left and how it grows.",
    "now-30d",
    [
        ("Growth", GROWTH),
        ("Per connection", CONNECTION),
        ("Per delivery", DELIVERY),
        ("Room", ROOM),
    ],
)
