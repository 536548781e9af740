"""What one subscription may be told next, by PROTOCOL.md. It knows the log and nothing of feeds."""

from typing import Any

from eventhub.events.channel_types import ChannelType, SlowReaderPolicy
from eventhub.events.event import (
    Age,
    Earliest,
    Event,
    Last,
    Latest,
    Position,
    Since,
    asked_position,
)
from eventhub.events.since import parse_since
from tests.simulation.log import Log


class Promise:
    """One subscription, as its client sees it. `see` raises AssertionError."""

    def __init__(self, log: Log, kind: ChannelType, since: Since) -> None:
        self.at: Position | None = None
        """The client's cursor."""
        self._log = log
        self._kind = kind
        self._since = since
        self._made_up = isinstance(since, Position) and not log.gave(since)
        self._gap_follows = False
        self._line: Position | None = None
        """Where the conflation ends that the client is in."""
        self._survivors: set[Position] = set()

    def see(self, message: dict[str, Any], *, was_full: bool) -> None:
        """Judge a message. `was_full`: the connection's buffer has been full."""
        match message["type"]:
            case "subscribed":
                self._subscribed(message)
            case "event":
                self._event(message)
            case "gap":
                self._gap(message, was_full=was_full)

    def complete(self) -> None:
        """Everything under way has come: nothing may be missing."""
        cursor, end = self._line or self.at, self._log.end
        assert cursor == end, f"the client is at {cursor}, the log at {end}"
        self._check_survivors()

    def _subscribed(self, message: dict[str, Any]) -> None:
        assert self.at is None, "subscribed twice"
        start, head = position(message["position"]), position(message["head"])
        self._gap_follows = not message["recovered"]
        match self._since:
            case Position():
                assert start == self._since, f"began at {start} instead of {self._since}"
            case Latest():
                assert start == head, f"latest began at {start}, before {head}"
            case Earliest():
                if start.epoch == self._log.epoch:
                    assert start.offset <= self._log.trimmed, "retained events are left out"
            case Last(count):
                events = self._between(start, head)
                replayed = sum(self._log.gave(event.position) for event in events)
                assert replayed <= count, f"{replayed} events, not the last {count}"
            case Age():
                pass
        assert message["recovered"] or asked_position(self._since) is not None
        self.at = start

    def _event(self, message: dict[str, Any]) -> None:
        assert self.at is not None, "an event before subscribed"
        assert not self._gap_follows, "an event where a gap was announced"
        event = self._log.events.get(position(message["id"]))
        assert event is not None, f"{message['id']} was never stored"
        if self._line is not None and self._order(event.position) <= self._order(self._line):
            assert self._order(event.position) > self._order(self.at), "out of order"
            self._check_newest(event)
        else:
            self._check_follows(event)
        self.at = event.position
        self._survivors.discard(event.position)

    def _check_follows(self, event: Event) -> None:
        cursor = self._line or self.at
        assert cursor is not None
        if (event.epoch, event.previous) != cursor:
            self._check_left_out(cursor, event)
        self._check_survivors()
        self._line = None
        self._survivors = set()

    def _check_left_out(self, cursor: Position, event: Event) -> None:
        raise AssertionError(f"{event.position} follows {cursor}")

    def _check_survivors(self) -> None:
        missing = {each for each in self._survivors if self._is_there(each)}
        assert not missing, f"the newest events of their keys did not come: {missing}"

    def _check_newest(self, event: Event) -> None:
        assert self._line is not None
        key = self._kind.conflation_key(event)
        newer = [
            later
            for later in self._between(event.position, self._line)
            if self._kind.conflation_key(later) == key and self._is_there(later.position)
        ]
        assert not newer, f"{event.position} is not the newest of its key"

    def _gap(self, message: dict[str, Any], *, was_full: bool) -> None:
        assert self.at is not None, "a gap before subscribed"
        after = position(message["after"]) if message["after"] else None
        stands, before = position(message["position"]), position(message["before"])
        if isinstance(self._since, Position) or after is not None:
            assert after in (self.at, self._line), (
                f"a gap after {after}, the client is at {self.at}"
            )
        self._gap_follows = False
        match message["reason"]:
            case "expired":
                assert after is not None
                assert after.epoch == stands.epoch
                assert after.offset < stands.offset
                self._check_nothing_left_out(stands)
            case "reset":
                made_up = self._made_up and after == self._since
                assert made_up or after is None or not self._is_known(after, stands), (
                    f"{after} is known"
                )
                self._check_nothing_left_out(stands)
            case "slow":
                assert self._kind.slow is SlowReaderPolicy.DROP
                self._check_skipped(message["skipped"], stands, was_full=was_full)
            case "conflated":
                self._conflated(message, Position(before.epoch, before.offset - 1), was_full)
            case reason:
                raise AssertionError(f"a gap without a known reason: {reason}")
        if message["reason"] != "conflated":
            self._line = None
            self._survivors = set()
        self.at = stands

    def _check_nothing_left_out(self, stands: Position) -> None:
        if stands.epoch == self._log.epoch:
            assert stands.offset <= self._log.trimmed, "retained events are left out"

    def _is_known(self, after: Position, stands: Position) -> bool:
        """Whether the log has always had a position."""
        return (
            after.epoch == stands.epoch
            and after not in self._log.lost
            and (after.offset == 0 or after in self._log.events)
        )

    def _conflated(self, message: dict[str, Any], line: Position, was_full: bool) -> None:  # noqa: FBT001  # passed on
        assert self._kind.slow is SlowReaderPolicy.LATEST
        assert self.at is not None
        self._check_skipped(message["skipped"], line, was_full=was_full)
        stands = position(message["position"])
        events_follow = stands in (self.at, self._line)
        newest = {
            self._kind.conflation_key(event): event.position
            for event in self._between(stands if events_follow else self.at, line)
        }
        self._line, self._survivors = line, set(newest.values())
        if not events_follow:
            self._check_survivors()
            self._survivors = set()

    def _check_skipped(self, skipped: int, end: Position, *, was_full: bool) -> None:
        assert was_full, "the reader was never slow"
        assert self.at is not None
        if not self._log.lost and len(self._log.epochs) == 1:  # otherwise some came twice
            assert skipped <= len(self._between(self.at, end)), "skipped counts too much"

    def _is_there(self, place: Position) -> bool:
        """Whether an event is still retained, so that it can always have been delivered."""
        return self._log.gave(place) and place.offset > self._log.trimmed

    def _between(self, after: Position, end: Position) -> list[Event]:
        """Every event after `after` and up to `end`, over all epochs, whatever became of it."""
        begin, last = self._order(after), self._order(end)
        return [
            event
            for event in self._log.events.values()
            if begin < self._order(event.position) <= last
        ]

    def _order(self, place: Position) -> tuple[int, int]:
        return self._log.epochs[place.epoch], place.offset


def position(text: str) -> Position:
    """The position that a message names."""
    found = parse_since(text)
    assert isinstance(found, Position)
    return found
