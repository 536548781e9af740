"""The dashboard for sizing: the cost of a connection and a delivery, the room left, growth."""

from deploy.dashboards.panels import NODE, PROCESS, Panel, graph, page, runbook, summary

PEAKS = "$__range:1m"
"""One step a minute over the time range. Steps of `$__interval`, which are hours in a range of a
month, would miss peaks.
"""
STEADY = "2m"
"""The range of rates at these steps: long enough to cover every minute."""

CONNECTION: list[Panel] = [
    graph(
        "Memory per connection",
        "bytes",
        "A node's memory divided by its connections. With few connections this is mostly the base "
        "of the process. With many it shows how many fit into a node.",
        (
            "sum by (pod, instance) (process_resident_memory_bytes{@nodes})"
            " / clamp_min(sum by (pod, instance) (eventhub_connections{@nodes}), 1)",
            NODE,
        ),
    ),
    graph(
        "CPU per connection",
        "percentunit",
        "Cores divided by connections: heartbeats, and the connection's deliveries.",
        (
            "sum by (pod, instance) (rate(process_cpu_seconds_total{@nodes}[@]))"
            " / clamp_min(sum by (pod, instance) (eventhub_connections{@nodes}), 1)",
            NODE,
        ),
    ),
    graph(
        "Waiting to be sent per connection",
        "bytes",
        "Bytes in outgoing buffers, per connection. Each buffer may hold limits.buffer_bytes; "
        "memory must suffice if all are full at once.",
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
        "CPU time divided by events written to subscribers. Falls with more readers per event; "
        "rises with TLS, compression, large payloads.",
        (
            "sum by (pod, instance) (rate(process_cpu_seconds_total{@nodes}[@]))"
            " / sum by (pod, instance) (rate(eventhub_events_delivered_total{@nodes}[@]))",
            NODE,
        ),
    ),
    graph(
        "Of which writing to sockets",
        "s",
        "Fan-out time divided by deliveries. The rest of the CPU per delivery is publishing, "
        "heartbeats, handshakes and the broker.",
        (
            "sum by (type) (rate(eventhub_fanout_seconds_sum{@types}[@]))"
            " / sum by (type) (rate(eventhub_events_delivered_total{@types}[@]))",
            "{{type}}",
        ),
    ),
    graph(
        "Memory per delivery a second",
        "bytes",
        "A node's memory divided by its deliveries per second: the memory cost of throughput. If "
        "it rises alone, history or buffers grow.",
        (
            "sum by (pod, instance) (process_resident_memory_bytes{@nodes})"
            " / sum by (pod, instance) (rate(eventhub_events_delivered_total{@nodes}[@]))",
            NODE,
        ),
    ),
    graph(
        "Deliveries per event",
        "short",
        "Readers per event. CPU depends on deliveries, the broker's load on events times nodes.",
        (
            "sum by (type) (rate(eventhub_events_delivered_total{@types}[@]))"
            " / sum by (type) (rate(eventhub_events_published_total{@types}[@]))",
            "{{type}}",
        ),
    ),
    graph(
        "Deliveries a second by node",
        "cps",
        "Together with CPU per process it shows how much more a node can deliver.",
        ("sum by (pod, instance) (rate(eventhub_events_delivered_total{@nodes}[@]))", NODE),
    ),
    graph(
        "Broker calls a second by node",
        "cps",
        "Calls of publishing to the broker. Batches of producers make fewer calls with more "
        "events.",
        ("sum by (pod, instance) (rate(eventhub_broker_publish_seconds_count{@nodes}[@]))", NODE),
    ),
]

