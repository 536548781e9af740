"""The Redis broker without a server: its URL, what is written and read, the connection, and how
publishes are grouped.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from eventhub.brokers.records import RecordReader
from eventhub.brokers.redis.codec import (
    DAY,
    SLOTS,
    KeyNames,
    announce,
    lifetimes,
    publish_arguments,
    read_page,
    slot,
)
from eventhub.brokers.redis.link import ErrorReply, LinkLost, RedisLink
from eventhub.brokers.redis.publisher import CALL_EVENTS, RedisPublisher
from eventhub.brokers.redis.shard import Shard, ShardSubscription
from eventhub.brokers.redis.url import Deployment, ServerAddress, parse
from eventhub.errors import (
    BrokerUnavailable,
    ConfigurationError,
    EventHubError,
    IdempotencyConflict,
)
from eventhub.events.channels import Retention
from eventhub.events.event import Event, NewEvent, Position, Receipt

# URLs


def test_the_forms_of_a_url() -> None:
    single = parse("redis://ana:p%40ss@[::1]:7000/3")
    assert (single.kind, single.addresses, single.login.db) == (
        Deployment.SINGLE,
        (ServerAddress("::1", 7000),),
        3,
    )
    assert (single.login.username, single.login.password, single.login.tls) == ("ana", "p@ss", None)
    sentinel = parse(
        "rediss+sentinel://:secret@h1,h2:9/mymaster/2?sentinel_password=other&ssl_cert_reqs=none"
    )
    assert (sentinel.kind, sentinel.addresses, sentinel.master) == (
        Deployment.SENTINEL,
        (ServerAddress("h1", 26379), ServerAddress("h2", 9)),
        "mymaster",
    )
    assert (sentinel.login.password, sentinel.login.db, sentinel.sentinel_login.password) == (
        "secret",
        2,
        "other",
    )
    assert sentinel.login.tls is not None
    assert parse("redis+cluster://a:1,b").addresses == (
        ServerAddress("a", 1),
        ServerAddress("b", 6379),
    )


@pytest.mark.parametrize(
    "url",
    [
        "http://:hush@h",
        "redis+magic://:hush@h",
        "redis://:hush@h1,h2",
        "redis://:hush@h:port",
        "redis://:hush@h/zero",
        "redis://:hush@h?retry=hush",
        "redis+sentinel://:hush@h",
        "redis+cluster://:hush@h/1",
        "rediss://:hush@h?ssl_ca_certs=/nowhere",
        "rediss://:hush@h?ssl_cert_reqs=perhaps",
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        parse(url)
    assert "hush" not in str(error.value)


def test_a_login_shows_no_password() -> None:
    assert "hush" not in repr(parse("redis://:hush@h?sentinel_password=hush"))


# Values


def test_slots_are_those_of_redis() -> None:
    assert (slot("123456789"), slot("chat.lobby")) == (
        12739,
        slot("chat.lobby"),
    )  # 0x31C3: the specification's own example


def test_everything_of_a_channel_is_in_its_slot() -> None:
    names = KeyNames("p", 0)
    named = (names.metadata("a.b"), names.log("a.b"), names.key("a.b", "k{x}"), names.topic("a.b"))
    assert {name[name.index("{") + 1 : name.index("}")] for name in named} == {"a.b"}


def test_all_channels_begin_with_one_epoch_and_in_a_cluster_with_that_of_their_slot() -> None:
    assert {KeyNames("p", 0).epoch(channel) for channel in ("a.b", "c.d")} == {"p:epoch"}
    names = KeyNames("p", 0, cluster=True)
    channels = [f"a.{number}" for number in range(500)]
    for channel in channels:
        key = names.epoch(channel)
        assert slot(key[key.index("{") + 1 : key.index("}")]) == slot(channel)
    assert (
        len({names.epoch(channel) for channel in channels})
        == len({slot(channel) for channel in channels})
        < SLOTS
    )


def test_metadata_outlive_the_log_and_what_is_kept_for_ever_never_expires() -> None:
    for age in (0, 1000, 10**9):
        log, metadata = lifetimes(Retention(10, age))
        assert age < log < metadata
        assert metadata > DAY
    assert lifetimes(Retention(10, None)) == (0, 0)
    assert lifetimes(Retention(0, None))[1] > 0


def test_an_announcement_is_as_many_events() -> None:
    events: list[Event] = []
    announce("c", b'abc 7 1000 50 16 51 4\n{"source":"s"}\n1\n"n"', events.append)
    assert events == [
        Event("c", "abc", 1000, 7, 50, b"1", {"source": "s"}),
        Event("c", "abc", 1001, 1000, 51, b'"n"', None),
    ]


def test_a_page_names_predecessors_across_a_jump() -> None:
    page = read_page(
        "c",
        [
            b"abc",
            1001,
            6,
            b"",
            b"7-50",
            b"\n1",
            b"",
            b"1000-51",
            b"\n2",
            b"7",
            b"1001-52",
            b"\n3",
            b"",
        ],
        RecordReader("redis"),
    )
    assert [(event.offset, event.previous, event.time) for event in page.events] == [
        (7, 6, 50),
        (1000, 7, 51),
        (1001, 1000, 52),
    ]
    assert (page.start, page.end, page.lost) == (Position("abc", 6), Position("abc", 1001), None)


def test_keys_are_declared_to_the_script() -> None:
    events = [NewEvent("c", b"1", 5, None, "k"), NewEvent("c", b"2", 6)]
    count, *rest = publish_arguments(
        KeyNames("p", 0), "c", events, Retention(3, None), 9, "PUBLISH"
    )
    assert (count, rest[4], rest[5:9]) == (5, "p:key:{c}:k", [9, 3, -1, 0])
    assert rest[-3:] == [6, b"\n2", ""]


# The connection


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.aborted = False

    def write(self, data: Any) -> None:
        self.written += data

    def abort(self) -> None:
        self.aborted = True


def on_a_link(scenario: Callable[[RedisLink, Wire, list[Any]], Awaitable[None]]) -> None:
    async def main() -> None:
        pushed: list[Any] = []
        link, wire = RedisLink(pushed.append), Wire()
        link.connection_made(wire)
        await scenario(link, wire, pushed)

    asyncio.run(main())


def test_commands_of_a_tick_are_written_together_and_answered_in_order() -> None:
    async def scenario(link: RedisLink, wire: Wire, pushed: list[Any]) -> None:
        calls = asyncio.gather(link.call("A"), link.call("B", 1), return_exceptions=True)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert wire.written == b"*1\r\n$1\r\nA\r\n*2\r\n$1\r\nB\r\n$1\r\n1\r\n"
        link.data_received(b"+one\r\n>2\r\n+hello\r\n:1\r\n-MOVED 12 ")
        link.data_received(b"10.0.0.1:7000\r\n")
        first, second = await calls
        assert (first, pushed) == (b"one", [[b"hello", 1]])
        assert isinstance(second, ErrorReply)
        assert (second.code, second.redirect) == ("MOVED", ServerAddress("10.0.0.1", 7000))

    on_a_link(scenario)


def test_what_was_not_answered_is_lost_with_the_connection() -> None:
    async def scenario(link: RedisLink, wire: Wire, pushed: list[Any]) -> None:
        call = asyncio.ensure_future(link.call("A"))
        await asyncio.sleep(0)
        link.connection_lost(None)
        for lost in (call, link.call("B")):
            with pytest.raises(LinkLost, match="closed"):
                await lost
        assert link.lost.done()

    on_a_link(scenario)


def test_an_answer_that_is_not_redis_ends_the_connection_and_one_that_nobody_can_take_costs_no_other() -> (
    None
):
    async def scenario(link: RedisLink, wire: Wire, pushed: list[Any]) -> None:
        link.data_received(b"HTTP/1.1 400 Bad Request\r\n")
        assert wire.aborted
        assert isinstance(link.lost.result(), LinkLost)
        broken = RedisLink(lambda push: int(push))  # type: ignore[call-overload]
        broken.connection_made(wire)
        replies: list[Any] = []
        for done in (replies.append, lambda reply: int([]), replies.append):  # type: ignore[call-overload]  # that is the point
            broken.send(b"", done)
        broken.data_received(b">1\r\n+x\r\n:1\r\n:2\r\n:3\r\n")
        assert replies == [1, 3]
        assert not broken.lost.done()

    on_a_link(scenario)


def test_an_error_that_answers_no_command_is_pushed() -> None:
    async def scenario(link: RedisLink, wire: Wire, pushed: list[Any]) -> None:
        link.data_received(b"-NOPERM not you, hush\r\n")
        assert pushed == [[b"refused", "NOPERM"]]

    on_a_link(scenario)


class Owner:
    """Nothing here moves."""

    def gap(self, channel: str) -> None:
        raise AssertionError(channel)

    def changed(self) -> None:
        raise AssertionError

    doubt = changed


def test_what_was_published_before_leaving_is_not_announced_after_coming_back() -> None:
    async def scenario(link: RedisLink, wire: Wire, heard: list[Any]) -> None:
        shard = Shard(
            ServerAddress("h", 1),
            parse("redis://h").login,
            KeyNames("p", 0),
            Owner(),
            node="n",
            sharded=False,
        )
        shard._listener = link
        taken: list[bytes] = []
        for _ in range(2):
            subscription = ShardSubscription("many.a", b"t", taken.append)
            shard.add([subscription])
            shard._pushed([b"subscribe", b"t", 1])
            if (
                not subscription.established.is_set()
            ):  # the second time: the answer to the first UNSUBSCRIBE is still to come
                shard._pushed([b"message", b"t", b"before"])
                shard._pushed([b"unsubscribe", b"t", 0])
                shard._pushed([b"subscribe", b"t", 1])
                shard._pushed([b"message", b"t", b"after"])
            else:
                shard.remove(subscription)
        assert taken == [b"after"]

    on_a_link(scenario)


# Publishing


class Server:
    """Takes script calls and answers when a test says so. A Router, and the Link it gives."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[NewEvent], Callable[[Any], None]]] = []
        self.up = True
        self.refusals: list[str] = []
        self._events: list[NewEvent] = []

    def link(self, channel: str, redirect: ServerAddress | None = None) -> Any:
        return self if self.up else None

    def refused(self, channel: str, error: ErrorReply) -> None:
        self.refusals.append(error.code)

    def arguments(self, channel: str, events: Sequence[NewEvent]) -> Sequence[str | bytes | int]:
        self._events = list(events)
        return []

    def trouble(self) -> str | None:
        return None if self.up else "away"

    def send(self, command: bytes, done: Callable[[Any], None]) -> None:
        self.calls.append((self._events, done))

    def answer(self, reply: Any) -> None:
        self.calls.pop(0)[1](reply)


