"""server/security/publish_quota.py: what principals may publish, counted at several nodes."""

import asyncio

import orjson
import pytest

from eventhub.auth.grants import EVERYTHING
from eventhub.auth.principal import STRANGER, CredentialKind, Principal
from eventhub.brokers.base import OnMessage
from eventhub.errors import BrokerUnavailable, PayloadTooLarge, RateLimited
from eventhub.events.channel_types import ChannelType, PublisherKind, Retention, SlowReaderPolicy
from eventhub.events.schema import AnySchema
from eventhub.server.security import publish_quota as rates_module
from eventhub.server.security.publish_quota import OWED_SECONDS, Charge, PublishQuota
from tests.harness.eventually import in_turns
from tests.harness.loop import in_loop

ANA = Principal(CredentialKind.TOKEN, "ana", EVERYTHING)


def kind(name: str = "chat", rate: float | None = None) -> ChannelType:
    return ChannelType(
        name,
        "json",
        AnySchema(),
        Retention(10, None),
        presence=False,
        slow=SlowReaderPolicy.DROP,
        publish=frozenset(PublisherKind),
        rate=rate,
    )


class Network:
    """Nodes that hear one another when `tell` is called."""

    def __init__(self, count: int, default: float | None) -> None:
        self.now = 1_000_000
        self.others = {f"n{number}" for number in range(1, count)}
        self.listeners: list[OnMessage] = []
        self.sent: list[bytes] = []
        self.down = False
        self.rates = [PublishQuota(self, default, lambda: self.now) for _ in range(count)]

    def listen(self, topic: bytes, on_message: OnMessage) -> None:
        assert topic == b"rates"
        self.listeners.append(on_message)

    async def broadcast(self, topic: bytes, body: bytes) -> None:
        self.sent.append(body)
        if self.down:
            raise BrokerUnavailable("away")

    def pass_on(self) -> int:
        """Everyone tells all others; how many messages that took."""
        messages = [
            (number, message)
            for number, rates in enumerate(self.rates)
            for message in rates.messages()
        ]
        for sender, message in messages:
            for number, hear in enumerate(self.listeners):
                if number != sender:
                    hear(message)
        return len(messages)

    def charge_for(
        self,
        node: int = 0,
        who: Principal = ANA,
        address: str = "192.0.2.1",
        type_: ChannelType | None = None,
    ) -> Charge:
        charge_for = self.rates[node].charge_for(who, address, type_ or kind())
        assert charge_for is not None
        return charge_for

    def publish(self, node: int = 0, count: int = 1) -> bool:
        """Whether it was allowed."""
        try:
            self.charge_for(node).take(count)
        except RateLimited:
            return False
        return True


@pytest.fixture
def alone() -> Network:
    return Network(1, 10)


def test_without_any_rate_publishing_is_free() -> None:
    assert Network(1, None).rates[0].charge_for(ANA, "", kind()) is None


def test_a_second_s_worth_may_come_at_once_and_then_as_many_a_second(alone: Network) -> None:
    assert [alone.publish() for _ in range(12)] == [True] * 10 + [False] * 2
    with pytest.raises(RateLimited) as caught:
        alone.charge_for().check()
    assert caught.value.retry_after is not None
    assert 0 < caught.value.retry_after <= 0.1
    assert "10 events per second" in caught.value.message
    alone.now += 500
    assert [alone.publish() for _ in range(7)] == [True] * 5 + [False] * 2


def test_the_key_s_rate_goes_before_the_type_s_and_that_before_the_default() -> None:
    network = Network(1, 7)
    sensor = Principal(CredentialKind.KEY, "sensor", EVERYTHING, rate=2)
    assert network.charge_for().burst == 7
    assert network.charge_for(type_=kind("logs", 5)).burst == 5
    assert network.charge_for(who=sensor, type_=kind("logs", 5)).burst == 2


def test_principals_types_and_strangers_addresses_are_counted_apart(alone: Network) -> None:
    alone.charge_for().pay(10)
    for other in (
        alone.charge_for(who=Principal(CredentialKind.TOKEN, "ben", EVERYTHING)),
        alone.charge_for(who=Principal(CredentialKind.KEY, "ana", EVERYTHING)),
        alone.charge_for(type_=kind("logs")),
        alone.charge_for(who=STRANGER),
    ):
        other.check()
    alone.charge_for(who=STRANGER).pay(10)
    alone.charge_for(who=STRANGER, address="192.0.2.2").check()
    with pytest.raises(RateLimited):
        alone.charge_for(who=STRANGER).check()


def test_an_array_may_go_beyond_and_is_owed(alone: Network) -> None:
    assert alone.publish(count=50)
    alone.now += 3900
    assert not alone.publish()
    alone.now += 200
    assert alone.publish()


def test_an_array_of_more_than_a_minute_s_worth_is_too_large(alone: Network) -> None:
    alone.charge_for().pay(10 * OWED_SECONDS)
    with pytest.raises(PayloadTooLarge):
        Network(1, 10).charge_for().pay(10 * OWED_SECONDS + 1)


