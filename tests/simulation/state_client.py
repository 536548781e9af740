"""A client that holds the newest event of each key (PROTOCOL.md), and hears signals.

It begins with `since=state`, and comes back with `state:` and its cursor, or the cursor alone.
"""

from typing import TYPE_CHECKING, Any, ClassVar

from eventhub.events.channel_types import ChannelType
from eventhub.events.event import Event, Position, Since, State
from eventhub.events.keys import is_deletion, key_of
from eventhub.events.since import parse_since
from tests.simulation.client import Client, Line
from tests.simulation.promise import Promise, position
from tests.simulation.state_log import StateLog

if TYPE_CHECKING:
    from tests.simulation.state_world import StateWorld


class Holding:
    """What a client holds of a channel, over all its connections."""

    def __init__(self) -> None:
        self.keys: dict[str, Position] = {}
        self.at: Position | None = None
        """It has seen everything up to here that its keys need."""
        self.head: Position | None = None
        """Where the state ends that it reads."""
        self.missed = False
        """A gap came: it must ask for the state again."""

    @property
    def whole(self) -> bool:
        """It has had all events of the state."""
        at, head = self.at, self.head
        return (
            at is not None
            and head is not None
            and (at.epoch == head.epoch and at.offset >= head.offset)
        )

    def clear(self) -> None:
        self.keys.clear()
        self.at = self.head = None
        self.missed = False

    def take(self, event: Event) -> None:
        """Get an event."""
        if is_deletion(event):
            self.keys.pop(key_of(event), None)
        else:
            self.keys[key_of(event)] = event.position
        self.at = event.position


class StatePromise(Promise):
    """What a subscription may be told next that begins with the state, or goes on from one."""

    def __init__(self, log: StateLog, kind: ChannelType, since: Since, holding: Holding) -> None:
        super().__init__(log, kind, since)
        self._state = log
        self._holding = holding
        self._reads_state = isinstance(since, State)
        self._had_event = False

    def see(self, message: dict[str, Any], *, was_full: bool) -> None:
        super().see(message, was_full=was_full)
        holding = self._holding
        if message["type"] == "subscribed" and self._reads_state and not holding.keys:
            holding.head = position(message["head"])
            if not holding.head.offset:
                holding.at = holding.head
        elif message["type"] == "event" and not holding.missed:
            assert self.at is not None
            holding.take(self._log.events[self.at])
        self._had_event = self._had_event or message["type"] == "event"

    def complete(self) -> None:
        """Everything under way has come: the client holds the state.

        From here on nothing is left out. What was just now are deletions of what it never held.
        """
        if self._log.unseen:
            return
        held, state, newest = self._holding.keys, self._state.held, self._state.newest
        missing = {key: at for key, at in state.items() if held.get(key) != at}
        assert not missing, f"the client holds {held}, the newest are {missing}"
        gone = {key: at for key, at in held.items() if key not in state}
        for key, at in gone.items():  # it left the state, of which nobody is told
            assert newest[key].position == at, f"the client holds {key} as of {at}"
        self._reads_state, self._line, self.at = False, None, self._log.end

    def _check_left_out(self, cursor: Position, event: Event) -> None:
        if not self._reads_state:
            super()._check_left_out(cursor, event)
        assert event.epoch == cursor.epoch, f"{event.position} comes after {cursor}"
        assert event.offset > cursor.offset, f"{event.position} comes after {cursor}"
        self._check_superseded(cursor, Position(event.epoch, event.previous))

    def _check_superseded(self, after: Position, end: Position) -> None:
        between = self._between(after, end)
        missing = [each.position for each in between if not self._state.may_leave_out(each)]
        assert not missing, f"{missing} are the newest of their keys, and are left out"

    def _gap(self, message: dict[str, Any], *, was_full: bool) -> None:
        after = position(message["after"]) if message["after"] else None
        if message["reason"] in ("expired", "reset"):
            self._start_again(position(message["position"]))
            return
        if self._reads_state and after not in (self.at, self._line):
            assert after is not None
            assert self.at is not None
            self._check_superseded(self.at, after)
            self.at = after
        before = self.at
        super()._gap(message, was_full=was_full)
        if message["reason"] == "slow" and not self._holding.missed:
            self._holding.missed = True
            self._holding.at = before

    def _start_again(self, stands: Position) -> None:
        """The client forgets what it holds. If the log was there from its beginning, it follows."""
        self._gap_follows = False
        self._line, self._survivors = None, set()
        head = None if self._had_event else self._holding.head
        self._holding.clear()
        self._holding.head = head
        self._holding.missed = stands.offset > 0
        self.at = stands


class StateLine(Line):
    """One connection."""

    def __init__(self, client: "StateClient", *arguments: Any) -> None:
        super().__init__(client, *arguments)
        self._holder = client
        self._again: set[str] = set()
        """Channels whose state it asks for again, when it has unsubscribed."""

    def _handle(self, message: dict[str, Any]) -> None:
        channel = message.get("channel", "")
        if message["type"] == "signal":
            promise = self.promises.get(channel)
            assert promise is not None, f"of a channel without a subscription: {message}"
            assert promise.at is not None, "a signal before subscribed"
            self._holder.world.signals.hear(self.name, message)
            return
        super()._handle(message)
        if message["type"] == "unsubscribed":
            self._again.discard(channel)
        holding = self._holder.holdings.get(channel)
        if holding is not None and holding.missed and channel not in self._again:
            self._again.add(channel)
            self.send({"type": "unsubscribe", "channel": channel})


class StateClient(Client):
    """Somebody who holds states."""

    line_type: ClassVar[type[Line]] = StateLine
    world: "StateWorld"

    def __init__(self, world: Any, number: int) -> None:
        super().__init__(world, number)
        self.holdings: dict[str, Holding] = {}

    def is_member(self, channel: str) -> bool:
        return False

    def subscribe(self, channel: str, since: str) -> None:
        if channel not in self.wanted:
            self.holdings.pop(channel, None)
            if self.world.chance.happens(0.7):
                since = "state"
                self.holdings[channel] = Holding()
        super().subscribe(channel, since)

    def _subscribe(self, channel: str) -> None:
        assert self.line is not None
        log, kind = self.world.store.log(channel), self.world.types.resolve(channel)
        assert isinstance(log, StateLog)
        if (holding := self.holdings.get(channel)) is None:
            cursor = self.cursors.get(channel)
            since = self.wanted[channel] if cursor is None else str(cursor)
            self.line.promises[channel] = Promise(log, kind, parse_since(since))
        else:
            since = self._since(holding)
            self.line.promises[channel] = StatePromise(log, kind, parse_since(since), holding)
        self.line.send({"type": "subscribe", "ref": channel, "channel": channel, "since": since})

    def _since(self, holding: Holding) -> str:
        at = holding.at
        if at is None or not holding.whole:
            holding.clear()
            return "state"
        if holding.missed:
            holding.missed = False
            return f"state:{at}"
        return self.world.chance.pick((f"state:{at}", str(at)))
