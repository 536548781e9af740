"""The list of channels: names from sorted sets, then a summary of each channel from its shard."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Protocol

from eventhub.brokers.redis.codec import CHANNELS, NAMES, KeyNames
from eventhub.brokers.redis.link import Reply
from eventhub.common.channel_pattern import ChannelPattern
from eventhub.common.sorted_names import SCAN, NamePage
from eventhub.errors import UnknownChannel
from eventhub.events.channel_types import Retention
from eventhub.events.event import ChannelPage, ChannelSummary, Position

AT_A_TIME = 256
"""Summaries that are requested before the answers have come."""
SETS = 1024
"""Sets of names that one script reads. It takes a millisecond of the server."""
NAMES_OF_A_SLOT = 4
"""Names that are read from each of a cluster's sets for one page. Of names that are spread over all
16,384 slots, some 3,000 are read before one slot has a fifth.
"""

NameRange = tuple[list[bytes], list[bytes]]
"""Names, and the last name of each set that may have more."""


class Request(Protocol):
    """Sends a command to the shard of a channel, or of a hash tag."""

    def __call__(self, channel: str, *command: str | bytes | int) -> Awaitable[Reply]: ...


class RedisChannelList:
    """Reads the list. `retention` gives a channel's retention."""

    def __init__(
        self, names: KeyNames, request: Request, retention: Callable[[str], Retention]
    ) -> None:
        self._names, self._request, self._retention = names, request, retention

    async def read(self, pattern: ChannelPattern, after: str, limit: int, now: int) -> ChannelPage:
        """A page of the list. Raises BrokerUnavailable."""
        names, following = await self._fitting(pattern, after, limit)
        found: list[ChannelSummary] = []
        for part in _parts(names, AT_A_TIME):
            summaries = await asyncio.gather(*(self._summary(name, now) for name in part))
            found += [summary for summary in summaries if summary is not None]
        return ChannelPage(found, following)

    async def _fitting(self, pattern: ChannelPattern, after: str, limit: int) -> NamePage:
        looked_at, complete = await self._following(pattern.prefix, after)
        found: list[str] = []
        reached = after
        for name in looked_at:
            if len(found) == limit:
                return NamePage(found, reached)
            reached = name
            if pattern.covers(name):
                found.append(name)
        return NamePage(found, None if complete else reached)

    async def _following(self, prefix: str, after: str) -> tuple[list[str], bool]:
        """The first names after `after` that begin with a prefix. True: there are no more.

        The sets are merged up to the first end of a set that may have more. The highest byte of a
        name is below 127.
        """
        low = f"({after}" if after >= prefix and after else f"[{prefix}" if prefix else "-"
        sets = [
            await self._range(tags, low, f"({prefix}\x7f")
            for tags in _parts(self._names.tags, SETS)
        ]
        names = sorted(name.decode() for found, _ in sets for name in found)
        ends = [end.decode() for _, reached in sets for end in reached]
        end = names[SCAN - 1] if len(names) > SCAN else None
        end = min([*ends, *([] if end is None else [end])], default=None)
        return [name for name in names if end is None or name <= end], end is None

    async def _range(self, tags: Sequence[str], low: str, high: str) -> NameRange:
        """The names of some sets. All are mostly at one server; the others are asked for singly."""
        first, *others = (self._names.channels_of(tag) for tag in tags)
        most = SCAN + 1 if self._names.tags == ("",) else NAMES_OF_A_SLOT
        found, reached, elsewhere = await self._request(
            tags[0], "EVALSHA", NAMES.sha, 1, first, low, high, most, *others
        )
        for place in elsewhere:
            tag = tags[place - 1]
            more, ends, _ = await self._request(
                tag, "EVALSHA", NAMES.sha, 1, self._names.channels_of(tag), low, high, most
            )
            found, reached = found + more, reached + ends
        return found, reached

    async def _summary(self, channel: str, now: int) -> ChannelSummary | None:
        """None without retained events."""
        try:
            retention = self._retention(channel)
        except UnknownChannel:  # its type is no longer declared
            return None
        names = self._names
        keys = (names.metadata, names.log, names.epoch, names.channels)
        answer = await self._request(
            channel, "EVALSHA", CHANNELS.sha, 4, *(key(channel) for key in keys), channel
        )
        if not answer or not answer[1] or retention.events == 0:
            return None
        epoch, newest, events = answer
        offset, _, time = newest.partition(b"-")
        if retention.age is not None and int(time) < now - retention.age:
            return None
        head = Position(epoch.decode(), int(offset))
        return ChannelSummary(channel, head, int(time), min(events, retention.events))


def _parts(names: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (names[begin : begin + size] for begin in range(0, len(names), size))
