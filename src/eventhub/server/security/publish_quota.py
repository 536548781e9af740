"""Limits the events per second that a principal may publish to one channel type, on all nodes.

Every node has a bucket for each principal that publishes. A few times a second, it sends the other
nodes the counts that were taken from its buckets. They take the same from theirs, below zero if
necessary. So no publish waits for another node, and the average rate is kept. A burst may pass on
several nodes at the same moment. If a message is lost, a few more events pass.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Protocol

import orjson

from eventhub.auth.principal import Principal
from eventhub.brokers.base import OnMessage
from eventhub.common.addresses import address_key
from eventhub.common.token_bucket import TokenBucket
from eventhub.errors import BrokerUnavailable, PayloadTooLarge, RateLimited
from eventhub.events.channel_types import ChannelType

TOPIC = b"rates"
TELL_SECONDS = 0.25
BUCKETS = 100_000
"""Most buckets that are kept. A further one replaces the least recently used one."""
OWED_SECONDS = 60
"""The largest array, in seconds: the time in which the rate would allow its events."""
MESSAGE_ENTRIES = 150
"""Entries in one message, of up to 1.4 KB each: JSON may escape the 200 characters of a name."""
RATE = "rate of the API key or the channel type, otherwise limits.publish_rate"
"""Where the rate is set, for error messages."""
SIGNALS = "signals of "
"""Begins the keys of buckets for signals. No channel type has a space in its name."""
PAGES = "pages of history"
"""The key of buckets for pages whose cursor needs a record at the broker."""
PAGE_RECORDS = 20.0
"""Such pages that one principal may read per second."""
KEY_LENGTH = 300
"""Characters that another node may send as a principal or channel type."""
LARGEST_COUNT, SMALLEST_RATE, LARGEST_RATE = 1_000_000, 1e-6, 1e9
"""Bounds of what another node may send. Beyond them the arithmetic overflows."""


class QuotaNodes(Protocol):
    """The cluster, as it is needed here."""

    @property
    def others(self) -> set[str]:
        """The nodes that are present."""
        ...

    def listen(self, topic: bytes, on_message: OnMessage) -> None:
        """Call `hear` with the messages of other nodes."""
        ...

    async def broadcast(self, topic: bytes, body: bytes) -> None:
        """Send to all other nodes. Raises BrokerUnavailable."""
        ...


Key = tuple[str, str]
"""Principal or address, and channel type."""


class Charge:
    """What one principal pays for publishing to one channel type.

    It looks its bucket up each time, because a full bucket may be forgotten.
    """

    __slots__ = ("_key", "_rate", "_rates")

    def __init__(self, rates: "PublishQuota", key: Key, rate: float) -> None:
        self._rates, self._key, self._rate = rates, key, rate

    def check(self) -> None:
        """Raise RateLimited if nothing may be published now."""
        if wait := self.wait():
            raise self._exceeded(wait)

    def wait(self) -> float:
        """Return the seconds until something may be published."""
        return self._rates.bucket(self._key, self._rate).wait(self._rates.clock())

    def take(self, count: int) -> None:
        """`check`, then `pay`."""
        rates = self._rates
        now = rates.clock()
        bucket = rates.bucket(self._key, self._rate)
        if wait := bucket.wait(now):
            raise self._exceeded(wait)
        self._spend(bucket, count, now)

    @property
    def burst(self) -> int:
        """How many events a stream should publish at a time."""
        return max(1, int(self._rate))

    def pay(self, count: int) -> None:
        """Take `count` events from the bucket, below zero if necessary.

        Raises PayloadTooLarge if the debt would last longer than OWED_SECONDS.
        """
        rates = self._rates
        self._spend(rates.bucket(self._key, self._rate), count, rates.clock())

    def _spend(self, bucket: TokenBucket, count: int, now: int) -> None:
        if count > 1 and count > (most := max(1, int(self._rate * OWED_SECONDS))):
            raise PayloadTooLarge(
                f"the array has {count} events; at {self._rate:g} per second ({RATE}) "
                f"at most {most} are allowed, or send a stream"
            )
        bucket.spend(count, now)
        if self._rates.shared:
            self._rates.note(self._key, count, self._rate)

    def _exceeded(self, wait: float) -> RateLimited:
        return RateLimited(
            f"more than {self._rate:g} events per second were published "
            f"to channels of type {self._key[1]!r} ({RATE})",
            retry_after=wait,
        )


class SignalCharge(Charge):
    """What one principal pays for signals to one channel type. They have a bucket of their own."""

    __slots__ = ()

    def _exceeded(self, wait: float) -> RateLimited:
        name = self._key[1].removeprefix(SIGNALS)
        return RateLimited(
            f"more than {self._rate:g} signals per second were sent to channels of type {name!r} "
            "(limits.signal_rate)",
            retry_after=wait,
        ).with_limit("signal_rate")


class PageCharge(Charge):
    """What one principal pays for pages whose cursor needs a record at the broker."""

    __slots__ = ()

    def _exceeded(self, wait: float) -> RateLimited:
        return RateLimited(
            f"more than {self._rate:g} pages per second were read whose cursor has the positions "
            "of many channels; read larger pages (limit), or a stream",
            retry_after=wait,
        )


class PublishQuota:
    """The buckets of this node.

    `default` is the rate if neither API key nor channel type sets one, `signals` that of signals;
    None means no limit.
    """

    def __init__(
        self,
        nodes: QuotaNodes,
        default: float | None,
        clock: Callable[[], int],
        signals: float | None = None,
    ) -> None:
        self.clock = clock
        self.shared = True
        """There are other nodes, as far as known."""
        self._nodes = nodes
        self._default, self._signals = default, signals
        self._buckets: OrderedDict[Key, TokenBucket] = OrderedDict()
        self._unsent: dict[Key, tuple[int, float]] = {}
        nodes.listen(TOPIC, self._on_message)

    def __len__(self) -> int:
        return len(self._buckets)

    def charge_for(
        self, principal: Principal, address: str, channel_type: ChannelType
    ) -> Charge | None:
        """Return the charge for publishing; None if there is no limit."""
        rate = principal.rate or channel_type.rate or self._default
        if rate is None:
            return None
        return Charge(self, (_payer(principal, address), channel_type.name), rate)

    def signal_charge_for(
        self, principal: Principal, address: str, channel_type: ChannelType
    ) -> SignalCharge | None:
        """Return the charge for signals; None if there is no limit."""
        if self._signals is None:
            return None
        key = (_payer(principal, address), SIGNALS + channel_type.name)
        return SignalCharge(self, key, self._signals)

    def page_charge_for(self, principal: Principal, address: str) -> PageCharge:
        """Return the charge for pages of several channels."""
        return PageCharge(self, (_payer(principal, address), PAGES), PAGE_RECORDS)

    def note(self, key: Key, count: int, rate: float) -> None:
        """Note what was taken here, for the other nodes."""
        self._unsent[key] = (self._unsent.get(key, (0, rate))[0] + count, rate)

    async def run(self) -> None:
        """Send what was taken to the other nodes until cancelled."""
        while True:
            await asyncio.sleep(TELL_SECONDS)
            for message in self.messages():
                with suppress(BrokerUnavailable):
                    await self._nodes.broadcast(TOPIC, message)
            self.forget()
            self.shared = bool(self._nodes.others)

    def messages(self) -> Iterator[bytes]:
        """Yield the messages for the other nodes, if there are any."""
        spent, self._unsent = self._unsent, {}
        entries = (
            [(*key, count, rate) for key, (count, rate) in spent.items()]
            if self._nodes.others
            else []
        )
        for begin in range(0, len(entries), MESSAGE_ENTRIES):
            yield orjson.dumps(entries[begin : begin + MESSAGE_ENTRIES])

    def _on_message(self, message: bytes) -> None:
        now = self.clock()
        for name, kind, count, rate in orjson.loads(message):
            if not (
                _is_key(name)
                and _is_key(kind)
                and 0 < count <= LARGEST_COUNT
                and SMALLEST_RATE <= rate <= LARGEST_RATE
            ):
                raise ValueError("expected names, a count and a rate, each within its bounds")
            self.bucket((name, kind), float(rate)).spend(count, now)

    def bucket(self, key: Key, rate: float) -> TokenBucket:
        """Return the bucket of this key. A new bucket is full."""
        if (bucket := self._buckets.get(key)) is None:
            # One second's events may come at once, and not one more.
            bucket = self._buckets[key] = TokenBucket(rate, max(1.0, rate) - 0.5)
            if len(self._buckets) > BUCKETS:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(key)
        return bucket

    def forget(self) -> None:
        """Drop full buckets, which need not be kept, from the least recently used."""
        now = self.clock()
        while self._buckets and next(iter(self._buckets.values())).idle(now):
            self._buckets.popitem(last=False)


def _payer(principal: Principal, address: str) -> str:
    return principal.identity if principal.known else f"address:{address_key(address)}"


def _is_key(value: object) -> bool:
    return isinstance(value, str) and len(value) <= KEY_LENGTH
