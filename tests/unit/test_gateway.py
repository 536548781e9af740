"""server/gateway.py: what a query string asks for, whose pages may connect, heartbeats and the goodbye to all."""

import asyncio
import resource
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventhub.auth.blocks import Decision, Target
from eventhub.brokers.memory import MemoryBroker
from eventhub.channels import ChannelTypes
from eventhub.config import channel_types
from eventhub.encoding import LINES, Encoding
from eventhub.errors import EventHubError, InvalidRequest, InvalidSince, OriginNotAllowed, ShuttingDown, UnknownChannel
from eventhub.event import Age, Earliest, Last, Latest, Position, Since
from eventhub.feed import Start, Subscriber
from eventhub.hub import Hub
from eventhub.metrics import Metrics
from eventhub.server import gateway as gateway_module
from eventhub.server.gateway import READ_SLICE, SWEEP_SLICE, TRANSPORTS, Gateway, Wanted, too_large
from eventhub.server.guard import Guard
from eventhub.session import Session, SessionLimits
from eventhub.settings import LimitSettings, Settings, ShutdownSettings
from tests.builders import Guest

thorough = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def build(**fields: Any) -> Gateway:
    """A gateway over a real hub, on default settings but for `fields`."""
    configured = Settings(**fields)
    types = channel_types(configured, Path())
    metrics = Metrics(kind.name for kind in types)
    hub = Hub(types, MemoryBroker(lambda channel: types.resolve(channel).retention, Hub.now), metrics)
    return Gateway(configured, hub, Guard(configured.auth, Path(), Hub.now))


def test_whatever_is_wrong_with_a_decision_the_desk_goes_on_repeating() -> None:
    admin = build().admin
    admin._blocks.merge([Decision(Target("key", "ana"), 0, 10**300, blocked=True)])  # no JSON can be made of it
    asyncio.run(admin._repeat({"n2"}))


class Noted:
    """The hub as sessions see it, noting what each subscription asks for."""

    def __init__(self) -> None:
        self.types: ChannelTypes = build().hub.types
        self.asked: list[tuple[str, Since, str]] = []

    def subscribe(self, subscriber: Subscriber) -> None:
        self.types.resolve(subscriber.channel)
        self.asked.append((subscriber.channel, subscriber.since, subscriber.member))
        assert subscriber.started is not None
        subscriber.started(subscriber, Start(Position("a", 0), Position("a", 0), recovered=True))

    def unsubscribe(self, subscriber: Subscriber) -> None: ...

    def watch(self, subscriber: Subscriber) -> dict[str, Any]:
        return {}

    def congested(self, subscriber: Subscriber) -> None: ...

    def drained(self, subscriber: Subscriber) -> None: ...

    def refused(self, error: EventHubError) -> None: ...

    def rejected(self, channel: str, error: EventHubError) -> None: ...

    def now(self) -> int:
        return 0


class Nowhere:
    """A writer to nobody."""

    encoding: Encoding = LINES
    full = False

    def write(self, data: bytes) -> None: ...

    def fail(self, error: EventHubError) -> None: ...


def asked(query: bytes, channel: str | None = None, last_event_id: str | None = None) -> list[tuple[str, Since, str]]:
    """Channel, since and member of each subscription, "" for the session's own id."""
    noted = Noted()
    session = Session(noted, Nowhere(), SessionLimits(1000, 5, 25.0, 10), lambda ref, event: None, Guest())
    Wanted(query, channel, last_event_id).subscribe(session)
    return [(name, since, "" if member == session.id else member) for name, since, member in noted.asked]


# Query strings


def test_an_empty_query_asks_for_nothing() -> None:
    assert asked(b"") == asked(b"&&") == []
    assert Wanted(b"").positions() == {}


def test_channels_are_repeated_and_keep_their_order() -> None:
    assert asked(b"channel=logs.b&channel=chat.a") == [("logs.b", Latest(), ""), ("chat.a", Latest(), "")]