Publish = Callable[..., "asyncio.Task[Sequence[Receipt | EventHubError]]"]


def publishing(
    scenario: Callable[[Server, RedisPublisher, Publish], Awaitable[None]], timeout: float = 5.0
) -> None:
    async def main() -> None:
        server = Server()
        publisher = RedisPublisher(server, timeout)

        def publish(
            *texts: str, channel: str = "c", key: str | None = None
        ) -> "asyncio.Task[Sequence[Receipt | EventHubError]]":
            return asyncio.create_task(
                publisher.publish(
                    [NewEvent(channel, text.encode(), 1, None, key) for text in texts]
                )
            )

        await scenario(server, publisher, publish)

    asyncio.run(main())


async def turns() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


def test_publishes_of_a_tick_share_a_call_and_those_that_come_meanwhile_the_next() -> None:
    async def scenario(server: Server, publisher: RedisPublisher, publish: Publish) -> None:
        tasks = [publish("1"), publish("2", "3"), publish("x", channel="d")]
        await turns()
        assert [[event.data for event in events] for events, _ in server.calls] == [
            [b"1", b"2", b"3"],
            [b"x"],
        ]
        tasks.append(publish("4"))
        await turns()
        assert len(server.calls) == 2, "one call of a channel at a time"
        server.answer([b"e", 1, 2, 3])
        assert [event.data for event in server.calls[1][0]] == [b"4"]
        server.answer([b"e", 1])
        server.answer([b"e", b"1 9"])
        results = await asyncio.gather(*tasks)
        assert results[1] == [Receipt(Position("e", 2), 1), Receipt(Position("e", 3), 1)]
        assert results[3] == [Receipt(Position("e", 1), 9, replayed=True)]

    publishing(scenario)


