"""Publishing to Redis: events published to one channel at about the same time share a script call.

A channel has at most one call under way, so its events stay in order even when some are refused
and sent again. Channels do not wait for each other. Under load more events wait, so each
call carries more. Bounds: the events and bytes of a call (`channel_queue.py`), and the bytes of all
waiting events.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from eventhub.brokers.base import OnStored
from eventhub.brokers.redis.channel_queue import ChannelQueue, PublishCall, QueuedEvent
from eventhub.brokers.redis.link import ErrorReply, LinkLost, RedisLink, Reply, ignore, pack
from eventhub.brokers.redis.replies import (
    NOT_STORED,
    OUTCOME_UNKNOWN,
    RETRY_SECONDS,
    TEMPORARY_ERRORS,
    publish_error,
    read_results,
)
from eventhub.brokers.redis.url import ServerAddress
from eventhub.common.faults import internal
from eventhub.common.time_limit import TimeLimit
from eventhub.errors import BrokerUnavailable, EventHubError
from eventhub.events.event import NewEvent, Receipt

WAITING_BYTES = 64 * 1024 * 1024
EVENT_OVERHEAD = 300
"""Bytes that a waiting event takes in addition to its data."""

log = structlog.get_logger("eventhub.brokers.redis")


class CommandRouter(Protocol):
    """Finds the connection for a channel's commands."""

    def link(self, channel: str, redirect: ServerAddress | None = None) -> RedisLink | None:
        """The connection to the channel's master, or to `redirect`; None while there is none."""
        ...

    def refused(self, channel: str, error: ErrorReply) -> None:
        """A command got a temporary refusal."""
        ...

    def arguments(self, channel: str, events: Sequence[NewEvent]) -> Sequence[str | bytes | int]:
        """The script that publishes these events, and its arguments."""
        ...

    def unavailable_reason(self) -> str | None:
        """Why nothing can be sent, or None."""
        ...