@pytest.mark.parametrize(
    ("since", "parsed"),
    [
        ("latest", Latest()),
        ("earliest", Earliest()),
        ("-20", Last(20)),
        ("10m", Age(600_000)),
        ("k3x9-41", Position("k3x9", 41)),
        ("chat@k3x9-41", Position("k3x9", 41)),
    ],
)
@pytest.mark.parametrize("encode", [str, quote], ids=["plain", "percent-encoded"])
def test_every_form_of_since(since: str, parsed: Since, encode: Callable[[str], str]) -> None:
    text = encode(since)
    assert asked(f"channel=chat&since={text}".encode()) == [("chat", parsed, "")]
    assert asked(f"since={text}".encode(), channel="chat") == [("chat", parsed, "")]
    assert asked(b"since=-1", channel="chat", last_event_id=since) == [("chat", parsed, "")], "Last-Event-ID takes precedence"


def test_one_since_holds_for_all_channels_and_a_cursor_for_each_its_own() -> None:
    assert asked(b"channel=chat&channel=logs&since=-5") == [("chat", Last(5), ""), ("logs", Last(5), "")]
    cursor = b"since=chat@k3x9-41,logs@k3x9-7&channel=logs&channel=chat&channel=iot"
    assert asked(cursor) == [("logs", Position("k3x9", 7), ""), ("chat", Position("k3x9", 41), ""), ("iot", Latest(), "")]


def test_a_cursor_may_not_name_strangers_unless_a_browser_sent_it_by_itself() -> None:
    with pytest.raises(InvalidSince, match=r"'logs\.a'"):
        asked(b"since=logs.a@k3x9-7,chat@k3x9-41", channel="chat")
    assert asked(b"", channel="chat", last_event_id="logs.a@k3x9-7,chat@k3x9-41") == [("chat", Position("k3x9", 41), "")]
    assert asked(b"", channel="chat", last_event_id="logs.a@k3x9-7") == [("chat", Latest(), "")]


def test_an_empty_last_event_id_is_none() -> None:
    assert asked(b"since=-1", channel="chat", last_event_id="") == [("chat", Last(1), "")]
    assert asked(b"", channel="chat", last_event_id=None) == [("chat", Latest(), "")]


@pytest.mark.parametrize("query", [b"since=-1&since=-2", b"member=a&member=b"])
def test_a_repeated_since_or_member_is_refused(query: bytes) -> None:
    with pytest.raises(InvalidRequest, match="more than once"):
        asked(query, channel="chat")


def test_the_member_is_for_every_subscription() -> None:
    assert asked(b"channel=chat.a&channel=chat.b&member=ana%20%C3%A9") == [("chat.a", Latest(), "ana é"), ("chat.b", Latest(), "ana é")]
    assert asked(b"channel=chat&member=" + b"x" * 64) == [("chat", Latest(), "x" * 64)]


def test_the_positions_asked_for_are_known_by_channel() -> None:
    assert Wanted(b"channel=a&channel=b&channel=c&since=a@k3x9-1,b@k3x9-0").positions() == {"a": "k3x9-1", "b": "k3x9-0"}
    assert Wanted(b"channel=a&since=k3x9-1").positions() == {"a": "k3x9-1"}
    assert Wanted(b"channel=a&since=-20").positions() == {}


@pytest.mark.parametrize("query", [b"x=1", b"Channel=chat", b"channel=chat&limit=5", b"last-event-id=a-1", b"%00=1", b"=1", b"a" * 1000])
def test_an_unknown_parameter_is_refused_and_the_known_ones_are_named(query: bytes) -> None:
    with pytest.raises(InvalidRequest, match="expected channel, since, member") as caught:
        Wanted(query)
    assert len(caught.value.message) < 200


def test_a_channel_in_the_path_is_the_only_one() -> None:
    with pytest.raises(InvalidRequest, match="unknown query parameter 'channel'; expected since, member"):
        Wanted(b"channel=logs", channel="chat")


