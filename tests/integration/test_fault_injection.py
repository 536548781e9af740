"""A fault is injected wherever something shared calls what belongs to one connection, and nobody else notices.

The places come from the code's syntax (tests/inventory.py): one that PLACES does not name fails a test. `make injections` is the
long form, beside a thousand clients; RESULTS.md says what came of it.
"""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import structlog

from eventhub.server.turns import Turns
from tests.integration.everything import everything
from tests.integration.injections import INJECTIONS, PATIENCE, Fault, injected, world
from tests.inventory import SOURCE, places

CALLBACK = "raises below, in the loop, while clients do everything that they can"
_PLACES: dict[str, list[str]] = {
    "idle": [
        "server/idle.py:IdleConnections._close:retire",
        "server/idle.py:IdleConnections._look:call_soon",
        "server/idle.py:IdleConnections._set_timer:call_at",
    ],
    "last call": [
        "server/server.py:Server._drain:_last_call",
    ],
    "request": [
        "server/http_protocol.py:HttpProtocol._run:create_task",
    ],
    CALLBACK: [
        "server/http_protocol.py:HttpProtocol._hold:later",
        "server/starts.py:Starts.start:later",
        "server/http_protocol.py:HttpProtocol._wait:call_later",
        "server/http_protocol.py:HttpProtocol.connection_made:call_later",
        "server/http_protocol.py:HttpProtocol.last_call:call_later",
        "server/http_protocol.py:HttpProtocol.on_message_begin:call_later",
        "server/ingest.py:Ingest.fail:call_later",
        "server/joining.py:Joining.close:call_later",
        "server/joining.py:Joining.write:call_soon",
        "server/refusal.py:Refusal.__init__:call_later",
        "server/stream.py:Stream._probe:call_later",
        "server/wire.py:WebSocketProtocol._close:call_later",
        "server/wire.py:WebSocketProtocol._linger:call_later",
    ],
    "history": [
        "brokers/sqlite/broker.py:SqliteBroker.history:run_in_executor",
        "reads.py:Reads._read:_lose",
        "reads.py:Reads.ask:_spawn",
    ],
    "started": [
        "endings.py:Endings._end:_note",
        "endings.py:Endings._go_on:_end",
        "endings.py:Endings._go_on:_soon",
        "endings.py:Endings.add:_soon",
    ],
    "write": [
        "fanout.py:Fanout._report:broke",
        "fanout.py:Fanout.settle:write",
        "hub.py:Hub._flush:call_soon",
        "hub.py:Hub.dirty:call_soon",
        "writes.py:write_all_plainly:write",
    ],
    "feed": [
        "feed.py:Feed._mend:_serve",
        "feed.py:Feed._pass_over:fail",
    ],
    "page": [
        "hub.py:Hub._make_whole:call_later",
        "hub.py:Hub._mend:call_later",
        "reads.py:Reads._keep:call_later",
        "reads.py:Reads._read:_give",
        "reads.py:Reads.ask:call_soon",
    ],
    "announcements": [
        "hub.py:Hub._settle:spawn",
    ],
    "operator": [
        "hub.py:Hub._soon:call_soon",
        "server/gateway.py:Gateway.cut_off:contain",
        "server/visits.py:Visits.end:_fail",
    ],
    "presence": [
        "hub.py:Hub.run:create_task",
        "nodes.py:Nodes.attend:_note",
    ],
    "renewal": [
        "hub.py:Hub.spawn:add_done_callback",
        "hub.py:Hub.spawn:create_task",
        "server/assembly.py:Assembly._hear:spawn",
    ],
    "watcher": [
        "nodes.py:Nodes.hear:_note",
        "watchers.py:Watchers._tell_crowd:_write",
        "watchers.py:Watchers._tell_each:_write",
        "watchers.py:Watchers._write:write_all",
        "watchers.py:Watchers.drained:_call",
        "watchers.py:Watchers.tell:_call",
    ],
    "rates": [
        "server/app.py:Application._lifespan:create_task",
        "server/rates.py:Rates.run:tell",
    ],
    "first message": [
        "server/deadlines.py:Deadlines._expire:call_soon",
        "server/deadlines.py:Deadlines._expire:contain",
        "server/deadlines.py:Deadlines.set:call_at",
        "server/visits.py:Visits._set:deadlines.after",
        "server/websocket.py:WebSocketShell._read:deadlines.after",
        "server/wire.py:WebSocketProtocol._shake_hands:deadlines.after",
    ],
    "goodbye": [
        "server/farewell.py:in_turn:tell",
        "server/farewell.py:together:tell",
        "server/gateway.py:Gateway.opened:call_soon",
    ],
    "heartbeat": [
        "server/gateway.py:Gateway.beat:contained",
    ],
    "buffered": [
        "server/gateway.py:Gateway.readings:buffered",
    ],
    "readings": [
        "server/machine.py:Machine.readings:to_thread",
    ],
    "stream": [
        "server/race.py:race:create_task",
        "server/outbox.py:Outbox._next:call_soon",
        "server/outbox.py:Outbox.close:call_later",
        "server/outbox.py:Outbox.write:call_soon",
    ],
    "published": [
        "server/submissions.py:Submissions.add:spawn",
    ],
    "pace": [
        "server/turns.py:Turns._come_back:call_soon",
        "server/turns.py:Turns._go_on:call_soon",
        "server/turns.py:Turns._pass:call_soon",
        "server/turns.py:Turns.another:later",
        "server/wire.py:WebSocketProtocol._hold:call_later",
        "server/wire.py:WebSocketProtocol._paused:later",
        "server/wire.py:WebSocketProtocol._wait_for_turn:later",
    ],
    "decided": [
        "server/visits.py:Visits.renew:_spawn",
    ],
    "message in parts": [
        "server/wire.py:WebSocketProtocol._begin_or_end:deadlines.after",
        "server/wire.py:WebSocketProtocol._message_is_due:deadlines.set",
    ],
    "handshake with keys": [
        "server/wire.py:WebSocketProtocol._shake_hands:spawn",
    ],
    "closed": [
        "server/wire.py:WebSocketProtocol.connection_lost:contain",
    ],
    "congested": [
        "server/wire.py:WebSocketProtocol.pause_writing:call_soon",
        "server/wire.py:WebSocketProtocol.resume_writing:call_soon",
    ],
}
_REASONS = {
    "arrays.py:_scan:_end": "one body's bytes: what it raises, the request that sent them is answered",
    "arrays.py:pieces:_end": "one body's bytes: what it raises, the request that sent them is answered",
    "brokers/nats/broker.py:NatsBroker.run:_serve": "a fault costs this connection to the server (test_nats_link.py)",
    "brokers/nats/keys.py:Keys.claim:_write": "one publish tries again; its caller has what it raises",
    "brokers/nats/link.py:Link.open:add_done_callback": "sets an event, and reads what ended a loop of the client library",
    "brokers/nats/session.py:Session.reopen:create_task": "one channel's log each; what it raises is logged, and the others are opened",
    "brokers/redis/broker.py:RedisBroker._shard:create_task": "a shard's own loops, each of which is begun again (Shard._keep)",
    "brokers/redis/broker.py:RedisBroker._refresh:_keep": "a channel that cannot be kept raises in contract/test_unwritable.py",
    "brokers/redis/broker.py:RedisBroker.run:create_task": "reads the topology again, whatever it was answered (test_redis.py)",
    "brokers/redis/link.py:Link.data_received:_give": "contains what whoever waits makes of an answer",
    "brokers/redis/link.py:Link.write:call_soon": "writes bytes that are packed already",
    "brokers/redis/publisher.py:Publisher._again:call_later": "`_wake`, which appends to a list",
    "brokers/redis/publisher.py:Publisher._send_due:_send": "an event that cannot be written down raises in contract/test_unwritable.py",
    "brokers/redis/publisher.py:Publisher._wake:call_soon": "an event that cannot be written down raises in contract/test_unwritable.py",
    "brokers/redis/shard.py:Shard._proves:create_task": "a question to the server; its one caller awaits it",
    "brokers/redis/shard.py:Shard._subscribe:write": "bytes of a channel's name, which is checked where it comes in",
    "brokers/redis/shard.py:Shard.run:create_task": "`_keep` begins each loop again, whatever it raised",
    "brokers/redis/values.py:announce:deliver": "records that cannot be read: test_unreadable.py, and contract/test_unreadable.py",
    "brokers/sqlite/broker.py:SqliteBroker.run:run_in_executor": (
        "the writer's own thread; each publish that raises there fails alone (contract/test_unwritable.py)"
    ),
    "brokers/sqlite/writer.py:Writer._publish:_call": "each publish that raises fails alone (contract/test_unwritable.py)",
    "brokers/sqlite/writer.py:Writer._recover:_call": "hands over names of channels",
    "brokers/sqlite/writer.py:Writer._refuse:_call": "hands over an error",
    "brokers/sqlite/writer.py:Writer._subscribe:_call": "hands over a position",
    "server/admin.py:Admin._tell:tell": "rows that were checked where they came in; its loop is begun again (Faults.kept)",
    "server/app.py:Application._lifespan:set_exception_handler": "counts and logs, and suppresses what that raises",
    "server/app.py:_beat:beat": "a signal to the supervisor; its loop is begun again (Faults.kept)",
    "server/certificates.py:Certificates.run:to_thread": "reads files; its loop is begun again (Faults.kept)",
    "server/gateway.py:Gateway.end_session:later": "contains what it goes on with",
    "server/http_protocol.py:HttpProtocol._answered:call_later": "the transport's own `abort`",
    "server/http_protocol.py:HttpProtocol._answered:call_soon": "moves a connection from one place in a dictionary to another",
    "server/http_protocol.py:HttpProtocol._feed:_fail": (
        "a loop over what one connection sent; asyncio closes that one for what it raises"
    ),
    "server/http_protocol.py:HttpProtocol._run:add_done_callback": "`discard` of a set",
    "server/ingest.py:Ingest._read:_end": "a loop over one body; it sets two events",
    "server/ingest.py:Ingest._take_chunk:_end": "a loop over one body; it sets two events",
    "server/server.py:Server.handle_exit:call_soon_threadsafe": "the second signal, which ends the process on purpose",
    "server/server.py:Server.startup:add_reader": "the supervisor is gone, which ends the process on purpose",
    "server/siblings.py:Siblings._asked:contained": "contains the answer to a sibling",
    "server/siblings.py:Siblings._asked:create_task": "runs what is contained",
    "server/siblings.py:Siblings.run:add_reader": "a sibling's question is one byte and a socket; what it raises the loop notes",
    "server/siblings.py:Siblings.scrape:add_done_callback": "forgets the scrape that has ended",
    "server/siblings.py:Siblings.scrape:create_task": "a scrape; those who asked for it have what it raises",
    "server/websocket.py:WebSocketShell._read:contained": "a loop over what one connection sent, each message contained",
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
def test_nobody_else_notices(name: str) -> None:
    with structlog.testing.capture_logs():  # which renders no tracebacks
        asyncio.run(injected(name))


def test_a_callback_that_raises_costs_its_own_connection_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each in turn, on one node: whatever a fault left behind disturbs nobody in the next turn either."""
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
    """Has what one place of the code schedules raise in its stead, and soon, until something has (a timer may be cancelled)."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._place = ""
        self._fired = asyncio.Event()
        for owner, name, when in (
            (asyncio.BaseEventLoop, "call_soon", 0),
            (asyncio.BaseEventLoop, "call_later", 1),
            (Turns, "later", 0),
        ):
            monkeypatch.setattr(owner, name, self._wrapped(getattr(owner, name), name, when))

    async def once(self, place: str, provoke: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Provoke until it has raised."""
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
    """As tests/inventory.py names it."""
    file = Path(frame.f_code.co_filename)
    if not file.is_relative_to(SOURCE):
        return ""
    return f"{file.relative_to(SOURCE)}:{frame.f_code.co_qualname.replace('<locals>.', '')}:{call}"
