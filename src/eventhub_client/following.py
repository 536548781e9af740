"""A client that loses nothing (PROTOCOL.md). No I/O happens here.

It knows where a follower stands, and decides what each message and each end of a connection means:

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
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass

from eventhub_client.backoff import Backoff
from eventhub_client.errors import Problem, refusal
from eventhub_client.patterns import fits, is_pattern
from eventhub_client.steps import (
    Answer,
    Close,
    Closed,
    Connect,
    Connected,
    Deliver,
    FollowStep,
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
STEADY_SECONDS = 30.0
"""A connection that has lasted so long begins the delays again."""
FATAL_CODES = {1002, 1003, 1007, 1008, 1009, 1010}
MESSAGE_BYTES = 64 * 1024
"""The longest message of a client, until `hello` says it."""
BEGUN = "begun"
"""Kept for a pattern that has told all its positions."""
FRESH_TOKENS = 3
"""New tokens in a row that may be refused as expired, before the error is raised."""
Steps = Generator[FollowStep, Reply, None]


@dataclass(frozen=True, slots=True)
class Subscription:
    """What is followed, and from where."""

    channels: Sequence[str]
    since: str
    positions: Mapping[str, str]
    renewable: bool = False
    """Whether the token is a function."""
    signals: bool = False
    """Whether signals are delivered, too."""
    where: str | None = None
    """A filter of the events of all channels."""

    def __post_init__(self) -> None:
        if not self.channels:
            raise ValueError("received no channel; expected at least one, such as 'orders.eu'")


class Follower:
    """The state of one `follow`."""

    def __init__(
        self,
        subscription: Subscription,
        clock: Callable[[], float] = time.monotonic,
        random: Callable[[], float] = random.random,
    ) -> None:
        self._channels = tuple(dict.fromkeys(subscription.channels))
        self._since = subscription.since
        self._positions = {
            name: position
            for name, position in subscription.positions.items()
            if any(name == each or fits(each, name) for each in self._channels)
        }
        self._renewable = subscription.renewable
        self._signals = subscription.signals
        self._filter = {} if subscription.where is None else {"where": subscription.where}
        self._clock = clock
        self._backoff = Backoff(random)
        self._expired_tokens = 0
        self._part_bytes = MESSAGE_BYTES // 2

    def steps(self) -> Steps:
        """What to do, for ever. Raises HubError if the server refuses for good."""
        while True:
            reply = yield Connect()
            if isinstance(reply, Connected):
                begin = self._clock()
                delay = yield from self._connection()
                yield Close()
                if self._clock() - begin >= STEADY_SECONDS:
                    self._backoff.reset()
            else:
                delay = self._refused(reply)
            yield Wait(self._backoff.delay(delay))

    def _connection(self) -> Generator[FollowStep, Reply, float | None]:
        """One connection. The delay that the server asks for, if it does."""
        heartbeat, has_asked = FIRST_HEARTBEAT, False
        while True:
            reply = yield Receive(heartbeat)
            if isinstance(reply, Closed):
                return self._closed(reply)
            if isinstance(reply, Silence):
                if has_asked:
                    return None
                has_asked = True
                yield Send(({"type": "ping"},))
                continue
            assert isinstance(reply, Received)
            has_asked, message = False, reply.message
            if message.get("type") == "hello":
                heartbeat = float(message["limits"]["heartbeat"])
                self._part_bytes = int(message["limits"].get("message_bytes", MESSAGE_BYTES)) // 2
            elif message.get("type") == "goodbye":
                return float(message["reconnect_in"])
            elif message.get("type") == "error":
                ended, delay = self._error(message)
                if ended:
                    return delay
            yield from self._message(message)

    def _message(self, message: Message) -> Steps:
        match message.get("type"):
            case "hello":
                yield Send(tuple(each for name in self._channels for each in self._subscribe(name)))
            case "subscribed":
                self._expired_tokens = 0
                yield from self._subscribed(message)
            case "positions":
                yield from self._pattern_positions(message)
            case "event":
                yield from self._item(message, message["id"])
            case "gap":
                yield from self._item(message, message["position"])
            case "position":  # the events up to there do not match the filter
                yield self._moved(message["channel"], message["position"])
            case "signal" if self._signals:
                yield Deliver(message)
            case "filter_failed":
                at = f"{message['channel']} at {message['id']}"
                yield Warn(f"the filter fails in {at}, and perhaps later: {message['reason']}")
            case "expiring" if self._renewable:
                yield RenewToken()
            case "unsubscribed":
                said = f"the new token does not allow {message['channel']}"
                raise refusal(Problem(message["reason"], said, 403))

    def _subscribe(self, channel: str) -> Iterator[Message]:
        """The command. Positions that are too many for one message go before it."""
        since: str | dict[str, str] = self._positions.get(channel, self._since)
        if is_pattern(channel) and channel in self._positions:
            since = {name: at for name, at in self._positions.items() if fits(channel, name)}
            since.pop(channel, None)
            part: dict[str, str] = {}
            size = 0
            for name, position in since.items():
                size += len(name) + len(position) + 8
                if size > self._part_bytes:
                    yield {"type": "subscribe", "channel": channel, "since": part, "more": True}
                    part, size = {}, 0
                part[name] = position
            since = part
        command = {"type": "subscribe", "ref": channel, "channel": channel, "since": since}
        yield command | self._filter

    def _subscribed(self, message: Message) -> Steps:
        """Store the first position before any event, so that a restart before it misses none.

        If events are missing, a gap follows and has the position.
        """
        channel = message["channel"]
        if channel not in self._positions and message.get("recovered"):
            yield self._moved(channel, message["position"])

    def _pattern_positions(self, message: Message) -> Steps:
        """Where a pattern's channels stand. From now on a channel that is not there is new."""
        positions = dict(message["positions"])
        if message["complete"]:
            positions[message["channel"]] = BEGUN
        self._positions.update(positions)
        yield Store(positions)

    def _item(self, message: Message, position: str) -> Steps:
        yield Deliver(message)
        yield self._moved(message["channel"], position)

    def _moved(self, channel: str, position: str) -> Store:
        self._positions[channel] = position
        return Store({channel: position})

    def _error(self, message: Message) -> tuple[bool, float | None]:
        """Whether it ends the connection, and the delay that the server asks for."""
        problem = Problem.of(message)
        if problem.is_temporary:
            return message.get("ref") != "auth", problem.retry_after
        self._raise_unless_renewable(problem)
        return True, None

    def _refused(self, reply: Reply) -> float | None:
        if not isinstance(reply, Answer):
            return None
        problem = Problem.of(reply.fields, reply.status)
        if not problem.is_temporary:
            self._raise_unless_renewable(problem)
        return reply.retry_after

    def _closed(self, closed: Closed) -> float | None:
        code = closed.code
        if code is not None and (code in FATAL_CODES or 4400 <= code < 4500):
            status = code - 4000 if code >= 4000 else 400
            name = closed.reason if code >= 4000 and closed.reason else f"close_{code}"
            problem = Problem(name, f"the connection was closed with {code}", status)
            if not problem.is_temporary:
                self._raise_unless_renewable(problem)
        return None

    def _raise_unless_renewable(self, problem: Problem) -> None:
        self._expired_tokens += 1
        renewable = problem.code == "token_expired" and self._renewable
        if not renewable or self._expired_tokens > FRESH_TOKENS:
            raise refusal(problem)
