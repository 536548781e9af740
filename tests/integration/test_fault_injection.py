"""A fault is injected wherever shared code calls what belongs to one connection, and no other
connection is disturbed.

tests/harness/inventory.py finds the places in the syntax of the code. A place that PLACES does not
name fails a test. `make injections` is the long form, beside a thousand clients; RESULTS.md has its
results.
"""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import structlog

from eventhub.server.connections.fair_queue import FairQueue
from tests.harness.inventory import SOURCE, places
from tests.integration.everything import everything
from tests.integration.injections import INJECTIONS, PATIENCE, Fault, injected, world

CALLBACK = "raises below, in the loop, while clients do everything that they can"
_PLACES: dict[str, list[str]] = {
    "idle": [
        "server/security/idle_connections.py:IdleConnections._close:retire",
        "server/security/idle_connections.py:IdleConnections._look:call_soon",
        "server/security/idle_connections.py:IdleConnections._set_timer:call_at",
    ],
    "last call": [
        "server/process/server.py:Server._drain:_last_call",
    ],
    "request": [
        "server/http/request_queue.py:RequestQueue._run:create_task",
    ],
    CALLBACK: [
        "server/http/reader.py:RequestReader._hold:later",
        "server/connections/request_starts.py:RequestStarts.start:later",
        "server/http/timers.py:RequestTimers.start_head:call_later",
        "server/http/timers.py:RequestTimers.start_wait:call_later",
        "server/publish/ndjson.py:NdjsonPublish.fail:call_later",
        "server/http/response_transport.py:ResponseTransport.close:call_later",
        "server/http/response_transport.py:ResponseTransport.write:call_soon",
        "server/connections/rejected_connection.py:RejectedConnection.__init__:call_later",
        "server/streams/response.py:StreamResponse._probe:call_later",
        "server/websocket/protocol.py:WebSocketProtocol.close:call_later",
        "server/websocket/protocol.py:WebSocketProtocol.refuse:call_later",
    ],
    "history": [
        "brokers/sqlite/broker.py:SqliteBroker._read:run_in_executor",
        "hub/history.py:HistoryReader._read:_lose",
        "hub/history.py:HistoryReader.ask:_spawn",
    ],
    "started": [
        "hub/eviction.py:EvictionQueue._end:_note",
        "hub/eviction.py:EvictionQueue._go_on:_end",
        "hub/eviction.py:EvictionQueue._go_on:_soon",
        "hub/eviction.py:EvictionQueue.add:_soon",
    ],
    "write": [
        "delivery/fanout.py:Fanout.report:serving_failed",
        "delivery/fanout.py:Fanout.settle:write",
        "hub/fanout_schedule.py:FanoutSchedule._flush:call_soon",
        "hub/fanout_schedule.py:FanoutSchedule._wait:call_soon",
        "hub/fanout_schedule.py:FanoutSchedule.add:call_soon",
        "delivery/bulk_write.py:write_all_plainly:write",
    ],
    "pattern": [
        "delivery/audience.py:Audiences.deliver:deliver",
    ],
    "birth": [
        "hub/patterns.py:Patterns.born:contain",
    ],
    "list": [
        "hub/patterns.py:Patterns._open:spawn",
    ],
    "positions": [
        "delivery/pattern_audience.py:PatternAudience._tell_positions:write",
    ],
    "filter": [
        "delivery/fanout.py:Fanout._select:serving_failed",
        "delivery/filtering.py:select:failed",
    ],
    "feed": [
        "delivery/feed.py:Feed._resume:_serve",
        "delivery/lagging.py:LaggingSubscribers._disconnect_all:fail",
    ],
    "page": [
        "hub/repairs.py:Repairs._try:call_later",
        "hub/repairs.py:Repairs.add:call_later",
        "hub/history.py:HistoryReader._read:_give",
        "hub/history.py:HistoryReader.ask:call_soon",
    ],
    "announcements": [
        "hub/announcements.py:Announcements.update:spawn",
    ],
    "operator": [
        "hub/feed_registry.py:_soon:call_soon",
        "server/connections/drain.py:Drain.cut_off:contain",
        "server/connections/registry.py:ConnectionRegistry.disconnect:_fail",
    ],
    "presence": [
        "hub/hub.py:Hub.run:create_task",
        "hub/cluster.py:Cluster.attend:_note",
    ],
    "renewal": [
        "hub/tasks.py:Tasks.spawn:add_done_callback",
        "hub/tasks.py:Tasks.spawn:create_task",
        "server/connections/scatter_gather.py:ScatterGather._on_message:spawn",
    ],
    "watcher": [
        "hub/cluster.py:Cluster.on_message:_note",
        "presence/notifier.py:PresenceWatchers._tell_crowd:_write",
        "presence/notifier.py:PresenceWatchers._tell_each:_write",
        "presence/notifier.py:PresenceWatchers._write:write_all",
        "presence/notifier.py:PresenceWatchers.drained:_wake_for",
        "presence/notifier.py:PresenceWatchers.on_change:_wake_for",
    ],
    "rates": [
        "server/app.py:Application._lifespan:create_task",
        "server/security/publish_quota.py:PublishQuota.run:broadcast",
    ],
    "first message": [
        "server/connections/deadlines.py:Deadlines._expire:call_soon",
        "server/connections/deadlines.py:Deadlines._expire:contain",
        "server/connections/deadlines.py:Deadlines.set:call_at",
        "server/connections/credential_expiry.py:CredentialExpiry._after:deadlines.after",
        "server/websocket/asgi.py:AsgiWebSocket._subscribe:deadlines.after",
        "server/websocket/message_timer.py:MessageTimer.expect_first:deadlines.after",
    ],
    "goodbye": [
        "server/connections/drain_pace.py:at_a_pace:send_away",
        "server/connections/drain_pace.py:all_at_once:send_away",
        "server/connections/drain.py:Drain.connection_opened:call_soon",
    ],
    "heartbeat": [
        "server/connections/manager.py:ConnectionManager.send_heartbeats:contained",
    ],
    "buffered": [
        "server/connections/manager.py:ConnectionManager._buffered:buffered",
    ],
    "readings": [
        "server/process/process_metrics.py:ProcessMetrics.readings:to_thread",
    ],
    "stream": [
        "common/concurrency.py:race:create_task",
        "server/streams/outbox.py:Outbox._take_chunks:call_soon",
        "server/streams/outbox.py:Outbox.close:call_later",
        "server/streams/outbox.py:Outbox.write:call_soon",
    ],
    "published": [
        "server/websocket/publish_queue.py:PublishQueue.add:spawn",
    ],
    "pace": [
        "server/connections/fair_queue.py:FairQueue._schedule_turn:call_soon",
        "server/connections/fair_queue.py:FairQueue._go_on:call_soon",
        "server/connections/fair_queue.py:FairQueue._skip_turns:call_soon",
        "server/connections/fair_queue.py:FairQueue.next_turn:later",
        "server/websocket/read_throttle.py:ReadThrottle.pause:call_later",
        "server/websocket/read_throttle.py:ReadThrottle.queue:later",
    ],
    "decided": [
        "server/connections/registry.py:ConnectionRegistry.renew:_spawn",
    ],
    "message in parts": [
        "server/websocket/message_timer.py:MessageTimer.begin:deadlines.after",
        "server/websocket/message_timer.py:MessageTimer.expired:deadlines.set",
    ],
    "handshake with keys": [
        "server/websocket/upgrade.py:Upgrade._fetch_keys:spawn",
    ],
    "closed": [
        "server/websocket/protocol.py:WebSocketProtocol.connection_lost:contain",
    ],
    "congested": [
        "server/websocket/protocol.py:WebSocketProtocol.pause_writing:call_soon",
        "server/websocket/protocol.py:WebSocketProtocol.resume_writing:call_soon",
    ],
}
_SYNTAX = [
    "filters/compiler.py:Compiler.compile:_call",
    "filters/parser.py:_Parser._expression:_call",
    "filters/parser.py:_Parser._function:_call",
    "filters/parser.py:_Parser._left:_call",
    "filters/parser.py:_Parser._members:_call",
    "filters/parser.py:_Parser._method:_call",
    "filters/parser.py:_Parser._row:_call",
    "filters/parser.py:_Parser._unary:_call",
]
_REASONS = dict.fromkeys(
    _SYNTAX, "a node of one filter's syntax; what it raises, its subscriber is answered"
) | {
    "delivery/pattern_audience.py:PatternAudience.fail_all:_fail": (
        "adds each to the eviction queue, which ends one after the other"
    ),
    "delivery/waiting.py:WaitingSubscribers._turn:_soon": (
        "goes on with those that wait; what the start of one raises closes that one "
        "(PatternAudience._begin)"
    ),
    "hub/feed_registry.py:FeedRegistry.soon:_soon": (
        "passes on what an audience asks for, which is the turn of those that wait"
    ),
    "hub/naming_subscribers.py:NamingSubscribers.join:spawn": (
        "serves one subscriber, whose connection is closed after an error"
    ),
    "hub/cursor_journals.py:CursorJournals._progress:contain": (
        "tells one stream after the other, and an error of one is logged (test_cursor_journals.py)"
    ),
    "hub/refused_events.py:RefusedEvents._add:_spawn": (
        "stores copies of events whose refusal was answered; a fault loses copies, and the next "
        "refusal stores again (test_refused_events.py)"
    ),
    "hub/cursor_journals.py:CursorJournals.add:spawn": (
        "writes the records of all; after a fault the next record begins anew "
        "(test_cursor_journals.py)"
    ),
    "common/time_limit.py:TimeLimit._look:call_at": (
        "one late call after the other; after one that raises, the others follow "
        "(test_time_limit.py)"
    ),
    "common/time_limit.py:TimeLimit.begin:call_later": "the same",
    "hub/publisher.py:Publisher.publish_later.in_task:_spawn": (
        "publishes for one request, which is answered after a fault (Faults.contained)"
    ),
    "server/http/known_publish.py:KnownPublish.cancel:call_soon": (
        "answers one request, and ends its connection if that raises (KnownPublish._respond)"
    ),
    "hub/history.py:HistoryReader._keep:call_later": "`pop` of a dictionary, with a default",
    "server/streams/pattern_outbox.py:PlacedOutbox._release:write": (
        "appends to the buffer of one stream what was held back for it"
    ),
    "server/streams/pattern_outbox.py:PlacedOutbox.close:write": (
        "appends to the buffer of one stream what was held back for it"
    ),
    "server/streams/pattern_outbox.py:PlacedOutbox.write_placed:call_soon": (
        "contained by `ConnectionManager.contained`, which its stream gives it"
    ),
    "server/streams/selection_outbox.py:SelectionOutbox.close:write": (
        "appends the last message to the buffer of one stream"
    ),
    "server/streams/selection_outbox.py:SelectionOutbox.write:call_soon": (
        "contained by `ConnectionManager.contained`, which its stream gives it"
    ),
    "hub/patterns.py:Patterns._close:spawn": (
        "detaches an audience that nobody has any more; the feeds that it leaves stay open"
    ),
    "presence/counts.py:CountWatchers._tell:_write": (
        "what a write raises ends its connection, and the others are told (test_counts.py)"
    ),
    "presence/counts.py:CountWatchers._write:write_all": "the same",
    "presence/counts.py:CountWatchers.drained:_wake_for": "adds to a dictionary and sets an event",
    "presence/counts.py:CountWatchers.on_change:_wake_for": "the same",
    "hub/cluster.py:Cluster.attend:broadcast": (
        "one message of the node itself; its loop is begun again (Faults.kept)"
    ),
    "events/arrays.py:_scan:_end": (
        "one body's bytes: what it raises, the request that sent them is answered"
    ),
    "events/arrays.py:pieces:_end": (
        "one body's bytes: what it raises, the request that sent them is answered"
    ),
    "brokers/nats/broker.py:NatsBroker.run:_serve": (
        "a fault costs this connection to the server (test_nats_link.py)"
    ),
    "brokers/nats/idempotency_keys.py:IdempotencyKeys.claim:_write": (
        "one publish tries again; its caller has what it raises"
    ),
    "brokers/nats/client.py:GuardedClient.connect:add_done_callback": (
        "sets an event, and reads what ended a loop of the client library"
    ),
    "brokers/nats/session.py:NatsSession.reopen:create_task": (
        "one channel's log each; what it raises is logged, and the others are opened"
    ),
    "brokers/redis/shards.py:ShardMap._shard:create_task": (
        "a shard's own loops, each of which is begun again (Shard._keep)"
    ),
    "brokers/redis/broker.py:RedisBroker.run:create_task": (
        "reads the topology again, whatever it was answered (test_redis.py)"
    ),
    "brokers/redis/link.py:RedisLink.data_received:_give": (
        "contains what whoever waits makes of an answer"
    ),
    "brokers/redis/link.py:RedisLink.write:call_soon": "writes bytes that are packed already",
    "brokers/redis/publisher.py:RedisPublisher._send_again:call_later": (
        "`_schedule`, which appends to a list"
    ),
    "brokers/redis/publisher.py:RedisPublisher._send_scheduled:_send": (
        "an event that cannot be written down raises in contract/test_unwritable.py"
    ),
    "brokers/redis/publisher.py:RedisPublisher._schedule:call_soon": (
        "an event that cannot be written down raises in contract/test_unwritable.py"
    ),
    "brokers/redis/shard.py:Shard._probe_arrives:create_task": (
        "a question to the server; its one caller awaits it"
    ),
    "brokers/redis/subscriptions.py:ShardSubscriptions._subscribe:write": (
        "bytes of a channel's name, which is checked where it comes in"
    ),
    "brokers/redis/shard.py:Shard.run:create_task": (
        "`_keep` begins each loop again, whatever it raised"
    ),
    "brokers/redis/announcement.py:announce:deliver": (
        "records that cannot be read: test_unreadable.py, and contract/test_unreadable.py"
    ),
    "brokers/sqlite/broker.py:SqliteBroker.run:run_in_executor": (
        "the writer's own thread; each publish that raises there fails alone "
        "(contract/test_unwritable.py)"
    ),
    "brokers/sqlite/writer.py:WriterThread._publish:_call": (
        "each publish that raises fails alone (contract/test_unwritable.py)"
    ),
    "brokers/sqlite/writer.py:WriterThread._recover:_call": "hands over names of channels",
    "brokers/sqlite/writer.py:WriterThread._refuse:_call": "hands over an error",
    "brokers/sqlite/writer.py:WriterThread._subscribe:_call": "hands over a position",
    "server/connections/block_replication.py:BlockReplication.send:broadcast": (
        "rows that were checked where they came in; its loop is begun again (Faults.kept)"
    ),
    "server/app.py:Application._lifespan:set_exception_handler": (
        "counts and logs, and suppresses what that raises"
    ),
    "server/app.py:_send_heartbeats:heartbeat": (
        "a signal to the supervisor; its loop is begun again (Faults.kept)"
    ),
    "server/process/tls.py:Certificates.run:to_thread": (
        "reads files; its loop is begun again (Faults.kept)"
    ),
    "server/connections/manager.py:ConnectionManager.end_session:later": (
        "contains what it goes on with"
    ),
    "server/connections/request_starts.py:RequestStarts.at_once:call_soon": (
        "sets a number back to zero"
    ),
    "server/http/publish_lane.py:PublishLane.answer_known:write": (
        "a loop over the bytes of one connection; asyncio closes that one if it raises"
    ),
    "server/http/request_handler.py:RequestHandler._answered:call_soon": (
        "moves a connection from one place in a dictionary to another"
    ),
    "server/http/reader.py:RequestReader._parse:fail": (
        "a loop over what one connection sent; asyncio closes that one for what it raises"
    ),
    "server/http/request_queue.py:RequestQueue._run:add_done_callback": "`discard` of a set",
    "server/process/server.py:Server.handle_exit:call_soon_threadsafe": (
        "the second signal, which ends the process on purpose"
    ),
    "server/process/server.py:Server.startup:add_reader": (
        "the supervisor is gone, which ends the process on purpose"
    ),
    "server/process/worker_metrics.py:WorkerMetrics._asked:contained": (
        "contains the answer to a sibling"
    ),
    "server/process/worker_metrics.py:WorkerMetrics._asked:create_task": "runs what is contained",
    "server/process/worker_metrics.py:WorkerMetrics.run:add_reader": (
        "a sibling's question is one byte and a socket; what it raises the loop notes"
    ),
    "server/process/worker_metrics.py:WorkerMetrics.scrape:add_done_callback": (
        "forgets the scrape that has ended"
    ),
    "server/process/worker_metrics.py:WorkerMetrics.scrape:create_task": (
        "a scrape; those who asked for it have what it raises"
    ),
    "server/websocket/asgi.py:AsgiWebSocket._read:contained": (
        "a loop over what one connection sent, each message contained"
    ),
}
"""Why nothing shared is at risk, of those that are not made to raise here."""
PLACES = {place: name for name, found in _PLACES.items() for place in found}


