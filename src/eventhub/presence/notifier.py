"""Who is told of members that come and go, and when. No clock of its own, no await.

The rules:

1. What changes in a channel is gathered, and told to all of its watchers at once: one write for each. Whoever came and went
   meanwhile is not mentioned, so a client that comes and goes all the time is told of once a gathering, or not at all.
2. A watcher is told what changed since it began to watch: `subscribed` had what was before.
3. Where much has changed at once, or a watcher had no room when others were told, a `presence` message with the whole list takes
   the place of `join` and `leave`. No watcher is ended for having no room: the list is short, and told once it has drained.
4. A crowd is told its number, and names where they are few, once in CROWD_SECONDS: a channel of ten thousand that told each of
   its members of each would send a hundred million messages to fill.
5. `flush` pauses after each channel, and in a large one after each SLICE of watchers.
"""

from collections.abc import Callable, Iterator
from typing import Any

import orjson

from eventhub.delivery.encoding import Encoding
from eventhub.delivery.subscriber import Subscriber
from eventhub.delivery.writes import Write, write_all
from eventhub.presence.roster import PresenceChange, Roster

CROWD = 200
"""Members, or watchers, beyond which a channel's watchers hear of changes now and then; and of the
number alone, if members are so many.
"""
CROWD_SECONDS = 1.0
SLICE = 250
"""Watchers told in one go."""
CHANGES = 32
"""Changes that are told one by one. Beyond it the whole list is hardly longer."""
BEGINNINGS = 8
"""Moments within a gathering at which watchers may have begun; those who begin later get the whole
list.
"""

News = dict[str, bool]
"""Members that came (True) or went since a moment, without those who did both."""


class ChannelWatchers:
    """The watchers of one channel, and what they are to be told."""

    __slots__ = ("_listed", "behind", "crowded", "news", "told", "watching")

    def __init__(self) -> None:
        self.watching: dict[Subscriber, int] = {}
        """Those to tell, and the part of the news with which each began."""
        self.news: list[News] = [{}]
        """What has changed since they were last told, in parts: a watcher that comes begins a new
        one. Not kept for a crowd.
        """
        self.behind: dict[Subscriber, None] = {}
        """Those who need the whole list."""
        self.crowded = False
        """They have been told as a crowd, and do not know all names."""
        self.told = 0.0
        """When that was."""
        self._listed: bytearray | None = None

    def note(self, member: str, *, joined: bool) -> None:
        """A member came or went."""
        if self.crowded:
            self._listed = None
            return
        if joined and self._listed is not None:
            self._listed += (b"," if self._listed else b"") + _named(member)
        else:
            self._listed = None
        _add(self.news[-1], member, joined=joined)

    def begin(self, subscriber: Subscriber) -> None:
        """It knows what is true now."""
        if self.news[-1] and len(self.news) < BEGINNINGS:
            self.news.append({})
        elif self.news[-1]:
            self.behind[subscriber] = None
        self.watching[subscriber] = len(self.news) - 1

    def since(self, part: int) -> News:
        """What has changed since this part of the news began."""
        changed: News = {}
        for news in self.news[part:]:
            for member, joined in news.items():
                _add(changed, member, joined=joined)
        return changed

    def listed(self, members: Callable[[], list[str]]) -> bytes:
        """The list of members as JSON. Kept while nobody goes: a crowd that comes asks for it as often as it has members."""
        if self._listed is None:
            self._listed = bytearray(orjson.dumps([{"id": member} for member in members()])[1:-1])
        return b"[%b]" % bytes(self._listed)

    def forget(self) -> None:
        """The news have been told, or are about to be."""
        self.news = [{}]
        self.watching = dict.fromkeys(self.watching, 0)


