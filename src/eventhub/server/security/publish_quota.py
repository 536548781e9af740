"""How many events per second a principal may publish to channels of one type, at all nodes together.

Every node has a bucket for each that publishes, and tells the others what was taken from it, a few times a second; they take that from
theirs, into debt if need be. So nobody waits for anybody, the average is kept, and only a burst at several nodes in one moment is counted
at each on its own. What is told may be lost: then a little more is let through.
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
from eventhub.events.channels import ChannelType

TOPIC = b"rates"
TELL_SECONDS = 0.25
BUCKETS = 100_000
"""Beyond it the one that was not used for longest is forgotten."""
OWED_SECONDS = 60
"""How much may be published at once, as the time in which it would be allowed."""
MESSAGE_ENTRIES = 150
"""Of 1.4 KB at most: names have 200 characters, which JSON may escape."""
RATE = "rate of the API key or the channel type, otherwise limits.publish_rate"
"""Where it is set."""
KEY_LENGTH = 300
"""Characters of a name with its kind, or of a channel type's, that another node may tell."""
LARGEST_COUNT, SMALLEST_RATE, LARGEST_RATE = 1_000_000, 1e-6, 1e9
"""What another node may tell. Beyond it are times that are no numbers any more."""


class QuotaNodes(Protocol):
    """This node and the others, as they are needed here."""

    @property
    def others(self) -> set[str]:
        """Those that are there."""
        ...

    def listen(self, topic: bytes, hear: OnMessage) -> None:
        """Hear what others tell."""
        ...

    async def tell(self, topic: bytes, body: bytes) -> None:
        """Tell all others. Raises BrokerUnavailable."""
        ...


Key = tuple[str, str]
"""Whose, and of which channel type."""


class Charge:
    """What one principal pays for publishing to channels of one type. It holds no bucket: one that is full may be forgotten meanwhile."""

    __slots__ = ("_key", "_rate", "_rates")

    def __init__(self, rates: "PublishQuota", key: Key, rate: float) -> None:
        self._rates, self._key, self._rate = rates, key, rate

    def check(self) -> None:
        """Raises RateLimited where nothing may be published now."""
        if wait := self.wait():
            raise RateLimited(
                f"more than {self._rate:g} events per second were published to channels of type {self._key[1]!r} ({RATE})",
                retry_after=wait,
            )

    def wait(self) -> float:
        """Seconds until something may be published."""
        return self._rates.bucket(self._key, self._rate).wait(self._rates.clock())

    @property
    def burst(self) -> int:
        """As many as a stream had better publish at a time."""
        return max(1, int(self._rate))

    def pay(self, count: int) -> None:
        """So many events are published. More than may be published at once is owed. Raises PayloadTooLarge when that would take long."""
        if count > (most := max(1, int(self._rate * OWED_SECONDS))):
            raise PayloadTooLarge(
                f"the array has {count} events; at {self._rate:g} per second ({RATE}) at most {most} are allowed, or send a stream"
            )
        self._rates.bucket(self._key, self._rate).spend(count, self._rates.clock())
        if self._rates.shared:
            self._rates.note(self._key, count, self._rate)


class PublishQuota:
    """The buckets of this node. `default` is the rate where neither key nor channel type has one; None: no limit."""

    def __init__(self, nodes: QuotaNodes, default: float | None, clock: Callable[[], int]) -> None:
        self.clock = clock
        self.shared = True
        """There are other nodes, as of the last look."""
        self._nodes = nodes
        self._default = default
        self._buckets: OrderedDict[Key, TokenBucket] = OrderedDict()
        self._news: dict[Key, tuple[int, float]] = {}
        nodes.listen(TOPIC, self._hear)

    def __len__(self) -> int:
        return len(self._buckets)

    def charge_for(self, principal: Principal, address: str, kind: ChannelType) -> Charge | None:
        """What publishing costs them, or None where it is free."""
        rate = principal.rate or kind.rate or self._default
        if rate is None:
            return None
        key = (
            principal.identity if principal.known else f"address:{address_key(address)}",
            kind.name,
        )
        return Charge(self, key, rate)

    def note(self, key: Key, count: int, rate: float) -> None:
        """So much was taken here."""
        self._news[key] = (self._news.get(key, (0, rate))[0] + count, rate)

    async def run(self) -> None:
        """Tell the other nodes until cancelled."""
        while True:
            await asyncio.sleep(TELL_SECONDS)
            for message in self.messages():
                with suppress(BrokerUnavailable):
                    await self._nodes.tell(TOPIC, message)
            self.forget()
            self.shared = bool(self._nodes.others)

    def messages(self) -> Iterator[bytes]:
        """What is to be told to the other nodes now, if there are any."""
        news, self._news = self._news, {}
        entries = (
            [(*key, count, rate) for key, (count, rate) in news.items()]
            if self._nodes.others
            else []
        )
        for begin in range(0, len(entries), MESSAGE_ENTRIES):
            yield orjson.dumps(entries[begin : begin + MESSAGE_ENTRIES])

    def _hear(self, message: bytes) -> None:
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
        """The one with this key, a full one where there is none."""
        if (bucket := self._buckets.get(key)) is None:
            bucket = self._buckets[key] = TokenBucket(
                rate, max(1.0, rate) - 0.5
            )  # so that a second's worth may come at once, and not one more
            if len(self._buckets) > BUCKETS:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(key)
        return bucket

    def forget(self) -> None:
        """Buckets that are full need not be kept; those unused for longest are looked at."""
        now = self.clock()
        while self._buckets and next(iter(self._buckets.values())).idle(now):
            self._buckets.popitem(last=False)


def _is_key(value: object) -> bool:
    return isinstance(value, str) and len(value) <= KEY_LENGTH
