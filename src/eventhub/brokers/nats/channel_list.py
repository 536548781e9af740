"""The list of channels: subjects with their numbers of messages, and each channel's newest one."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from eventhub.brokers.nats.link import NatsLink
from eventhub.brokers.nats.log import NatsLog
from eventhub.brokers.nats.subjects import Subjects
from eventhub.common.channel_pattern import ChannelPattern
from eventhub.errors import UnknownChannel
from eventhub.events.event import ChannelPage, ChannelSummary, Position

AT_A_TIME = 64
"""Newest messages that are requested before the answers have come."""


class NatsChannelList:
    """Reads the list. `log` gives a channel's log."""

    def __init__(
        self, link: NatsLink, subjects: Subjects, log: Callable[[str], Awaitable[NatsLog]]
    ) -> None:
        self._link, self._subjects, self._log = link, subjects, log

    async def read(self, pattern: ChannelPattern, after: str, limit: int, now: int) -> ChannelPage:
        """A page of the list. Raises JetStreamError, BrokerUnavailable."""
        counts = {
            channel: count
            async for channel, count in self._counts(pattern)
            if channel > after and pattern.covers(channel)
        }
        names = sorted(counts)
        page = names[:limit]
        found: list[ChannelSummary] = []
        for begin in range(0, len(page), AT_A_TIME):
            part = page[begin : begin + AT_A_TIME]
            summaries = await asyncio.gather(
                *(self._summary(name, counts[name], now) for name in part)
            )
            found += [summary for summary in summaries if summary is not None]
        return ChannelPage(found, page[-1] if len(names) > limit else None)

    async def _counts(self, pattern: ChannelPattern) -> AsyncIterator[tuple[str, int]]:
        """Channels and their numbers of messages, in any order."""
        subject, begin = self._subjects.log(pattern.text), len(self._subjects.log(""))
        for stream in await self._streams(subject):
            offset = 0
            while True:
                body = {"subjects_filter": subject, "offset": offset}
                info = await self._link.request(f"STREAM.INFO.{stream}", body)
                subjects = info["state"].get("subjects") or {}
                for name, count in subjects.items():
                    yield name[begin:], int(count)
                offset += len(subjects)
                if not subjects or offset >= int(info.get("total", 0)):
                    break

    async def _streams(self, subject: str) -> list[str]:
        """The streams of events that have such subjects."""
        found: list[str] = []
        while True:
            answer = await self._link.request(
                "STREAM.NAMES", {"subject": subject, "offset": len(found)}
            )
            names = answer.get("streams") or []
            found += names
            if not names or len(found) >= int(answer.get("total", 0)):
                break
        return [name for name in found if name.startswith(f"{self._subjects.prefix}-log-")]

    async def _summary(self, channel: str, count: int, now: int) -> ChannelSummary | None:
        """None without retained events."""
        try:
            log = await self._log(channel)
        except UnknownChannel:  # its type is no longer declared
            return None
        newest, retention = await log.newest(), log.retention
        if newest is None or not newest.readable or retention.events == 0:
            return None
        if retention.age is not None and newest.time < now - retention.age:
            return None
        head = Position(log.epoch, newest.offset)
        return ChannelSummary(channel, head, newest.time, min(count, retention.events))