class PresenceWatchers:
    """The subscribers that asked for presence, by channel. `wake` is called when there is something to tell: call `flush` soon.

    `broke` ends a connection that could not be written to, but not from inside the call.
    """

    def __init__(
        self,
        roster: Roster,
        wake: Callable[[], None],
        broke: Callable[[Subscriber, Exception], None],
    ) -> None:
        self._broke = broke
        self._roster = roster
        self._wake = wake
        self._audiences: dict[str, ChannelWatchers] = {}
        self._due: dict[str, None] = {}  # channels with something to tell

    def add(self, subscriber: Subscriber) -> dict[str, Any]:
        """Tell it what changes from now on. What is true now, as message fields."""
        audience = self._audiences.setdefault(subscriber.channel, ChannelWatchers())
        audience.begin(subscriber)
        audience.crowded = audience.crowded or self._is_crowd(subscriber.channel, audience)
        return self._fields(subscriber.channel, audience)

    def discard(self, subscriber: Subscriber) -> None:
        """Tell it nothing more."""
        if (audience := self._audiences.get(subscriber.channel)) is not None:
            audience.watching.pop(subscriber, None)
            audience.behind.pop(subscriber, None)
            if not audience.watching:
                del self._audiences[subscriber.channel]
                self._due.pop(subscriber.channel, None)

    def drained(self, subscriber: Subscriber) -> None:
        """It has room again."""
        audience = self._audiences.get(subscriber.channel)
        if audience is not None and subscriber in audience.behind:
            self._call(subscriber.channel)

    def tell(self, change: PresenceChange) -> None:
        """A member came or went."""
        if (audience := self._audiences.get(change.channel)) is not None:
            audience.note(change.member, joined=change.joined)
            self._call(change.channel)

    @property
    def due(self) -> bool:
        """There is something to tell."""
        return bool(self._due)

    def flush(self, now: float) -> Iterator[None]:
        """Tell all that is due, at `now` in seconds; a crowd only when its time has come."""
        for channel in list(self._due):
            audience = self._audiences.get(channel)
            if audience is None or channel not in self._due:
                continue  # the last of them left meanwhile
            crowd = self._is_crowd(channel, audience)
            if (crowd or audience.crowded) and now < audience.told + CROWD_SECONDS:
                continue
            del self._due[channel]
            if crowd or audience.crowded:
                audience.crowded, audience.told = crowd, now
                yield from self._tell_crowd(channel, audience)
            else:
                self._tell_each(channel, audience)
            yield

    def _call(self, channel: str) -> None:
        if not self._due:
            self._wake()
        self._due[channel] = None

    def _tell_each(self, channel: str, audience: ChannelWatchers) -> None:
        """Each gets what is new to it, in one write: changes, or the whole list."""
        fields = {"channel": channel, **self._fields(channel, audience)}
        changes: dict[int, News] = {}
        ready: dict[tuple[int | None, Encoding], list[Write]] = {}
        for subscriber, part in audience.watching.items():
            if part not in changes:
                changes[part] = audience.since(part)
            whole = subscriber in audience.behind or len(changes[part]) > CHANGES
            if not whole and not changes[part]:
                continue
            if subscriber.writer.full:
                audience.behind[subscriber] = None
                continue
            audience.behind.pop(subscriber, None)
            ready.setdefault((None if whole else part, subscriber.writer.encoding), []).append(
                subscriber.writer.write
            )
        for (told, encoding), writes in ready.items():
            message = (
                encoding.message("presence", fields)
                if told is None
                else _changes(channel, changes[told], encoding)
            )
            self._write(audience, writes, message)
        audience.forget()

    def _tell_crowd(self, channel: str, audience: ChannelWatchers) -> Iterator[None]:
        """All get the same, slice by slice. What changes meanwhile is news again."""
        watching = list(audience.watching)
        audience.forget()
        fields = {"channel": channel, **self._fields(channel, audience)}
        messages: dict[Encoding, bytes] = {}
        for begin in range(0, len(watching), SLICE):
            if begin:
                yield
            ready: dict[Encoding, list[Write]] = {}
            for subscriber in watching[begin : begin + SLICE]:
                if subscriber not in audience.watching:
                    continue
                if subscriber.writer.full:
                    audience.behind[subscriber] = None
                    continue
                audience.behind.pop(subscriber, None)
                ready.setdefault(subscriber.writer.encoding, []).append(subscriber.writer.write)
            for encoding, writes in ready.items():
                if encoding not in messages:
                    messages[encoding] = encoding.message("presence", fields)
                self._write(audience, writes, messages[encoding])

    def _write(self, audience: ChannelWatchers, writes: list[Write], message: bytes) -> None:
        for failed, error in write_all(writes, message) or ():
            for subscriber in [each for each in audience.watching if each.writer.write == failed]:
                audience.watching.pop(subscriber)
                self._broke(subscriber, error)

    def _fields(self, channel: str, audience: ChannelWatchers) -> dict[str, Any]:
        """How many members there are, and who, unless they are a crowd."""
        count = self._roster.count(channel)
        if count > CROWD:
            return {"count": count}
        return {
            "count": count,
            "members": orjson.Fragment(audience.listed(lambda: self._roster.members(channel))),
        }

    def _is_crowd(self, channel: str, audience: ChannelWatchers) -> bool:
        return len(audience.watching) > CROWD or self._roster.count(channel) > CROWD


def _add(news: News, member: str, *, joined: bool) -> None:
    if (
        news.pop(member, joined) == joined
    ):  # otherwise it came and went, or went and came, before anybody was told
        news[member] = joined


def _changes(channel: str, news: News, encoding: Encoding) -> bytes:
    return b"".join(
        encoding.message(
            "join" if joined else "leave", {"channel": channel, "member": {"id": member}}
        )
        for member, joined in news.items()
    )


def _named(member: str) -> bytes:
    return orjson.dumps({"id": member})
