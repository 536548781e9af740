"""Publishing to Redis: what is published to one channel at about the same time goes to the server in one script call.

A channel has at most one call under way, so its events stay in order whatever is refused and sent again; channels do not wait for each
other. Under load the calls grow by themselves. Bounds: events and bytes of a call (a script must not hold the server up), bytes waiting.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Protocol

import structlog

from eventhub.brokers.redis.codec import PUBLISH
from eventhub.brokers.redis.link import ErrorReply, LinkLost, RedisLink, Reply, ignore, pack
from eventhub.brokers.redis.url import ServerAddress
from eventhub.common.faults import internal
from eventhub.errors import BrokerUnavailable, EventHubError, IdempotencyConflict
from eventhub.events.event import NewEvent, Position, Receipt

CALL_EVENTS = 256
CALL_BYTES = 1024 * 1024
WAITING_BYTES = 64 * 1024 * 1024
EVENT_OVERHEAD = 300
RETRY_SECONDS = 0.05
SAME_KEY = " (events with an idempotency key may be published again)"
PASSING = frozenset(
    {
        "MOVED",
        "TRYAGAIN",
        "CLUSTERDOWN",
        "READONLY",
        "LOADING",
        "MASTERDOWN",
        "BUSY",
        "NOREPLICAS",
        "NOSCRIPT",
        "ASK",
    }
)
"""Refusals that end by themselves, or elsewhere. Whoever gets one asks again until its time is
over.
"""


class CommandRouter(Protocol):
    """Where a channel's commands go."""

    def link(self, channel: str, redirect: ServerAddress | None = None) -> RedisLink | None:
        """The connection to its master, or to `redirect`; None while there is none."""
        ...

    def refused(self, channel: str, error: ErrorReply) -> None:
        """A passing refusal."""
        ...

    def arguments(self, channel: str, events: Sequence[NewEvent]) -> Sequence[str | bytes | int]:
        """Of publish.lua."""
        ...

    def trouble(self) -> str | None:
        """Why nothing can be sent, or None."""
        ...


class PublishCall:
    """One `publish`: its results so far."""

    __slots__ = ("done", "fault", "left", "over", "results")

    def __init__(self, count: int, done: "asyncio.Future[None]") -> None:
        self.results: list[Receipt | EventHubError | None] = [None] * count
        self.left = count
        self.done = done
        self.over = False
        self.fault: Exception | None = None
        """Why the newest of its events that cannot be written down cannot."""

    def settle(self, index: int, result: Receipt | EventHubError) -> None:
        """The result of one event."""
        self.results[index] = result
        self.left -= 1
        if self.left == 0 and not self.done.done():
            self.done.set_result(None)


log = structlog.get_logger("eventhub.brokers.redis")

Item = tuple[NewEvent, PublishCall, int]


