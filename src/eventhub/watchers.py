"""Who is told of members that come and go. Small channels hear of each; in a crowd a count now and then must do.

A channel of ten thousand that told each of its members of each would send a hundred million messages to fill.
"""

from collections.abc import Callable, Iterator
from typing import Any

from eventhub.encoding import Encoding
from eventhub.errors import EventHubError, SlowConsumer
from eventhub.presence import Change, Roster
from eventhub.subscriber import Subscriber

CROWD = 200
"""Members, or watchers, beyond which a channel's watchers hear of changes now and then; and of the number alone, if members are so many."""
SLICE = 250
"""Watchers told in one turn of the loop."""


class Watchers:
    """The subscribers that asked for presence, by channel. `fail` ends a connection, but not from inside the call: that changes members."""

    def __init__(self, roster: Roster, fail: Callable[[Subscriber, EventHubError], None]) -> None:
        self._roster = roster
        self._fail = fail
        self._watching: dict[str, dict[Subscriber, None]] = {}
        self._crowded: dict[str, bool] = {}  # channels too large to tell of each, and whether they have changed since they were told
        self._owed: dict[Subscriber, None] = {}  # had no room when their crowd was told

    def add(self, subscriber: Subscriber) -> dict[str, Any]:
        """Tell it what changes from now on. What is true now, as message fields."""
        channel = subscriber.channel
        self._watching.setdefault(channel, {})[subscriber] = None
        if self._is_crowd(channel):
            self._crowded.setdefault(channel, False)
        return self.state(channel)

    def discard(self, subscriber: Subscriber) -> None:
        """Tell it nothing more."""
        self._owed.pop(subscriber, None)
        if (watching := self._watching.get(subscriber.channel)) is not None:
            watching.pop(subscriber, None)
            if not watching:
                del self._watching[subscriber.channel]
                self._crowded.pop(subscriber.channel, None)

    def state(self, channel: str) -> dict[str, Any]:
        """How many members there are, and who, unless they are a crowd."""
        fields: dict[str, Any] = {"count": self._roster.count(channel)}
        if fields["count"] <= CROWD:
            fields["members"] = [{"id": member} for member in self._roster.members(channel)]
        return fields

    def tell(self, change: Change) -> None:
        """A member came or went."""
        channel, member, joined = change
        if channel not in self._watching:
            return
        if channel in self._crowded or self._is_crowd(channel):
            self._crowded[channel] = True
            return
        messages: dict[Encoding, bytes] = {}
        kind, fields = "join" if joined else "leave", {"channel": channel, "member": {"id": member}}
        for subscriber in list(self._watching[channel]):
            if not _write(subscriber, kind, fields, messages):  # it would have a wrong list for ever
                error = SlowConsumer(f"the connection's outgoing buffer is full and the members of {channel!r} change")
                self.discard(subscriber)
                self._fail(subscriber, error)

    def tell_crowds(self) -> Iterator[None]:
        """Tell who is in a crowd how large it is, if that has changed. Pauses after every slice."""
        for channel in [channel for channel, changed in self._crowded.items() if changed]:
            self._crowded[channel] = False
            if not self._is_crowd(channel):
                del self._crowded[channel]  # they get all names now, and then each change
            yield from self._tell_crowd(channel, list(self._watching.get(channel, ())))
        for subscriber in [subscriber for subscriber in self._owed if not subscriber.writer.full]:
            del self._owed[subscriber]
            yield from self._tell_crowd(subscriber.channel, [subscriber])

    def _tell_crowd(self, channel: str, watching: list[Subscriber]) -> Iterator[None]:
        fields, messages = {"channel": channel, **self.state(channel)}, dict[Encoding, bytes]()
        for number, subscriber in enumerate(watching):
            if number % SLICE == SLICE - 1:
                yield
            if subscriber in self._watching.get(channel, ()) and not _write(subscriber, "presence", fields, messages):
                self._owed[subscriber] = None

    def _is_crowd(self, channel: str) -> bool:
        return self._roster.count(channel) > CROWD or len(self._watching.get(channel, ())) > CROWD


def _write(subscriber: Subscriber, kind: str, fields: dict[str, Any], messages: dict[Encoding, bytes]) -> bool:
    """Write a message, encoded once for all. False when there is no room."""
    writer = subscriber.writer
    if writer.full:
        return False
    if (message := messages.get(writer.encoding)) is None:
        message = messages[writer.encoding] = writer.encoding.message(kind, fields)
    writer.write(message)
    return True
