"""The figures of docs/bounds.md, and the constants in the code that they come from."""

MILLISECONDS = 0.001
Factor = str | float
"""A constant's name below `eventhub`, or a number."""
FIGURES: dict[str, dict[str, tuple[Factor, ...]]] = {
    "connections of a process": {"512": ("server.security.connection_limits:RESERVE",)},
    "connections to a full node": {
        "16": ("server.security.connection_limits:HEALTH_PROBES",),
        "one second": ("server.http.admission:HEALTH_PROBE_SECONDS",),
        "two seconds": ("server.http.admission:UNREAD_SECONDS",),
    },
    "refused connections and closed idle ones": {
        "64": ("server.connections.rejected_connection:LINGERING",),
        "one second": ("server.connections.rejected_connection:LINGER_SECONDS",),
    },
    "patterns that covered too many": {"1,000": ("hub.too_wide:MOST",)},
    "channels of a pattern that get a feed": {"100": ("hub.naming_subscribers:TURN_CHANNELS",)},
    "feeds that a new pattern looks at": {
        "1,000": ("hub.attaching:TURN_FEEDS",),
        "100": ("hub.attaching:TURN_DETACHED",),
    },
    "channels in which new subscribers of a pattern": {
        "2,000": ("delivery.waiting:TURN_CHANNELS",)
    },
    "channels of a pattern in which one slow": {"1,000": ("delivery.apart:LAGGING_CHANNELS",)},
    "channels without events that were let go": {"10,000": ("hub.patterns:LEFT",)},
    "channels of a pattern in which one subscriber": {"16": ("delivery.apart:CHANNELS_AT_ONCE",)},
    "channels of one SSE": {"32": ("server.streams.selection_begin:STREAM_CHANNELS",)},
    "deadlines": {"four timers": ("server.connections.deadlines:TICKS",)},
    "heartbeats": {"500": ("server.connections.manager:BEATS",)},
    "verified credentials": {
        "10,000": ("auth.authenticator:REMEMBERED",),
        "8 MiB": ("auth.authenticator:REMEMBERED_BYTES",),
    },
    "the text of a filter": {"50 levels": ("filters.parser:DEPTH",)},
    "steps of one evaluation": {"10,000": ("filters.event_filter:STEPS",)},
    "steps of a filter in the long run": {
        "500": ("filters.event_filter:STEPS_EARNED",),
        "50,000": ("filters.event_filter:STEPS_SAVED",),
    },
    "a regular expression of a filter": {
        "256": ("filters.regular:LENGTH",),
        "10,000": ("filters.regular:WEIGHT",),
    },
    "parsed events that filters share": {
        "64": ("filters.fields:KEPT_EVENTS",),
        "256 KiB": ("filters.fields:KEPT_BYTES",),
    },
    "events that a filter looks at": {"64": ("delivery.filtering:BATCH_EVENTS",)},
    "channels for which a group": {"10,000": ("delivery.filtering:QUIET_CHANNELS",)},
    "events that a count counts": {"ten pages": ("hub.counting:FILTERED_PAGES",)},
    "a token": {
        "8 KiB": ("auth.tokens:TOKEN_BYTES",),
        "32 levels": ("auth.tokens:TOKEN_DEPTH",),
        "100 patterns": ("auth.grants:PATTERNS",),
    },
    "a key set": {
        "100 keys": ("auth.tokens:KEYS",),
        "256 KiB": ("server.security.jwks:BYTES",),
        "five seconds": ("server.security.jwks:SECONDS",),
        "ten seconds": ("server.security.jwks:COOLDOWN",),
    },
    "messages after an `auth`": {"64": ("session.deferred_messages:DEFERRED_MESSAGES",)},
    "bad credentials": {"10,000": ("server.security.authentication:ADDRESSES",)},
    "publish rates": {"100,000": ("server.security.publish_quota:BUCKETS",)},
    "blocks by operators": {"10,000": ("auth.blocks:BLOCKS",)},
    "questions to all nodes": {
        "16": ("server.connections.scatter_gather:QUESTIONS",),
        "two seconds": ("server.connections.scatter_gather:ANSWER_SECONDS",),
        "200 KiB": ("server.connections.scatter_gather:ANSWER_BYTES",),
    },
    "refused origins": {
        "100": ("server.security.origin_check:REMEMBERED",),
        "ten minutes": ("server.security.origin_check:AGAIN_SECONDS",),
    },
    "accepted host names": {"100": ("server.security.host_check:REMEMBERED",)},
    "the head of a request": {
        "32 KiB": ("server.http.head:HEAD_BYTES",),
        "256 header": ("server.http.head:HEAD_FIELDS",),
    },
    "a path or a query string": {"4,096": ("server.messages.request_head:MAX_ENCODED",)},
    "a query string": {"256": ("server.messages.request_head:MAX_PARAMETERS",)},
    "requests that wait": {"16": ("server.http.request_queue:PIPELINE",)},
    "bytes beside head and body": {"32 KiB": ("server.http.head:HEAD_BYTES",)},
    "bytes after malformed data": {"1 MiB": ("server.http.reader:DISCARDED_BYTES",)},
    "an NDJSON body": {"100": ("server.publish.handling:DETAILED_REFUSALS",)},
    "lines of a stream": {"50,000": ("server.publish.ndjson:KEYED_LINES",)},
    "refusals of one array": {"100": ("server.publish.handling:DETAILED_REFUSALS",)},
    "faults that are listed": {
        "20": ("events.validation_errors:MAX_FAULTS",),
        "200 faults": ("events.validation_errors:MANY_FAULTS",),
        "200 values": ("events.schema:MANY_VALUES",),
    },
    "frames of a WebSocket client": {
        "16 KiB": ("common.token_bucket:COMMAND_BYTES",),
        "0.25 ms": ("common.token_bucket:COMMAND_SECONDS",),
    },
    "data that a WebSocket client sends": {
        "64 KiB": (2, "server.websocket.transport_setup:READ_BYTES"),
    },
    "publishes of one connection": {"64": ("server.websocket.publish_queue:BACKLOG",)},
    "heads of WebSocket handshakes": {
        "1,024": ("server.websocket.known_handshakes:HEADS",),
        "2 KiB": ("server.websocket.known_handshakes:HEAD_BYTES",),
    },
    "heads of publish requests": {
        "4,096": ("server.publish.fast_path:HEADS",),
        "2 KiB": ("server.http.publish_lane:HEAD_BYTES",),
    },
    "publishes that are answered within": {
        "64 per turn": ("server.connections.request_starts:ANSWERED_AT_ONCE",),
        "4 ms": ("server.connections.request_starts:ANSWER_SECONDS",),
    },
    "requests that begin": {"16": ("server.connections.request_starts:AT_ONCE",)},
    "work on messages": {
        "0.5 ms": ("server.connections.fair_queue:SLICE_SECONDS",),
        "2 ms": ("server.connections.fair_queue:TURN_SECONDS",),
        "four turns": ("server.connections.fair_queue:LOOP_TURNS_BETWEEN",),
    },
    "channels on one page of their list": {
        "2,000": ("common.sorted_names:SCAN",),
        "900": ("server.connections.channel_directory:ROWS",),
    },
    "a chunked body": {"8 KiB": ("server.http.reader:PIECE_BYTES",)},
    "a compressed body": {
        "1 MiB": ("server.publish.content_coding:FREE_BYTES",),
        "200": ("server.publish.content_coding:MOST_RATIO",),
        "100": ("server.publish.content_coding:FREE_PARTS",),
        "512": ("server.publish.content_coding:PART_BYTES",),
    },
    "events whose CloudEvents readers of several channels share": {
        "64": ("delivery.cloudevents:REMEMBERED",)
    },
    "a piece of a compressed body": {"64 KiB": ("server.publish.content_coding:PIECE_BYTES",)},
    "an array": {
        "32 KiB": ("server.publish.batch:PART_BYTES",),
        "2,000 commas": ("server.publish.batch:PART_COMMAS",),
        "500 events": ("server.publish.endpoint:EVENTS_PER_GROUP",),
    },
    "a fan-out": {
        "1,000 writes": ("hub.fanout_schedule:TICK_WRITES",),
        "16 KiB": ("delivery.fanout:WRITE_BYTES",),
    },
    "presence messages": {
        "2 ms": ("hub.cluster:TURN_SECONDS",),
        "250 watchers": ("presence.notifier:SLICE",),
    },
    "ending connections": {"50": ("hub.eviction:SLICE",)},
    "unsubscribing": {
        "0.5 ms": ("server.connections.fair_queue:SLICE_SECONDS",),
        "2 ms": ("server.connections.fair_queue:TURN_SECONDS",),
    },
    "events that wait to be sent": {"256 KiB": ("delivery.fanout:QUEUED_BYTES",)},
    "recent events": {
        "1,024 events": ("delivery.recent:RECENT_EVENTS",),
        "1 MiB": ("delivery.recent:RECENT_BYTES",),
    },
    "newest events by key": {
        "10,000 keys": ("delivery.recent:KEYS",),
        "4 MiB": ("delivery.recent:KEYS_BYTES",),
    },
    "history pages": {
        "32 pages": ("hub.history:CACHED_PAGES",),
        "two seconds": ("hub.history:CACHE_SECONDS",),
    },
    "deletions that a state knows": {"1,000": ("brokers.states:DELETIONS",)},
    "folds of states": {"64 channels": ("brokers.nats.states:FOLDS",)},
    "an event's key": {"256": ("events.keys:KEY_LENGTH",)},
    "presence changes": {
        "32 changes": ("presence.notifier:MAX_CHANGES",),
        "8 different": ("presence.notifier:BEGINNINGS",),
    },
    "repairs of a channel": {
        "three": ("hub.repairs:REPAIRS",),
        "ten seconds": ("hub.repairs:REPAIRS_SECONDS",),
        "0.5 seconds": ("hub.repairs:RETRY_SECONDS",),
    },
    "subscribing to a channel": {"0.5 seconds": ("hub.announcements:RETRY_SECONDS",)},
    "a page of several channels": {
        "8 at once": ("hub.selection_pages:READS_AT_ONCE",),
        "256 KiB": ("brokers.base:PAGE_BYTES",),
        "5 seconds": ("hub.cursor_journals:WAIT_SECONDS",),
    },
    "pages of several channels whose cursor": {
        "20 per second": ("server.security.publish_quota:PAGE_RECORDS",)
    },
    "two schemas that are compared": {
        "60": ("events.compatibility.documents:MAX_DEPTH",),
        "1,000": ("events.compatibility.inclusion:MAX_STEPS",),
        "40": ("events.compatibility.inclusion:MAX_LEVELS",),
    },
    "versions of a schema": {"10,000": ("brokers.factory:SCHEMAS_RETENTION.state.keys",)},
    "reading the versions of a schema": {
        "one second": ("hub.schema_versions:RECENT_MILLISECONDS", 0.001)
    },
    "records of cursors that wait": {"16 MiB": ("hub.cursor_journals:QUEUE_BYTES",)},
    "a page of history of a broker": {"0.5 seconds": ("hub.history:RETRY_SECONDS",)},
    "data of a member": {"4 KiB": ("auth.principal:MEMBER_BYTES",)},
    "messages between nodes about members": {
        "250 members": ("presence.broadcasts:BATCH",),
        "64 KiB": ("presence.broadcasts:DATA_BYTES",),
        "256 KiB": ("brokers.base:PAGE_BYTES",),
        "8 KiB": ("hub.cluster:BYTES_A_MILLISECOND",),
    },
    "memory and SQLite: idempotency keys": {
        "ten minutes": ("brokers.idempotency:KEY_AGE", MILLISECONDS),
    },
    "events that wait to share": {
        "one millisecond": ("hub.join_wait:MOST_SECONDS",),
        "16": ("hub.fanout_schedule:ENOUGH_EVENTS",),
    },
    "SQLite: publishes that wait": {"64 MiB": ("brokers.sqlite.broker:QUEUE_BYTES",)},
    "SQLite: one transaction": {"4 MiB": ("brokers.sqlite.writer:GROUP_BYTES",)},
    "SQLite: write-ahead log": {
        "8 MiB": ("brokers.sqlite.database:CHECKPOINT_BYTES",),
        "64 MiB": ("brokers.sqlite.store:WAL_BYTES",),
    },
    "SQLite: unused pages": {
        "2 MiB": ("brokers.sqlite.store:FREE_PAGES", "brokers.sqlite.database:PAGE_SIZE"),
    },
    "SQLite: history reads": {"two threads": ("brokers.sqlite.broker:READERS",)},
    "Redis: one script call": {
        "256 events": ("brokers.redis.channel_queue:CALL_EVENTS",),
        "1 MiB": ("brokers.redis.channel_queue:CALL_BYTES",),
    },
    "Redis: events that wait": {"64 MiB": ("brokers.redis.publisher:WAITING_BYTES",)},
    "a page of history, on every broker": {"256 KiB": ("brokers.base:PAGE_BYTES",)},
    "signals that wait to be sent": {"64 KiB": ("delivery.signals:WAITING_BYTES",)},
    "Redis: signals": {"1,000": ("brokers.redis.signals:SIGNALS_IN_FLIGHT",)},
    "NATS: signals": {"1 MiB": ("brokers.nats.signals:UNSENT_BYTES",)},
    "Redis: keys that reading stores": {"six hours": ("brokers.redis.metadata:KEEP_SECONDS",)},
    "cursor of a stream of a pattern": {"1,024": ("delivery.pattern_cursor:CURSOR_BYTES",)},
    "refused events that a node keeps": {
        "10": ("hub.refused_events:RATE",),
        "100": ("hub.refused_events:BURST",),
    },
    "refused events that wait": {
        "1,000": ("hub.refused_events:QUEUE_EVENTS",),
        "4 MiB": ("hub.refused_events:QUEUE_BYTES",),
    },
    "refused events of one array": {"100": ("server.publish.handling:DETAILED_REFUSALS",)},
    "journal of cursors": {
        "64 KiB": ("delivery.pattern_cursor:PART_BYTES",),
        "four": ("delivery.pattern_cursor:REWRITE",),
    },
    "NATS: events that are sent": {
        "1,024 messages": ("brokers.nats.pending_replies:WINDOW",),
        "8 MiB": ("brokers.nats.pending_replies:WINDOW_BYTES",),
    },
    "NATS: publishes that wait": {"128 MiB": ("brokers.nats.broker:WAITING_BYTES",)},
    "NATS: announcements of one subscription": {
        "65,536 messages": ("brokers.nats.link:SUBSCRIPTION_MESSAGES",),
        "64 MiB": ("brokers.nats.link:SUBSCRIPTION_BYTES",),
    },
    "NATS: a stream": {"15 minutes": ("brokers.nats.subjects:GRACE",)},
    "NATS: idempotency keys": {
        "1,000,000": ("brokers.nats.subjects:MAX_KEYS",),
        "eleven minutes": ("brokers.nats.subjects:KEY_SECONDS",),
    },
    "NATS: channels whose newest": {"100,000": ("brokers.nats.births:KNOWN",)},
    "NATS: early announcements": {"1,024": ("brokers.nats.sequence_tracker:MAX_EARLY",)},
    "log lines about faults": {"one per second": ("common.faults:QUIET_SECONDS",)},
    "requests of other workers": {"one second": ("server.process.worker_metrics:ANSWER_SECONDS",)},
    "spans that wait": {
        "2,048": ("observability.span_export:QUEUE_SPANS",),
        "32 traces": ("observability.otel:TRACES",),
    },
}
"""By the begin of a row: each of its figures, and the constants that it is the product of."""