class ChannelQueue:
    """One channel's events: those waiting, those sent."""

    __slots__ = ("sent", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[Item] = deque()
        self.sent: list[Item] = []


class RedisPublisher:
    """The lanes of all channels that have something to publish."""

    def __init__(self, router: CommandRouter, timeout: float) -> None:
        self._router = router
        self._timeout = timeout
        self._lanes: dict[str, ChannelQueue] = {}
        self._due: list[str] = []
        self._bytes = 0

    async def publish(self, events: Sequence[NewEvent]) -> Sequence[Receipt | EventHubError]:
        """See the contract. Raises BrokerUnavailable."""
        if not events:
            return []
        if self._bytes > WAITING_BYTES:
            raise BrokerUnavailable(
                f"{self._bytes} bytes of events wait for Redis already; at most {WAITING_BYTES} may"
            )
        call = PublishCall(len(events), asyncio.get_running_loop().create_future())
        for index, event in enumerate(events):
            if (lane := self._lanes.get(event.channel)) is None:
                lane = self._lanes[event.channel] = ChannelQueue()
                self._wake(event.channel)
            lane.waiting.append((event, call, index))
            self._bytes += len(event.data) + EVENT_OVERHEAD
        try:
            async with asyncio.timeout(self._timeout):
                await call.done
        except TimeoutError:
            self._give_up(call)
        finally:
            if not call.done.done() or call.done.cancelled():  # given up, or cancelled
                call.over = True
                self._purge({event.channel for event in events})
        results = [result for result in call.results if result is not None]
        if isinstance(error := results[0], BrokerUnavailable) and all(
            isinstance(result, BrokerUnavailable) for result in results
        ):
            raise error
        if call.fault is not None and not any(isinstance(result, Receipt) for result in results):
            raise call.fault
        return results

    def wake(self) -> None:
        """There is a connection again."""
        for channel, lane in self._lanes.items():
            if not lane.sent:
                self._wake(channel)

    def _wake(self, channel: str) -> None:
        if not self._due:
            asyncio.get_running_loop().call_soon(self._send_due)
        self._due.append(channel)

    def _send_due(self) -> None:
        due, self._due = self._due, []
        for channel in due:
            if (lane := self._lanes.get(channel)) is not None and not lane.sent:
                self._send(channel, lane)

    def _send(
        self, channel: str, lane: ChannelQueue, redirect: ServerAddress | None = None
    ) -> None:
        while True:
            self._drop_given_up(lane)
            if not lane.waiting:
                del self._lanes[channel]
                return
            if (link := self._router.link(channel, redirect)) is None:
                return  # `wake` comes back
            lane.sent = self._take(lane)
            if (arguments := self._arguments(channel, lane)) is not None:
                break
        if redirect is not None:
            link.send(pack("ASKING"), ignore)
        link.send(
            pack("EVALSHA", PUBLISH.sha, *arguments),
            lambda reply: self._answered(channel, lane, reply),
        )

    def _arguments(self, channel: str, lane: ChannelQueue) -> Sequence[str | bytes | int] | None:
        """Of the call that sends what is taken. None where one event cannot be written down: it fails, the others wait again."""
        try:
            return self._router.arguments(channel, [item[0] for item in lane.sent])
        except Exception as error:
            sent, lane.sent = lane.sent, []
            faults = [self._fault(channel, item) for item in sent]
            together = None if any(faults) else error  # each alone can be
            for item, fault in reversed(list(zip(sent, faults, strict=True))):
                if (why := fault or together) is None:
                    lane.waiting.appendleft(item)
                else:
                    item[1].fault = why
                    item[1].settle(item[2], internal())
                    self._forget(item)
            return None

    def _fault(self, channel: str, item: Item) -> Exception | None:
        try:
            self._router.arguments(channel, [item[0]])
        except Exception as error:
            log.exception("event_not_written", channel=channel)
            return error
        return None

    def _drop_given_up(self, lane: ChannelQueue) -> None:
        while lane.waiting and lane.waiting[0][1].over:
            self._forget(lane.waiting.popleft())

    def _take(self, lane: ChannelQueue) -> list[Item]:
        taken: list[Item] = []
        size = 0
        while lane.waiting and len(taken) < CALL_EVENTS:
            item = lane.waiting[0]
            if item[1].over:
                self._forget(lane.waiting.popleft())
                continue
            size += len(item[0].data)
            if taken and size > CALL_BYTES:
                break
            taken.append(lane.waiting.popleft())
        return taken

    def _forget(self, item: Item) -> None:
        self._bytes -= len(item[0].data) + EVENT_OVERHEAD

    def _answered(self, channel: str, lane: ChannelQueue, reply: Reply) -> None:
        sent = lane.sent
        try:
            self._settle(channel, lane, reply)
        except (
            Exception
        ):  # a reply that nobody understands: those who wait are told, and the lane goes on
            log.exception("redis_reply_unreadable", channel=channel)
            unknown = BrokerUnavailable(
                f"whether the event is stored is not known{SAME_KEY}: Redis answered something unexpected"
            )
            for item in sent:
                if item[1].results[item[2]] is None:
                    item[1].settle(item[2], unknown)
                    self._forget(item)
            self._send(channel, lane)

    def _settle(self, channel: str, lane: ChannelQueue, reply: Reply) -> None:
        sent, lane.sent = lane.sent, []
        if isinstance(reply, ErrorReply) and reply.code in PASSING:
            return self._again(channel, lane, sent, reply)
        if isinstance(reply, LinkLost):  # where there is a key, sending it again is safe
            lane.waiting.extendleft(item for item in reversed(sent) if item[0].key is not None)
            sent = [item for item in sent if item[0].key is None]
        if isinstance(reply, list):
            epoch = reply[0].decode()
            results = [
                _result(event, epoch, answer)
                for (event, _, _), answer in zip(sent, reply[1:], strict=True)
            ]
            for (_, call, index), result in zip(sent, results, strict=True):
                call.settle(index, result)
        else:
            error = _unavailable(reply)
            for _, call, index in sent:
                call.settle(index, error)
        for item in sent:
            self._forget(item)
        self._send(channel, lane)

    def _again(self, channel: str, lane: ChannelQueue, sent: list[Item], error: ErrorReply) -> None:
        lane.waiting.extendleft(reversed(sent))
        self._router.refused(channel, error)
        if error.code == "ASK" and self._router.link(channel, error.redirect) is not None:
            self._send(channel, lane, error.redirect)
        elif error.code == "NOSCRIPT":  # `refused` has sent it again, ahead of this
            self._send(channel, lane)
        else:
            asyncio.get_running_loop().call_later(RETRY_SECONDS, self._wake, channel)

    def _give_up(self, call: PublishCall) -> None:
        sent = {index for lane in self._lanes.values() for _, of, index in lane.sent if of is call}
        why = self._router.trouble() or "no answer in time"
        for index, result in enumerate(call.results):
            if result is None:
                what = (
                    f"whether the event is stored is not known{SAME_KEY}"
                    if index in sent
                    else "the event is not stored"
                )
                call.results[index] = BrokerUnavailable(f"{what}: {why}")

    def _purge(self, channels: set[str]) -> None:
        for channel in channels:
            if (lane := self._lanes.get(channel)) is not None:
                self._drop_given_up(lane)
                if not lane.waiting and not lane.sent:
                    del self._lanes[channel]


def _result(event: NewEvent, epoch: str, answer: int | bytes) -> Receipt | EventHubError:
    if isinstance(answer, int):
        return Receipt(Position(epoch, answer), event.time)
    offset, _, time = answer.partition(b" ")
    first = Position(epoch, int(offset))
    return (
        IdempotencyConflict(str(first))
        if time == b"conflict"
        else Receipt(first, int(time), replayed=True)
    )


def _unavailable(reply: Reply) -> BrokerUnavailable:
    if isinstance(reply, LinkLost):
        return BrokerUnavailable(f"whether the event is stored is not known{SAME_KEY}: {reply}")
    if isinstance(reply, ErrorReply) and reply.code == "OOM":
        return BrokerUnavailable("the event is not stored: Redis is out of memory (maxmemory)")
    code = reply.code if isinstance(reply, ErrorReply) else "something unexpected"
    return BrokerUnavailable(f"the event is not stored: Redis answered {code}")