@pytest.mark.parametrize("member", [b"", b"x" * 65, b"%C3%A9" * 65])
def test_a_member_of_no_or_too_many_characters_is_refused(member: bytes) -> None:
    with pytest.raises(InvalidRequest, match="expected 1 to 64"):
        Wanted(b"member=" + member)


@pytest.mark.parametrize("query", [b"\xff", "channel=é".encode(), b"since=%ff", b"channel=%ed%a0%80", b"%c0%af=1"])
def test_a_query_that_is_not_percent_encoded_utf_8_is_refused(query: bytes) -> None:
    with pytest.raises(InvalidRequest, match="percent-encoded UTF-8"):
        Wanted(query)


def test_parameters_without_number_are_refused() -> None:
    with pytest.raises(InvalidRequest):
        Wanted(b"&".join([b"channel=a"] * 10_001))


@pytest.mark.parametrize("since", [b"", b"x", b"@", b"chat@", b"chat@k3x9-1,logs", b"-0", b"10", b"chat@k3x9-01"])
def test_a_malformed_since_is_refused(since: bytes) -> None:
    with pytest.raises(InvalidSince):
        asked(b"channel=chat&since=" + since)


def test_a_malformed_since_is_refused_even_when_no_channel_is_asked_for() -> None:
    with pytest.raises(InvalidSince):
        asked(b"since=nonsense")


def test_an_unknown_channel_is_refused_by_the_hub() -> None:
    with pytest.raises(UnknownChannel):
        asked(b"channel=zzz")


def test_a_channel_named_twice_and_one_too_many_are_refused() -> None:
    many = b"&".join(b"channel=chat.%d" % n for n in range(6))
    for query, code in ((b"channel=chat&channel=chat", "already_subscribed"), (many, "too_many_subscriptions")):
        with pytest.raises(EventHubError) as caught:
            asked(query)
        assert caught.value.code == code


@thorough
@given(st.binary(max_size=60), st.none() | st.text(max_size=20))
def test_any_query_is_understood_or_refused(query: bytes, last_event_id: str | None) -> None:
    with suppress(EventHubError):
        asked(query, "chat", last_event_id)
    with suppress(EventHubError):
        asked(b"channel=chat&since=" + query)


# Origins


def headers(origin: bytes | None, host: bytes | None = b"hub.example:8000") -> dict[bytes, bytes]:
    return {name: value for name, value in ((b"origin", origin), (b"host", host)) if value is not None}


@pytest.mark.parametrize(
    ("origin", "host"),
    [(None, b"hub.example:8000"), (None, None), (b"http://hub.example:8000", b"hub.example:8000"), (b"https://hub.example", b"hub.example"),
     (b"http://[::1]:8000", b"[::1]:8000"), (b"http://127.0.0.1:8000", b"127.0.0.1:8000")],
)  # fmt: skip
def test_pages_of_this_host_and_clients_that_are_no_pages_may_connect(origin: bytes | None, host: bytes | None) -> None:
    build().check_origin(headers(origin, host))


FOREIGN = [
    b"http://evil.example", b"http://hub.example:8001", b"http://hub.example", b"http://hub.example:8000.evil.example", b"null", b"", b"file://",
    b"hub.example:8000", b"http://evil.example/hub.example:8000", b"http://user@hub.example:8000", b"\xff\xfe", b"*",
    b"http://hub.example:8000:8000", b"http://[::1", b"http://]", b"http://[hub.example:8000]", b"http://x" * 10_000,
]  # fmt: skip


@pytest.mark.parametrize("origin", FOREIGN, ids=lambda origin: repr(origin[:40]))
def test_any_other_page_is_refused_whatever_it_calls_its_origin(origin: bytes) -> None:
    with pytest.raises(OriginNotAllowed) as caught:
        build().check_origin(headers(origin))
    assert len(caught.value.message) < 400


