"""A client that subscribes to patterns, and keeps a position for each channel (PROTOCOL.md)."""

from collections.abc import Iterable
from typing import Any, ClassVar

from eventhub.common.channel_pattern import ChannelPattern
from eventhub.events.event import LATEST, Position, Since
from eventhub.events.since import parse_since
from tests.simulation.client import Client, Line
from tests.simulation.log import Log
from tests.simulation.promise import Promise, position
from tests.simulation.types import TYPES


class ChannelPromise(Promise):
    """What a subscription to a pattern may be told next of one channel.

    `known`: where the channel ended when the pattern was first subscribed to, None if there was no
    such channel. `begin` is a position that the client named.
    """

    def __init__(
        self, log: Log, since: Since, known: Position | None, begin: Position | None
    ) -> None:
        super().__init__(log, TYPES.resolve(log.channel), since if begin is None else begin)
        self.at = begin
        self._known = known

    def see(self, message: dict[str, Any], *, was_full: bool) -> None:
        if self.at is None:
            self._see_first(message)
        else:
            super().see(message, was_full=was_full)

    def stands(self, place: Position) -> None:
        """The server says where the client stands."""
        if self.at is None:
            self._check_since(place)
            self.at = place
        assert place in (self.at, self._line), f"positions says {place}, the client is at {self.at}"

    def complete(self) -> None:
        if self.at is not None:
            super().complete()
        elif self._since == LATEST:
            self._check_since(self._log.end)

    def _see_first(self, message: dict[str, Any]) -> None:
        """An event or a gap of a channel that is new to the client."""
        if message["type"] == "event":
            event = self._log.events[position(message["id"])]
            if self._since == LATEST:
                self._check_since(Position(event.epoch, event.previous))
            self.at = event.position
        else:
            after = position(message["after"]) if message["after"] else None
            self.at = after if after is not None else position(message["position"])
            super().see(message, was_full=True)

    def _check_since(self, place: Position) -> None:
        """Of the events up to here, each was there when the client subscribed."""
        if self._since != LATEST or place.epoch != self._log.epoch:
            return
        begin = Position(place.epoch, 0)
        if self._known is not None and self._known.epoch == place.epoch:
            begin = self._known
        missed = [each.position for each in self._between(begin, place)]
        missed = [each for each in missed if each not in self._log.lost]
        assert not missed, f"{missed} came after the subscription, and are left out"


class Subscribed:
    """A pattern that a client wants, over all its connections."""

    def __init__(self, since: str) -> None:
        self.since = since
        self.known: dict[str, Position] | None = None
        """Where each channel ended when the first `subscribed` came."""
        self.complete = False
        """The server has said where the client stands in every channel."""


