"""A client that loses nothing (PROTOCOL.md). No I/O happens here.

It decides what each message and each end of a connection means:

| what ends a connection | what happens |
|---|---|
| goodbye, 1001, 1006, 1012, 1013, 408, 429, 5xx, silence, codes that are not named | reconnect |
| token_expired, if the token is a function | reconnect with a new token |
| other 4xx, 1002, 1003, 1007 to 1010 | raise |

The next message is received when the application has consumed the item before it. So the position
is that of the last consumed item, or of the events after it that do not match the filter, and each
channel resumes there.
"""

import random
import time
from collections.abc import Callable, Generator

from eventhub_client.backoff import Backoff
from eventhub_client.errors import Problem, refusal
from eventhub_client.positions import MESSAGE_BYTES, Positions, Subscription
from eventhub_client.steps import (
    Answer,
    Close,
    Closed,
    Connect,
    Connected,
    Deliver,
    FollowStep,
    Join,
    Message,
    Receive,
    Received,
    RenewToken,
    Reply,
    Send,
    Silence,
    Store,
    Wait,
    Warn,
)

FIRST_HEARTBEAT = 25.0
"""Seconds, until `hello` says it."""
FATAL_CODES = {1002, 1003, 1007, 1008, 1009, 1010}
FRESH_TOKENS = 3
"""New tokens in a row that may be refused as expired, before the error is raised."""
UPDATE = "update"
"""The `ref` of an update of one's own member."""
Steps = Generator[FollowStep, Reply, None]