@pytest.mark.parametrize("origin", [b"null", b"", b"http://evil.example"])
@pytest.mark.parametrize("host", [None, b""])
def test_without_a_host_no_page_is_of_this_host(origin: bytes, host: bytes | None) -> None:
    with pytest.raises(OriginNotAllowed):
        build().check_origin(headers(origin, host))


def test_configured_origins_may_connect_and_no_others() -> None:
    gateway = build(origins=["https://app.example", "null"])
    gateway.check_origin(headers(b"https://app.example"))
    gateway.check_origin(headers(b"null"))
    for origin in (b"http://app.example", b"https://app.example.evil", b"https://app.example/", b"*"):
        with pytest.raises(OriginNotAllowed):
            gateway.check_origin(headers(origin))


def fetched(site: bytes, dest: bytes = b"image") -> dict[bytes, bytes]:
    return {**headers(None), b"sec-fetch-site": site, b"sec-fetch-dest": dest}


@pytest.mark.parametrize("site", [b"cross-site", b"same-site"])
def test_a_page_elsewhere_that_embeds_a_stream_is_refused_although_browsers_name_no_origin_then(site: bytes) -> None:
    with pytest.raises(OriginNotAllowed):
        build(origins=["https://app.example"]).check_origin(fetched(site))
    build(origins=["*"]).check_origin(fetched(site))


def test_a_person_may_follow_a_link_to_a_stream_and_own_pages_may_embed_it() -> None:
    build().check_origin(fetched(b"cross-site", b"document"))
    build().check_origin(fetched(b"same-origin"))
    build().check_origin(fetched(b"none", b"document"))


def test_a_star_is_for_all() -> None:
    for origin in (b"http://evil.example", b"null", b"\xff"):
        build(origins=["*"]).check_origin(headers(origin))


# Connections


class Open:
    """An open connection that notes what it is told."""

    why = "told to"

    def __init__(self, gateway: Gateway, transport: str = "websocket", size: int = 0, on_beat: Callable[[], None] | None = None) -> None:
        self.transport = transport
        self.size = size
        self.beats = 0
        self.goodbyes: list[ShuttingDown] = []
        self.on_beat = on_beat
        self.gateway = gateway
        self.leaves = True
        self.told = asyncio.Event()
        self.aborted = False
        gateway.opened(self, gateway.visits.enter(gateway.guard.nobody, "192.0.2.1"))

    def fail(self, error: EventHubError) -> None:
        self.failed = error

    def abort(self) -> None:
        self.aborted = True

    def buffered(self) -> int:
        return self.size

    def beat(self) -> None:
        self.beats += 1
        if self.on_beat is not None:
            self.on_beat()

    def goodbye(self, error: ShuttingDown) -> None:
        self.goodbyes.append(error)
        self.told.set()
        if self.leaves:
            self.gateway.closed(self)


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(20):
            await scenario()

    asyncio.run(main())


Values = dict[tuple[str, ...], float]


async def read(gateway: Gateway) -> dict[str, Values]:
    """Values by label values, by name."""
    return {name: dict(values) async for name, _, values, _ in gateway.readings()}


def test_connections_and_bytes_are_counted_by_transport_zero_included() -> None:
    gateway = build()
    Open(gateway, "websocket", 10)
    Open(gateway, "websocket", 5)
    gone = Open(gateway, "sse", 7)
    Open(gateway, "ndjson", 1)
    gateway.closed(gone)
    gateway.closed(gone)
    found = asyncio.run(read(gateway))
    assert found["eventhub_connections"] == {("websocket",): 2, ("sse",): 0, ("ndjson",): 1, ("producer",): 0}
    assert found["eventhub_connections_opened_total"] == {("websocket",): 2, ("sse",): 1, ("ndjson",): 1, ("producer",): 0}
    assert found["eventhub_buffered_bytes"] == {("websocket",): 15, ("sse",): 0, ("ndjson",): 1, ("producer",): 0}
    assert TRANSPORTS == ("websocket", "sse", "ndjson", "producer")


