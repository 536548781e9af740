"""Tells watchers of a channel which members join and leave, and when. No clock, no await.

The rules:

1. The changes of a channel are gathered and sent to all its watchers together, one write for each.
   A member that joined and left in between is not mentioned, nor is data that is as it was.
2. A watcher gets the changes since it began to watch. `subscribed` had the members before that.
3. After many changes, or when a watcher had no room, a `presence` message with all members replaces
   `join`, `leave` and `update`. No watcher is disconnected for having no room.
4. A crowd gets the number of members, and their names if they are few, once in CROWD_SECONDS. With
   single messages, ten thousand members would cause a hundred million messages.
5. `flush` pauses after each channel, and in a crowd after every SLICE watchers.
"""

from collections.abc import Callable, Iterator
from typing import Any

import orjson

from eventhub.delivery.bulk_write import Write, write_all
from eventhub.delivery.encoding import Encoding
from eventhub.delivery.subscriber import Subscriber
from eventhub.presence.member_data import PresenceChange, member_json
from eventhub.presence.roster import Roster

CROWD = 200
"""With more members or watchers, a channel is a crowd. With more members, its messages have no
names.
"""
CROWD_SECONDS = 1.0
SLICE = 250
"""Watchers that get a message without a pause."""
MAX_CHANGES = 32
"""With more changes, watchers are sent all members."""
BEGINNINGS = 8
"""Parts of the gathered changes. A watcher begins one; later watchers are sent all members."""

Changes = dict[str, tuple[bytes | None, bytes | None]]
"""The data of members before and after (`PresenceChange`). A member that is as it was is not in it.
"""


class ChannelWatchers:
    """The watchers of one channel, and the changes to tell them."""

    __slots__ = ("_listed", "behind", "changes", "crowded", "last_told", "watching")

    def __init__(self) -> None:
        self.watching: dict[Subscriber, int] = {}
        """Each watcher, and the part of `changes` with which it began."""
        self.changes: list[Changes] = [{}]
        """Changes that have not been sent, in parts. A new watcher begins a part. Not kept for a
        crowd.
        """
        self.behind: dict[Subscriber, None] = {}
        """Watchers that must be sent all members."""
        self.crowded = False
        """The watchers got only the number of members, and do not know all names."""
        self.last_told = 0.0
        """When the crowd last got a message, in seconds."""
        self._listed: bytearray | None = None

    def note(self, change: PresenceChange) -> None:
        """A member joined, left or changed."""
        if self.crowded:
            self._listed = None
            return
        if change.before is None and change.after is not None and self._listed is not None:
            self._listed += b"," if self._listed else b""
            self._listed += member_json(change.member, change.after)
        else:
            self._listed = None
        _add(self.changes[-1], change.member, change.before, change.after)

    def begin(self, subscriber: Subscriber) -> None:
        """Add a watcher that knows all members of this moment."""
        if self.changes[-1] and len(self.changes) < BEGINNINGS:
            self.changes.append({})
        elif self.changes[-1]:
            self.behind[subscriber] = None
        self.watching[subscriber] = len(self.changes) - 1

    def since(self, part: int) -> Changes:
        """The changes since a part began."""
        changed: Changes = {}
        for changes in self.changes[part:]:
            for member, (before, after) in changes.items():
                _add(changed, member, before, after)
        return changed

    def listed(self, members: Callable[[], list[tuple[str, bytes]]]) -> bytes:
        """All members as JSON. Kept while members only join: a crowd that joins asks often."""
        if self._listed is None:
            self._listed = bytearray(b",".join([member_json(*each) for each in members()]))
        return b"[%b]" % bytes(self._listed)

    def forget(self) -> None:
        """The changes have been sent, or are about to be."""
        self.changes = [{}]
        self.watching = dict.fromkeys(self.watching, 0)