ROOM: list[Panel] = [
    graph(
        "Connections and their limit",
        "short",
        "By node. At the limit clients are refused: add nodes, or raise limits.connections and the "
        "limit of open files." + runbook("EventHubConnectionsNearLimit"),
        ("sum by (pod, instance) (eventhub_connections{@nodes})", NODE),
        ("sum by (pod, instance) (eventhub_connections_limit{@nodes})", NODE + " limit"),
    ),
    graph(
        "Memory",
        "bytes",
        "By node. Leave room for reconnects: if a node fails, its clients come to the other nodes."
        + runbook("EventHubMemoryNearLimit"),
        ("sum by (pod, instance) (process_resident_memory_bytes{@nodes})", NODE),
    ),
    graph(
        "Memory limit",
        "bytes",
        "Limit of the control group; empty if there is none." + runbook("EventHubMemoryNearLimit"),
        ("max by (pod, instance) (eventhub_memory_limit_bytes{@nodes})", NODE),
    ),
    graph(
        "CPU, cores per process",
        "short",
        "A process uses at most one core. Near 1, add workers or nodes."
        + runbook("EventHubLoopSaturated"),
        ("sum by (pod, instance, worker) (rate(process_cpu_seconds_total{@nodes}[@]))", PROCESS),
        limit=0.8,
    ),
    graph(
        "Event loop delay",
        "s",
        "Over all processes. The p99 rises long before the CPU is fully used: it shows how much "
        "room is really left." + runbook("EventHubLoopSaturated"),
        (
            "histogram_quantile(0.5, "
            "sum by (le) (rate(eventhub_loop_delay_seconds_bucket{@nodes}[@])))",
            "p50",
        ),
        (
            "histogram_quantile(0.99, "
            "sum by (le) (rate(eventhub_loop_delay_seconds_bucket{@nodes}[@])))",
            "p99",
        ),
        limit=0.25,
    ),
    graph(
        "Open files, share of the limit",
        "percentunit",
        "Each connection is one. Raise the limit (ulimit -n, LimitNOFILE) before "
        "limits.connections.",
        (
            "max by (pod, instance, worker) (process_open_fds{@nodes})"
            " / max by (pod, instance, worker) (process_max_fds{@nodes})",
            PROCESS,
        ),
        limit=0.8,
    ),
    graph(
        "Memory broker: history",
        "bytes",
        "Empty with other brokers. At limits.history_bytes the largest channels lose their oldest "
        "half." + runbook("EventHubHistoryNearLimit"),
        ("sum by (pod, instance) (eventhub_history_bytes{@nodes})", NODE),
        ("sum by (pod, instance) (eventhub_history_bytes_limit{@nodes})", NODE + " limit"),
    ),
]

GROWTH: list[Panel] = [
    summary(
        "Most connections at once",
        "short",
        "In the time range shown. Size for this number and the loss of a node, not for the "
        "average.",
        f"max_over_time(sum(eventhub_connections{{@nodes}})[{PEAKS}])",
    ),
    summary(
        "Most deliveries a second",
        "cps",
        "In the time range shown.",
        f"max_over_time(sum(rate(eventhub_events_delivered_total{{@nodes}}[{STEADY}]))[{PEAKS}])",
    ),
    summary(
        "Most memory of a node",
        "bytes",
        "In the time range shown.",
        "max_over_time(max("
        f"sum by (pod, instance) (process_resident_memory_bytes{{@nodes}}))[{PEAKS}])",
    ),
    summary(
        "Connections in 30 days",
        "short",
        "If the trend of the time range shown continues. Choose two weeks or more; a shorter range "
        "is distorted by days and nights.",
        "predict_linear(sum(eventhub_connections{@nodes})[$__range:$__interval], 30 * 86400)",
    ),
    summary(
        "Connection limit",
        "short",
        "At all nodes together.",
        "sum(eventhub_connections_limit{@nodes})",
    ),
]

CAPACITY = page(
    "capacity",
    "The cost of a connection and a delivery, the room that is left, and growth.",
    "now-30d",
    [
        ("Growth", GROWTH),
        ("Per connection", CONNECTION),
        ("Per delivery", DELIVERY),
        ("Room", ROOM),
    ],
)