def test_the_limit_of_connections_is_the_one_that_holds() -> None:
    assert asyncio.run(read(build(limits=LimitSettings(connections=100))))["eventhub_connections_limit"] == {(): 100}
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    most = asyncio.run(read(build(limits=LimitSettings(connections=10**9))))["eventhub_connections_limit"][()]
    assert files * 3 / 4 <= most < files


def test_readiness_is_what_readyz_says() -> None:
    gateway = build()

    async def scenario() -> None:
        assert (await read(gateway))["eventhub_ready"] == {(): False}, "the hub does not run"
        running = asyncio.create_task(gateway.hub.run())
        await gateway.hub.started.wait()
        assert (await read(gateway))["eventhub_ready"] == {(): True}
        await gateway.drain()
        assert (await read(gateway))["eventhub_ready"] == {(): False}
        running.cancel()
        await asyncio.wait([running])

    run(scenario)


def test_a_scrape_looks_at_so_many_connections_a_turn() -> None:
    gateway = build()
    turn = 0
    looks: list[int] = []

    class Counted(Open):
        def buffered(self) -> int:
            looks.append(turn)
            return 1

    for _ in range(2 * READ_SLICE + 1):
        Counted(gateway, "websocket")

    async def scenario() -> None:
        nonlocal turn
        reading = asyncio.create_task(read(gateway))
        while not reading.done():
            await asyncio.sleep(0)
            turn += 1
        assert reading.result()["eventhub_buffered_bytes"]["websocket",] == 2 * READ_SLICE + 1

    run(scenario)
    assert list(Counter(looks).values()) == [READ_SLICE, READ_SLICE, 1]


def test_sessions_get_the_configured_limits_and_the_hub() -> None:
    gateway = build(limits=LimitSettings(event_bytes=200, subscriptions=7, depth=9), heartbeat=3)
    assert gateway.session_limits == SessionLimits(message_bytes=200, subscriptions=7, heartbeat=3, depth=9)
    written: list[bytes] = []

    class Writer(Nowhere):
        def write(self, data: bytes) -> None:
            written.append(data)

    session = gateway.session(Writer(), lambda ref, event: None, gateway.visits.enter(gateway.guard.nobody, ""))
    session.receive(b'{"type":"subscribe","channel":"zzz"}')
    assert b'"unknown_channel"' in written[0]


def test_every_connection_is_beaten_once_a_heartbeat_but_for_those_that_left() -> None:
    async def scenario() -> None:
        gateway = build(heartbeat=0.05)
        again = asyncio.Event()
        first = Open(gateway, on_beat=lambda: again.set() if first.beats == 3 else None)
        others = [Open(gateway) for _ in range(2 * SWEEP_SLICE)]
        leaver = Open(gateway)
        others[0].on_beat = lambda: gateway.closed(leaver)
        beating = asyncio.create_task(gateway.beat())
        await again.wait()
        beating.cancel()
        slice_of_first, others = others[: SWEEP_SLICE - 1], others[SWEEP_SLICE - 1 :]
        assert {connection.beats for connection in slice_of_first} == {3}
        assert {connection.beats for connection in others} == {2}, "the third round has only begun"
        assert leaver.beats == 0, "it left in the round's first slice"

    run(scenario)


def test_heartbeats_go_on_without_connections_and_reach_those_that_come() -> None:
    async def scenario() -> None:
        gateway = build(heartbeat=0.05)
        beating = asyncio.create_task(gateway.beat())
        await asyncio.sleep(0)
        reached = asyncio.Event()
        Open(gateway, on_beat=reached.set)
        await reached.wait()
        beating.cancel()

    run(scenario)


def test_draining_says_goodbye_to_all_each_with_a_moment_of_its_own() -> None:
    async def scenario() -> None:
        gateway = build(shutdown=ShutdownSettings(grace=10, reconnect_within=4))
        connections = [Open(gateway) for _ in range(SWEEP_SLICE + 10)]
        await gateway.drain()
        assert gateway.hub.draining
        assert all(len(connection.goodbyes) == 1 for connection in connections)
        moments = [error.retry_after for connection in connections for error in connection.goodbyes]
        assert all(0 < moment <= 4 for moment in moments)
        assert max(Counter(moments).values()) == 1
        assert {error.code for connection in connections for error in connection.goodbyes} == {"shutting_down"}

    run(scenario)