class PatternLine(Line):
    """One connection."""

    def __init__(self, client: "PatternClient", *arguments: Any) -> None:
        super().__init__(client, *arguments)
        self.patterns = client.patterns
        self.client = client
        self.begins: dict[str, tuple[Since, dict[str, Position]]] = {}
        """By pattern: where its channels begin, and those that the client named."""
        self.begun: set[str] = set()
        self.complete: set[str] = set()

    def promise_of(self, channel: str) -> ChannelPromise:
        """What may be said of a channel."""
        found = self.promises.get(channel)
        if found is None:
            pattern = self.client.pattern_of(channel)
            assert pattern in self.begins, f"{channel} is not subscribed to"
            since, named = self.begins[pattern]
            wanted = self.client.subscribed[pattern]
            assert wanted.known is not None, "before subscribed"
            log = self.client.world.store.log(channel)
            found = self.promises[channel] = ChannelPromise(
                log, since, wanted.known.get(channel), named.get(channel)
            )
        assert isinstance(found, ChannelPromise)
        return found

    def end(self, pattern: str) -> None:
        """A subscription has ended."""
        del self.begins[pattern]
        self.begun.discard(pattern)
        self.complete.discard(pattern)
        for channel in list(self.promises):
            if self.client.pattern_of(channel) == pattern:
                del self.promises[channel]

    def check_complete(self, wanted: Iterable[str]) -> None:
        assert set(self.begins) == set(wanted), f"{self.name} is not subscribed"
        assert self.complete == set(wanted), f"{self.name} waits for positions"
        for channel, log in self.client.world.store.logs.items():
            if self.client.pattern_of(channel) in self.begins and log.events:
                self.promise_of(channel).complete()

    def _handle(self, message: dict[str, Any]) -> None:
        channel = message.get("channel", "")
        match message["type"]:
            case "subscribed":
                self._subscribed(channel)
            case "positions":
                assert channel in self.begun, "positions before subscribed"
                assert channel not in self.complete
                for name, text in message["positions"].items():
                    self.promise_of(name).stands(position(text))
                    self._keep(name)
                if message["complete"]:
                    self.complete.add(channel)
                    self.client.subscribed[channel].complete = True
            case "event" | "gap":
                assert self.client.pattern_of(channel) in self.begun
                self.promise_of(channel).see(message, was_full=self.was_full)
                self._keep(channel)
            case "unsubscribed":
                self.end(channel)
                self.client.unsubscribed(channel)
            case _:
                super()._handle(message)

    def _subscribed(self, pattern: str) -> None:
        assert pattern not in self.begun, "subscribed twice"
        self.begun.add(pattern)
        wanted = self.client.subscribed[pattern]
        logs = self.client.world.store.logs
        if wanted.known is None:
            wanted.known = {name: log.end for name, log in logs.items()}
        # What has come and gone while the client was away, in a channel that it never saw, nobody
        # tells.
        held = self.begins[pattern][1]
        wanted.known |= {
            name: log.end for name, log in logs.items() if not log.retained and name not in held
        }

    def _keep(self, channel: str) -> None:
        at = self.promises[channel].at
        assert at is not None
        self.client.cursors[channel] = at


class PatternClient(Client):
    """Somebody who listens to patterns that have no channel in common."""

    line_type: ClassVar[type[Line]] = PatternLine

    def __init__(self, world: Any, number: int) -> None:
        super().__init__(world, number)
        self.patterns = [ChannelPattern(text) for text in world.chance.pick(PATTERNS)]
        self.subscribed: dict[str, Subscribed] = {}

    def is_member(self, channel: str) -> bool:
        return False  # patterns have no members

    def pattern_of(self, channel: str) -> str:
        """The pattern that a channel fits, "" if there is none."""
        return next((each.text for each in self.patterns if each.covers(channel)), "")

    def subscribe(self, channel: str, since: str) -> None:
        pattern = self.pattern_of(channel)
        if not pattern or pattern in self.wanted or "-" in since.lstrip("-"):
            return
        line = self.line
        assert line is None or isinstance(line, PatternLine)
        if line is not None and pattern in line.begins:
            return  # it is being unsubscribed
        self.wanted[pattern] = since
        self.subscribed[pattern] = Subscribed(since)
        for name in list(self.cursors):
            if self.pattern_of(name) == pattern:
                del self.cursors[name]
        if line is not None:
            self._subscribe(pattern)

    def unsubscribe(self, channel: str) -> None:
        pattern = self.pattern_of(channel)
        if isinstance(self.line, PatternLine) and pattern in self.line.begins:
            self.wanted.pop(pattern, None)
            self.line.send({"type": "unsubscribe", "channel": pattern})

    def _subscribe(self, channel: str) -> None:
        assert isinstance(self.line, PatternLine)
        held = {name: at for name, at in self.cursors.items() if self.pattern_of(name) == channel}
        wanted = self.subscribed[channel]
        resumes = wanted.complete or bool(held)
        since = parse_since(wanted.since)
        if not resumes:  # as if it had never subscribed
            wanted.known = None
        self.line.begins[channel] = (LATEST if resumes else since), held
        self.line.send(
            {
                "type": "subscribe",
                "ref": channel,
                "channel": channel,
                "since": {name: str(at) for name, at in held.items()} if resumes else wanted.since,
            }
        )


PATTERNS = ([">"], ["*.*"], ["drop.>", "latest.*", "disconnect.>"], ["drop.*", "latest.>"])
"""What a client listens to."""