def test_a_call_has_a_bound_and_order_is_kept() -> None:
    async def scenario(server: Server, publisher: RedisPublisher, publish: Publish) -> None:
        task = publish(*map(str, range(CALL_EVENTS + 1)))
        await turns()
        assert [len(events) for events, _ in server.calls] == [CALL_EVENTS]
        server.answer([b"e", *range(CALL_EVENTS)])
        server.answer([b"e", b"7 conflict"])
        results = await task
        assert isinstance(results[-1], IdempotencyConflict)
        assert results[-1].id == "e-7"
        assert len(results) == CALL_EVENTS + 1

    publishing(scenario)


def test_what_a_server_refuses_for_now_is_sent_again_first() -> None:
    async def scenario(server: Server, publisher: RedisPublisher, publish: Publish) -> None:
        first = publish("1")
        await turns()
        second = publish("2")
        await turns()
        server.answer(ErrorReply("NOSCRIPT no such script"))
        assert [event.data for event in server.calls[0][0]] == [b"1", b"2"]
        server.answer([b"e", 1, 2])
        assert (await first, await second) == (
            [Receipt(Position("e", 1), 1)],
            [Receipt(Position("e", 2), 1)],
        )
        assert server.refusals == ["NOSCRIPT"]

    publishing(scenario)