def test_draining_takes_nobody_new_and_serves_on_until_it_is_closed() -> None:
    async def scenario() -> None:
        gateway = build(shutdown=ShutdownSettings(reconnect_within=4))
        await gateway.drain()
        with pytest.raises(ShuttingDown) as caught:
            Open(gateway)
        assert 0 < caught.value.retry_after <= 4
        assert not gateway.hub.closing
        gateway.close()
        assert gateway.hub.closing

    run(scenario)


def test_a_node_that_can_serve_nobody_any_more_sends_all_away_at_once() -> None:
    async def scenario() -> None:
        gateway = build(shutdown=ShutdownSettings(spread=3600))
        gateway.hub.ended = True
        connections = [Open(gateway) for _ in range(5000)]
        await gateway.drain()
        assert all(connection.goodbyes for connection in connections)

    run(scenario)


def test_whose_connection_ends_before_its_turn_is_not_told() -> None:
    async def scenario() -> None:
        gateway = build(shutdown=ShutdownSettings(spread=0.2))
        connections = [Open(gateway) for _ in range(30)]
        draining = asyncio.create_task(gateway.drain())
        await asyncio.sleep(0)
        left = [connection for connection in connections if not connection.goodbyes][:5]
        for connection in left:
            gateway.closed(connection)
        await draining
        assert len(left) == 5
        assert not any(connection.goodbyes for connection in left)
        assert sum(len(connection.goodbyes) for connection in connections) == 25

    run(scenario)


def test_a_goodbye_that_fails_keeps_no_other_from_its_own() -> None:
    async def scenario() -> None:
        gateway = build(shutdown=ShutdownSettings(spread=0, grace=0.01))
        broken, other = Open(gateway), Open(gateway)
        broken.told = None  # type: ignore[assignment]  # telling it raises
        await gateway.drain()
        assert len(other.goodbyes) == 1
        assert broken.aborted

    run(scenario)


def test_draining_without_connections_is_done_at_once() -> None:
    async def scenario() -> None:
        gateway = build(shutdown=ShutdownSettings(grace=3600))
        await gateway.drain()
        assert gateway.hub.draining

    run(scenario)


def test_draining_waits_for_those_that_still_flush() -> None:
    async def scenario() -> None:
        gateway = build(shutdown=ShutdownSettings(grace=3600))
        slow = Open(gateway)
        slow.leaves = False
        draining = asyncio.create_task(gateway.drain())
        await slow.told.wait()
        assert not draining.done()
        gateway.closed(slow)
        await draining

    run(scenario)


def test_draining_ends_when_the_time_is_up() -> None:
    async def scenario() -> None:
        gateway = build(shutdown=ShutdownSettings(grace=0.01))
        stuck = Open(gateway)
        stuck.leaves = False
        await gateway.drain()
        assert len(stuck.goodbyes) == 1
        assert stuck.aborted, "who stays is cut off"

    run(scenario)


def test_what_is_too_large_names_the_limit() -> None:
    error = too_large("the message is larger", "event_bytes", 65536)
    assert error.code == "payload_too_large"
    assert error.message == "the message is larger; at most 65536 bytes are allowed (limits.event_bytes)"


def test_the_paths_are_those_of_the_protocol() -> None:
    assert (gateway_module.PATH, gateway_module.SUBPROTOCOL) == ("/v1/ws", "eventhub.v1")


def test_a_stream_that_broke_off_early_begins_with_the_other_channels_where_its_address_says() -> None:
    asked_for = asked(b"channel=chat&channel=logs&since=earliest", last_event_id="chat@k3x9-41")
    assert asked_for == [("chat", Position("k3x9", 41), ""), ("logs", Earliest(), "")]