class PresenceWatchers:
    """The subscribers that asked for presence, by channel.

    `wake` is called when there is something to tell: call `flush` soon. `serving_failed` closes a
    connection that could not be written to, but not from inside the call.
    """

    def __init__(
        self,
        roster: Roster,
        wake: Callable[[], None],
        serving_failed: Callable[[Subscriber, Exception], None],
    ) -> None:
        self._serving_failed = serving_failed
        self._roster = roster
        self._wake = wake
        self._channels: dict[str, ChannelWatchers] = {}
        self._due: dict[str, None] = {}  # channels with changes to send

    def add(self, subscriber: Subscriber) -> dict[str, Any]:
        """Tell a subscriber of changes from now on. Returns the members as message fields."""
        watchers = self._channels.setdefault(subscriber.channel, ChannelWatchers())
        watchers.begin(subscriber)
        watchers.crowded = watchers.crowded or self._is_crowd(subscriber.channel, watchers)
        return self._fields(subscriber.channel, watchers)

    def discard(self, subscriber: Subscriber) -> None:
        """Tell a subscriber nothing more."""
        if (watchers := self._channels.get(subscriber.channel)) is not None:
            watchers.watching.pop(subscriber, None)
            watchers.behind.pop(subscriber, None)
            if not watchers.watching:
                del self._channels[subscriber.channel]
                self._due.pop(subscriber.channel, None)

    def drained(self, subscriber: Subscriber) -> None:
        """A subscriber's writer has room again."""
        watchers = self._channels.get(subscriber.channel)
        if watchers is not None and subscriber in watchers.behind:
            self._wake_for(subscriber.channel)

    def on_change(self, change: PresenceChange) -> None:
        """A member joined, left or changed."""
        if (watchers := self._channels.get(change.channel)) is not None:
            watchers.note(change)
            updated = change.before is not None and change.after is not None
            if not updated or self._roster.count(change.channel) <= CROWD:
                self._wake_for(change.channel)  # a number has no data

    @property
    def due(self) -> bool:
        """Whether `flush` has something to send."""
        return bool(self._due)

    def flush(self, now: float) -> Iterator[None]:
        """Send what is due at `now` in seconds. A crowd gets one message in CROWD_SECONDS."""
        for channel in list(self._due):
            watchers = self._channels.get(channel)
            if watchers is None or channel not in self._due:
                continue  # the last watcher has left meanwhile
            crowd = self._is_crowd(channel, watchers)
            if (crowd or watchers.crowded) and now < watchers.last_told + CROWD_SECONDS:
                continue
            del self._due[channel]
            if crowd or watchers.crowded:
                watchers.crowded, watchers.last_told = crowd, now
                yield from self._tell_crowd(channel, watchers)
            else:
                self._tell_each(channel, watchers)
            yield

    def _wake_for(self, channel: str) -> None:
        if not self._due:
            self._wake()
        self._due[channel] = None

    def _tell_each(self, channel: str, watchers: ChannelWatchers) -> None:
        """Send each watcher its changes, or all members, in one write."""
        fields = {"channel": channel, **self._fields(channel, watchers)}
        changes: dict[int, Changes] = {}
        ready: dict[tuple[int | None, Encoding], list[Write]] = {}
        for subscriber, part in watchers.watching.items():
            if part not in changes:
                changes[part] = watchers.since(part)
            whole = subscriber in watchers.behind or len(changes[part]) > MAX_CHANGES
            if not whole and not changes[part]:
                continue
            if subscriber.writer.full:
                watchers.behind[subscriber] = None
                continue
            watchers.behind.pop(subscriber, None)
            ready.setdefault((None if whole else part, subscriber.writer.encoding), []).append(
                subscriber.writer.write
            )
        for (first, encoding), writes in ready.items():
            message = (
                encoding.message("presence", fields)
                if first is None
                else _change_messages(channel, changes[first], encoding)
            )
            self._write(watchers, writes, message)
        watchers.forget()

    def _tell_crowd(self, channel: str, watchers: ChannelWatchers) -> Iterator[None]:
        """Send all watchers the same, slice by slice. Later changes are sent next time."""
        watching = list(watchers.watching)
        watchers.forget()
        fields = {"channel": channel, **self._fields(channel, watchers)}
        messages: dict[Encoding, bytes] = {}
        for begin in range(0, len(watching), SLICE):
            if begin:
                yield
            ready: dict[Encoding, list[Write]] = {}
            for subscriber in watching[begin : begin + SLICE]:
                if subscriber not in watchers.watching:
                    continue
                if subscriber.writer.full:
                    watchers.behind[subscriber] = None
                    continue
                watchers.behind.pop(subscriber, None)
                ready.setdefault(subscriber.writer.encoding, []).append(subscriber.writer.write)
            for encoding, writes in ready.items():
                if encoding not in messages:
                    messages[encoding] = encoding.message("presence", fields)
                self._write(watchers, writes, messages[encoding])

    def _write(self, watchers: ChannelWatchers, writes: list[Write], message: bytes) -> None:
        for failed, error in write_all(writes, message) or ():
            for subscriber in [each for each in watchers.watching if each.writer.write == failed]:
                watchers.watching.pop(subscriber)
                self._serving_failed(subscriber, error)

    def _fields(self, channel: str, watchers: ChannelWatchers) -> dict[str, Any]:
        """The number of members, and their ids if they are few."""
        count = self._roster.count(channel)
        if count > CROWD:
            return {"count": count}
        return {
            "count": count,
            "members": orjson.Fragment(watchers.listed(lambda: self._roster.listed(channel))),
        }

    def _is_crowd(self, channel: str, watchers: ChannelWatchers) -> bool:
        return len(watchers.watching) > CROWD or self._roster.count(channel) > CROWD


def _add(changes: Changes, member: str, before: bytes | None, after: bytes | None) -> None:
    first, _ = changes.pop(member, (before, None))
    if first != after:
        changes[member] = first, after  # otherwise the changes cancel out


def _change_messages(channel: str, changes: Changes, encoding: Encoding) -> bytes:
    return b"".join(
        encoding.message(_kind(before, after), _fields(channel, member, before, after))
        for member, (before, after) in changes.items()
    )


def _kind(before: bytes | None, after: bytes | None) -> str:
    if before is None:
        return "join"
    return "leave" if after is None else "update"


def _fields(channel: str, member: str, before: bytes | None, after: bytes | None) -> dict[str, Any]:
    """A member that left is told with its last data."""
    data = before if after is None else after
    return {"channel": channel, "member": orjson.Fragment(member_json(member, data or b""))}