class Follower:
    """The state of one `follow`."""

    def __init__(
        self,
        subscription: Subscription,
        clock: Callable[[], float] = time.monotonic,
        random: Callable[[], float] = random.random,
    ) -> None:
        self._positions = Positions(subscription)
        self._member = subscription.member
        self._renewable = subscription.renewable
        self._wants_signals = subscription.signals
        self._wants_members = subscription.presence is not False
        self._clock = clock
        self._backoff = Backoff(clock, random)
        self._opened_at = 0.0
        self._expired_tokens = 0
        self._heartbeat = FIRST_HEARTBEAT
        self._leaving: set[str] = set()
        """Channels whose state is read again: what comes before `unsubscribed` is of the past."""
        self._repeat_update: float | None = None
        """When an update of the member is sent again that was one too many."""

    def steps(self) -> Steps:
        """What to do, for ever. Raises HubError if the server refuses for good."""
        while True:
            reply = yield Connect()
            if isinstance(reply, Connected):
                self._opened_at = self._clock()
                delay = yield from self._connection()
                yield Close()
            else:
                delay = self._backoff.delay(least=self._refused(reply))
            yield Wait(delay)

    def _connection(self) -> Generator[FollowStep, Reply, float]:
        """One connection. The seconds until the next one."""
        self._heartbeat, has_asked = FIRST_HEARTBEAT, False
        self._leaving, self._repeat_update = set(), None
        while True:
            reply = yield Receive(self._patience())
            if isinstance(reply, Closed):
                self._closed(reply)
                return self._ended()
            if isinstance(reply, Silence):
                if self._repeat_update is not None:
                    yield self._update()
                    continue
                if has_asked:
                    return self._ended()
                has_asked = True
                yield Send(({"type": "ping"},))
                continue
            assert isinstance(reply, Received)
            has_asked, message = False, reply.message
            if message.get("type") == "goodbye":
                return self._ended(told=float(message["reconnect_in"]))
            if message.get("type") == "error":
                ended, delay = self._error(message)
                if ended:
                    return self._ended(least=delay)
            elif self._is_repeated(message):
                continue
            elif message.get("channel") not in self._leaving:
                yield from self._message(message)
            elif message.get("type") == "unsubscribed":
                self._leaving.discard(message["channel"])

    def _ended(self, told: float | None = None, *, least: float | None = None) -> float:
        self._backoff.lasted(self._clock() - self._opened_at)
        return self._backoff.delay(told, least=least)

    def _is_repeated(self, message: Message) -> bool:
        position = message.get("id") if message.get("type") == "event" else message.get("position")
        return message.get("type") in ("event", "gap") and self._positions.has(
            message["channel"], str(position)
        )

    def _patience(self) -> float:
        if self._repeat_update is None:
            return self._heartbeat
        return min(self._heartbeat, max(0.0, self._repeat_update - self._clock()))

    def _message(self, message: Message) -> Steps:
        match message.get("type"):
            case "hello":
                yield from self._hello(message)
            case "subscribed":
                yield from self._subscribed(message)
            case "positions":
                yield Store(self._positions.told(message))
            case "event":
                yield Deliver(message)
                yield self._moved(message["channel"], message["id"])
            case "gap":
                yield from self._gap(message)
            case "position":  # the events up to there do not match the filter
                yield self._moved(message["channel"], message["position"])
            case "signal" if self._wants_signals:
                yield Deliver(message)
            case "presence" | "join" | "leave" | "update" if self._wants_members:
                yield Deliver(message)
            case "filter_failed":
                at = f"{message['channel']} at {message['id']}"
                yield Warn(f"the filter fails in {at}, and perhaps later: {message['reason']}")
            case "expiring" if self._renewable:
                yield RenewToken()
            case "unsubscribed":
                said = f"the new token does not allow {message['channel']}"
                raise refusal(Problem(message["reason"], said, 403))

    def _hello(self, message: Message) -> Steps:
        limits = message["limits"]
        self._heartbeat = float(limits["heartbeat"])
        self._positions.message_bytes = int(limits.get("message_bytes", MESSAGE_BYTES))
        if self._member is None:
            yield Send(self._positions.subscribe(None))
            return
        member, version = self._member.current()
        yield Send(self._positions.subscribe(member))
        yield Join(self._positions.names, version)

    def _subscribed(self, message: Message) -> Steps:
        self._expired_tokens = 0
        if stored := self._positions.subscribed(message):
            yield Store(stored)
        if self._wants_members and "count" in message:
            yield Deliver(message)

    def _gap(self, message: Message) -> Steps:
        """An item, for a follower of a log. A holder of a state needs what PROTOCOL.md says."""
        channel, reason, position = message["channel"], message["reason"], message["position"]
        has_state = self._positions.has_state(channel)
        if not has_state or reason not in ("conflated", "slow"):
            yield Deliver(message)
        if has_state and (
            reason == "slow" or (reason in ("expired", "reset") and not position.endswith("-0"))
        ):
            if reason != "slow":
                self._positions.forget(channel)
            self._leaving.add(channel)
            member = None if self._member is None else self._member.current()[0]
            yield Send(self._positions.again(channel, member))
        else:
            yield self._moved(channel, position)

    def _moved(self, channel: str, position: str) -> Store:
        return Store(self._positions.moved(channel, position))

    def _update(self) -> Send:
        """One's own member once more."""
        assert self._member is not None
        self._repeat_update = None
        data = self._member.data
        return Send(tuple(update_of(name, data) for name in self._positions.names))

    def _error(self, message: Message) -> tuple[bool, float | None]:
        """Whether it ends the connection, and the delay that the server asks for."""
        problem = Problem.of(message)
        if problem.is_temporary:
            if message.get("ref") == UPDATE:
                self._repeat_update = self._clock() + (problem.retry_after or 1.0)
            return message.get("ref") not in ("auth", UPDATE), problem.retry_after
        self._raise_unless_renewable(problem)
        return True, None

    def _refused(self, reply: Reply) -> float | None:
        if not isinstance(reply, Answer):
            return None
        problem = Problem.of(reply.fields, reply.status)
        if not problem.is_temporary:
            self._raise_unless_renewable(problem)
        return reply.retry_after

    def _closed(self, closed: Closed) -> None:
        code = closed.code
        if code is not None and (code in FATAL_CODES or 4400 <= code < 4500):
            status = code - 4000 if code >= 4000 else 400
            name = closed.reason if code >= 4000 and closed.reason else f"close_{code}"
            problem = Problem(name, f"the connection was closed with {code}", status)
            if not problem.is_temporary:
                self._raise_unless_renewable(problem)

    def _raise_unless_renewable(self, problem: Problem) -> None:
        self._expired_tokens += 1
        renewable = problem.code == "token_expired" and self._renewable
        if not renewable or self._expired_tokens > FRESH_TOKENS:
            raise refusal(problem)


def update_of(channel: str, data: object) -> Message:
    """The command that replaces the data of one's own member."""
    return {"type": UPDATE, "ref": UPDATE, "channel": channel, "data": data}