class RedisPublisher:
    """The queues of all channels with something to publish."""

    def __init__(self, router: CommandRouter, timeout: float) -> None:
        self._router = router
        self._time_limit = TimeLimit[PublishCall](timeout, self._give_up)
        self._queues: dict[str, ChannelQueue] = {}
        self._scheduled: list[str] = []
        self._waiting_bytes = 0

    async def publish(self, events: Sequence[NewEvent]) -> Sequence[Receipt | EventHubError]:
        """Follows the contract of `Broker.publish`. Raises BrokerUnavailable."""
        if not events:
            return []
        if self._waiting_bytes > WAITING_BYTES:
            raise BrokerUnavailable(
                f"{self._waiting_bytes} bytes of events wait for Redis already; "
                f"at most {WAITING_BYTES} may"
            )
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        call = self._begin(events, lambda _: None if done.done() else done.set_result(None))
        try:
            await done
        finally:
            if not call.over:  # cancelled
                call.over = True
                self._time_limit.end(call)
                self._purge(call)
        outcome = _outcome(call)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def publish_later(self, events: Sequence[NewEvent], done: OnStored) -> bool:
        """Follows the contract of `Broker.publish_later`."""
        if not events or self._waiting_bytes > WAITING_BYTES:
            return False
        self._begin(events, lambda call: done(_outcome(call)))
        return True

    def resume(self) -> None:
        """Send again: there may be a connection now."""
        for channel, queue in self._queues.items():
            if not queue.sent:
                self._schedule(channel)

    # Sending

    def _begin(
        self, events: Sequence[NewEvent], done: Callable[[PublishCall], object]
    ) -> PublishCall:
        def ended(call: PublishCall) -> None:
            self._time_limit.end(call)
            done(call)

        call = PublishCall(events, ended)
        self._time_limit.begin(call)
        for index, event in enumerate(events):
            self._enqueue((event, call, index))
        return call

    def _enqueue(self, item: QueuedEvent) -> None:
        event = item[0]
        if (queue := self._queues.get(event.channel)) is None:
            queue = self._queues[event.channel] = ChannelQueue(self._release_bytes)
            self._schedule(event.channel)
        queue.waiting.append(item)
        self._waiting_bytes += len(event.data) + EVENT_OVERHEAD

    def _schedule(self, channel: str) -> None:
        """Send the channel's events at the end of this turn of the loop."""
        if not self._scheduled:
            asyncio.get_running_loop().call_soon(self._send_scheduled)
        self._scheduled.append(channel)

    def _send_scheduled(self) -> None:
        scheduled, self._scheduled = self._scheduled, []
        for channel in scheduled:
            if (queue := self._queues.get(channel)) is not None and not queue.sent:
                self._send(channel, queue)

    def _send(
        self, channel: str, queue: ChannelQueue, redirect: ServerAddress | None = None
    ) -> None:
        while True:
            queue.drop_given_up()
            if not queue.waiting:
                del self._queues[channel]
                return
            if (link := self._router.link(channel, redirect)) is None:
                return  # `resume` is called when there is a connection
            queue.sent = queue.take()
            if (arguments := self._arguments(channel, queue)) is not None:
                break
        if redirect is not None:
            link.send(pack("ASKING"), ignore)
        link.send(
            pack("EVALSHA", *arguments),
            lambda reply: self._on_reply(channel, queue, reply),
        )

    def _arguments(self, channel: str, queue: ChannelQueue) -> Sequence[str | bytes | int] | None:
        """The arguments for the events in `queue.sent`.

        None if encoding fails. Then each event is encoded alone: an event that fails is refused,
        the others are queued again. If none fails alone, all are refused.
        """
        try:
            return self._router.arguments(channel, [event for event, _, _ in queue.sent])
        except Exception as error:
            sent, queue.sent = queue.sent, []
            faults = [self._encode_error(channel, item) for item in sent]
            shared = None if any(faults) else error
            for item, fault in reversed(list(zip(sent, faults, strict=True))):
                if (reason := fault or shared) is None:
                    queue.waiting.appendleft(item)
                else:
                    _, call, index = item
                    call.encode_error = reason
                    call.settle(index, internal())
                    self._release_bytes(item)
            return None

    def _encode_error(self, channel: str, item: QueuedEvent) -> Exception | None:
        try:
            self._router.arguments(channel, [item[0]])
        except Exception as error:
            log.exception("event_not_written", channel=channel)
            return error
        return None

    def _release_bytes(self, item: QueuedEvent) -> None:
        self._waiting_bytes -= len(item[0].data) + EVENT_OVERHEAD

    # Replies

    def _on_reply(self, channel: str, queue: ChannelQueue, reply: Reply) -> None:
        sent = queue.sent
        try:
            self._handle_reply(channel, queue, reply)
        except Exception:  # an unreadable reply: the callers are told, and the queue goes on
            log.exception("redis_reply_unreadable", channel=channel)
            unknown = BrokerUnavailable(f"{OUTCOME_UNKNOWN}: Redis answered something unexpected")
            for item in sent:
                _, call, index = item
                if call.results[index] is None:
                    call.settle(index, unknown)
                    self._release_bytes(item)
            self._send(channel, queue)

    def _handle_reply(self, channel: str, queue: ChannelQueue, reply: Reply) -> None:
        sent, queue.sent = queue.sent, []
        if isinstance(reply, ErrorReply) and reply.code in TEMPORARY_ERRORS:
            return self._send_again(channel, queue, sent, reply)
        if isinstance(reply, LinkLost):
            # An event with an idempotency key may be sent again; it is stored only once.
            queue.waiting.extendleft(item for item in reversed(sent) if item[0].key is not None)
            sent = [item for item in sent if item[0].key is None]
        if isinstance(reply, list):
            results = read_results([event for event, _, _ in sent], reply)
            for (_, call, index), result in zip(sent, results, strict=True):
                call.settle(index, result)
        else:
            error = publish_error(reply)
            for _, call, index in sent:
                call.settle(index, error)
        for item in sent:
            self._release_bytes(item)
        self._send(channel, queue)

    def _send_again(
        self, channel: str, queue: ChannelQueue, sent: list[QueuedEvent], error: ErrorReply
    ) -> None:
        queue.waiting.extendleft(reversed(sent))
        self._router.refused(channel, error)
        if error.code == "ASK" and self._router.link(channel, error.redirect) is not None:
            self._send(channel, queue, error.redirect)
        elif error.code == "NOSCRIPT":  # `refused` has sent the script, ahead of this command
            self._send(channel, queue)
        else:
            asyncio.get_running_loop().call_later(RETRY_SECONDS, self._schedule, channel)

    # The end of a call

    def _give_up(self, call: PublishCall) -> None:
        sent = {
            index
            for queue in self._queues.values()
            for _, of_call, index in queue.sent
            if of_call is call
        }
        reason = self._router.unavailable_reason() or "no answer in time"
        for index, result in enumerate(call.results):
            if result is None:
                outcome = OUTCOME_UNKNOWN if index in sent else NOT_STORED
                call.results[index] = BrokerUnavailable(f"{outcome}: {reason}")
        call.end()
        self._purge(call)

    def _purge(self, call: PublishCall) -> None:
        """Drop what waits of a call that is over."""
        for channel in {event.channel for event in call.events}:
            if (queue := self._queues.get(channel)) is not None:
                queue.drop_given_up()
                if not queue.waiting and not queue.sent:
                    del self._queues[channel]


def _outcome(call: PublishCall) -> Sequence[Receipt | EventHubError] | Exception:
    """The results of a call that is over.

    BrokerUnavailable if that is the result of every event, or the encoding error if there is one
    and no event was stored.
    """
    results = [result for result in call.results if result is not None]
    if isinstance(error := results[0], BrokerUnavailable) and all(
        isinstance(result, BrokerUnavailable) for result in results
    ):
        return error
    if call.encode_error is not None and not any(isinstance(one, Receipt) for one in results):
        return call.encode_error
    return results