def test_an_answer_that_is_lost_is_asked_for_again_only_where_there_is_a_key() -> None:
    async def scenario(server: Server, publisher: RedisPublisher, publish: Publish) -> None:
        plain, keyed = publish("1"), publish("2", key="k")
        await turns()
        server.answer(LinkLost("cut"))
        with pytest.raises(BrokerUnavailable, match=r"not known.*cut"):
            await plain
        assert [event.data for event in server.calls[0][0]] == [b"2"]
        server.answer([b"e", 1])
        assert len(await keyed) == 1

    publishing(scenario)


def test_what_could_not_be_sent_in_time_is_never_sent() -> None:
    async def scenario(server: Server, publisher: RedisPublisher, publish: Publish) -> None:
        server.up = False
        with pytest.raises(BrokerUnavailable, match="the event is not stored: away"):
            await publish("1")
        server.up = True
        publisher.wake()
        await turns()
        assert server.calls == []

    publishing(scenario, timeout=0.01)


def test_what_was_sent_and_not_answered_in_time_is_not_known() -> None:
    async def scenario(server: Server, publisher: RedisPublisher, publish: Publish) -> None:
        with pytest.raises(BrokerUnavailable, match="not known"):
            await publish("1")

    publishing(scenario, timeout=0.01)


def test_results_that_are_known_are_given_when_others_are_not() -> None:
    async def scenario(server: Server, publisher: RedisPublisher, publish: Publish) -> None:
        task = asyncio.create_task(
            publisher.publish([NewEvent("c", b"1", 1), NewEvent("d", b"2", 1)])
        )
        await turns()
        server.answer([b"e", 1])
        server.answer(ErrorReply("OOM command not allowed"))
        stored, refused = await task
        assert stored == Receipt(Position("e", 1), 1)
        assert isinstance(refused, BrokerUnavailable)
        assert "maxmemory" in refused.message

    publishing(scenario)


def test_a_cancelled_publish_is_withdrawn_and_disturbs_no_other() -> None:
    async def scenario(server: Server, publisher: RedisPublisher, publish: Publish) -> None:
        first = publish("1")
        await turns()
        gone, other = publish("2"), publish("3")
        await turns()
        gone.cancel()
        await turns()
        server.answer([b"e", 1])
        assert [event.data for event in server.calls[0][0]] == [b"3"]
        server.answer([b"e", 2])
        assert (len(await first), len(await other)) == (1, 1)

    publishing(scenario)


def test_too_much_that_waits_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eventhub.brokers.redis.publisher.WAITING_BYTES", 1000)

    async def scenario(server: Server, publisher: RedisPublisher, publish: Publish) -> None:
        first = publish("1" * 1000)
        await turns()
        with pytest.raises(BrokerUnavailable, match="wait for Redis already"):
            await publish("2")
        server.answer([b"e", 1])
        await first
        third = publish("3")
        await turns()
        server.answer([b"e", 2])
        assert len(await third) == 1

    publishing(scenario)