def test_what_is_not_allowed_takes_nothing(alone: Network) -> None:
    with pytest.raises(PayloadTooLarge):
        alone.charge_for().take(10 * OWED_SECONDS + 1)
    assert len(list(alone.rates[0].messages())) == 0
    assert [alone.publish(count=10), alone.publish(count=10)] == [True, False]
    alone.now += 101
    assert alone.publish()


def test_a_slow_rate_still_lets_single_events_through() -> None:
    network = Network(1, 0.001)
    assert network.charge_for().burst == 1
    assert [network.publish(), network.publish()] == [True, False]
    network.now += 1_000_000
    assert network.publish()


def test_nodes_together_keep_the_rate() -> None:
    network = Network(3, 10)
    allowed = 0
    for _ in range(
        100 * 4
    ):  # 100 seconds, in which everybody publishes as much as they may, everywhere
        allowed += sum(network.publish(node) for node in range(3) for _ in range(4))
        network.pass_on()
        network.now += 250
    assert 1000 <= allowed <= 1000 + 3 * 10 + 3  # a burst at each, once


def test_a_node_alone_tells_nothing() -> None:
    network = Network(1, 10)
    network.publish()
    assert network.pass_on() == 0


def test_what_is_told_comes_in_messages_of_a_bounded_size() -> None:
    network = Network(2, 10)
    for number in range(400):
        network.charge_for(
            who=Principal(CredentialKind.TOKEN, "\x01" * 190 + str(number), EVERYTHING)
        ).pay(1)
    sizes = [len(message) for message in network.rates[0].messages()]
    assert len(sizes) == 3
    assert max(sizes) < 256 * 1024
    assert list(network.rates[0].messages()) == []


@pytest.mark.parametrize(
    "message",
    [
        b"{",
        b"[1]",
        b'[["a","b",0,1]]',
        b'[["a","b",1,0]]',
        b'[["a","b","x",1]]',
        b'[[1,"b",1,1]]',
        b"null",
        b'[["a","b",1e300,1e-300]]',
        b'[["a","b",1e7,1]]',
        b'[["a","b",1,1e-300]]',
        b'[["a","b",1,1e300]]',
        b'[["%b","b",1,1]]' % (b"a" * 301),
    ],
)
def test_a_stranger_s_message_is_refused(message: bytes) -> None:
    network = Network(2, 10)
    with pytest.raises((ValueError, LookupError, TypeError, AttributeError)):
        network.listeners[0](message)
    assert len(network.rates[0]) == 0


def test_buckets_are_forgotten_when_they_are_full_again(alone: Network) -> None:
    alone.publish()
    alone.now += 50
    alone.rates[0].forget()
    assert len(alone.rates[0]) == 1
    alone.now += 50
    alone.rates[0].forget()
    assert len(alone.rates[0]) == 0


def test_the_number_of_buckets_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates_module, "BUCKETS", 3)
    network = Network(1, 10)
    charges = [network.charge_for(who=STRANGER, address=f"192.0.2.{number}") for number in range(5)]
    for charge in (*charges[:3], charges[0], *charges[3:]):
        charge.pay(10)
    assert len(network.rates[0]) == 3
    for number in (0, 3, 4):
        with pytest.raises(RateLimited):
            charges[number].check()
    for number in (1, 2):
        charges[number].check()  # the least recently used have been forgotten: this makes another


def test_what_is_told_names_whose_of_which_type_how_many_and_the_rate() -> None:
    network = Network(2, 10)
    network.publish(count=3)
    network.publish(count=4)
    assert [orjson.loads(message) for message in network.rates[0].messages()] == [
        [["token:ana", "chat", 7, 10]]
    ]


def test_who_checked_long_ago_pays_with_the_bucket_that_is_there_now(alone: Network) -> None:
    """A body that came slowly: its bucket was full, and forgotten, when it was to be paid from."""
    slow, quick = alone.charge_for(), alone.charge_for()
    slow.check()
    alone.rates[0].forget()
    assert len(alone.rates[0]) == 0
    quick.pay(10)
    with pytest.raises(RateLimited):
        slow.check()


@in_loop
async def test_an_outage_of_the_broker_does_not_end_the_telling(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rates_module, "TELL_SECONDS", 0)
    network = Network(2, 10)
    network.down = True
    network.charge_for().pay(1)
    telling = asyncio.create_task(network.rates[0].run())
    await in_turns("the first message", lambda: len(network.sent) == 1)
    network.down = False
    network.charge_for().pay(2)
    await in_turns("the second message", lambda: len(network.sent) == 2)
    assert [orjson.loads(body)[0][2] for body in network.sent] == [1, 2]
    network.others.clear()
    await in_turns("that it is alone", lambda: not network.rates[0].shared)
    telling.cancel()
    await asyncio.gather(telling, return_exceptions=True)
    assert telling.cancelled()


@in_loop
async def test_the_telling_ends_although_a_message_is_being_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rates_module, "TELL_SECONDS", 0)
    network = Network(2, 10)
    sending = asyncio.Event()

    async def broadcast(topic: bytes, body: bytes) -> None:
        sending.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(network, "broadcast", broadcast)
    network.charge_for().pay(1)
    telling = asyncio.create_task(network.rates[0].run())
    await sending.wait()
    telling.cancel()
    await in_turns("its end", telling.done)
    assert telling.cancelled()