def test_every_place_has_an_injection_or_a_reason() -> None:
    found, named = places(), {*PLACES, *_REASONS}
    assert sorted(found - named) == [], "inject a fault there, or say why nothing shared is at risk"
    assert sorted(named - found) == [], "there is no such place any more"
    assert not PLACES.keys() & _REASONS.keys()
    assert set(PLACES.values()) <= {*INJECTIONS, CALLBACK}


@pytest.mark.parametrize("name", INJECTIONS)
def test_an_injected_fault_disturbs_no_other_client(name: str) -> None:
    with structlog.testing.capture_logs():  # which renders no tracebacks
        asyncio.run(injected(name))


def test_a_callback_that_raises_ends_only_its_own_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each fault in turn, on one node: what a fault leaves behind must not disturb the next turn
    either.
    """
    failing = Failing(monkeypatch)

    async def main() -> None:
        limits = {"head_seconds": 0.3, "keep_alive_seconds": 0.3, "body_seconds": 0.5}
        async with asyncio.timeout(PATIENCE * 3), world(limits, 25) as there:
            await there.undisturbed()
            for place in _PLACES[CALLBACK]:
                counted = there.app.hub.faults.counts.total()
                await failing.once(place, lambda: everything(there))
                await there.undisturbed()
                assert there.app.hub.faults.counts.total() > counted, place

    with structlog.testing.capture_logs():
        asyncio.run(main())


class Failing:
    """Makes what one place of the code schedules raise instead, until something has raised (a timer
    may be cancelled).
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._place = ""
        self._fired = asyncio.Event()
        for owner, name, when in (
            (asyncio.BaseEventLoop, "call_soon", 0),
            (asyncio.BaseEventLoop, "call_later", 1),
            (FairQueue, "later", 0),
        ):
            monkeypatch.setattr(owner, name, self._wrapped(getattr(owner, name), name, when))

    async def once(self, place: str, provoke: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Repeat the provocation until it has raised."""
        self._place = place
        self._fired.clear()
        doing = asyncio.get_running_loop().create_task(provoke())
        try:
            async with asyncio.timeout(PATIENCE / 3):
                await self._fired.wait()
        except TimeoutError:
            pytest.fail(f"{place} was not reached")
        finally:
            doing.cancel()
            await asyncio.wait([doing])

    def _wrapped(self, original: Callable[..., Any], name: str, when: int) -> Callable[..., Any]:
        def schedule(owner: Any, *arguments: Any, **named: Any) -> Any:
            if self._place and place_of(sys._getframe(1), name) == self._place:
                before = (0,) if when else ()
                return original(owner, *before, self._fail)
            return original(owner, *arguments, **named)

        return schedule

    def _fail(self) -> None:
        self._place = ""
        self._fired.set()
        raise Fault


def place_of(frame: FrameType, call: str) -> str:
    """The name of a place, as in tests/harness/inventory.py."""
    file = Path(frame.f_code.co_filename)
    if not file.is_relative_to(SOURCE):
        return ""
    return f"{file.relative_to(SOURCE)}:{frame.f_code.co_qualname.replace('<locals>.', '')}:{call}"
