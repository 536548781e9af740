"""Watches the streams of one link for reasons to believe that announcements are missing.

Each stream's leader is asked for its state on every tick of the session. Announcements may be
missing when the leader has changed, the stream went back, or the last question failed: all its
channels are in doubt, now that the leader answers. Otherwise the channels that were silent while
their stream went on are checked, CHECKS per tick, so that a lost announcement is found even when no
other follows it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from eventhub.brokers.nats.answers import NOT_FOUND, JetStreamError
from eventhub.brokers.nats.log import NatsLog
from eventhub.brokers.nats.sequence_tracker import SequenceTracker
from eventhub.brokers.nats.streams import NatsStream, NatsStreams
from eventhub.errors import BrokerUnavailable

CHECKS = 100


@dataclass(slots=True)
class WatchedStream:
    """A stream's leader and last sequence when it was last asked; `answered`: whether it did."""

    leader: str
    last_sequence: int
    answered: bool = True


class StreamWatch:
    """`log(channel)` gives a channel's log, `trackers(stream)` those of its announced channels."""

    def __init__(
        self,
        streams: NatsStreams,
        log: Callable[[str], Awaitable[NatsLog]],
        trackers: Callable[[str], Sequence[SequenceTracker]],
    ) -> None:
        self._streams = streams
        self._log = log
        self._trackers = trackers
        self._watched: dict[str, WatchedStream] = {}

    async def tick(self) -> tuple[list[str], str | None]:
        """The channels that may miss announcements, and why a stream cannot be used, if so."""
        results = await asyncio.gather(*map(self._watch, list(self._streams.known.values())))
        doubtful = [tracker.channel for trackers, _ in results for tracker in trackers]
        return doubtful, next((reason for _, reason in results if reason), None)

    async def _watch(self, stream: NatsStream) -> tuple[Sequence[SequenceTracker], str | None]:
        watched = self._watched.setdefault(stream.name, WatchedStream("", 0))
        try:
            info = await self._streams.state(stream)
        except (JetStreamError, BrokerUnavailable) as error:
            watched.answered = False
            if isinstance(error, JetStreamError) and error.code == NOT_FOUND:
                self._streams.forget(stream)
                self._watched.pop(stream.name, None)
            return [], f"the JetStream stream {stream.name!r} cannot be used: {error.message}"
        settled, before = watched.last_sequence, watched.leader
        leader, last_sequence = info.get("cluster", {}).get("leader", ""), info["state"]["last_seq"]
        watched.last_sequence = int(last_sequence)
        trackers = self._trackers(stream.name)
        in_doubt = (
            not watched.answered or watched.last_sequence < settled or before not in ("", leader)
        )
        watched.leader, watched.answered = leader, True
        if in_doubt:
            return trackers, None
        to_check = [tracker for tracker in trackers if tracker.needs_check(settled)]
        return await self._check(to_check[:CHECKS], settled), None

    async def _check(
        self, trackers: Sequence[SequenceTracker], settled: int
    ) -> list[SequenceTracker]:
        """The trackers that miss announcements, as the channels' newest messages show."""

        async def misses(tracker: SequenceTracker) -> bool:
            asked_at = tracker.sequence
            newest = await (await self._log(tracker.channel)).newest()
            sequence = newest.sequence if newest else 0
            if not tracker.misses_announcements(sequence, asked_at, settled):
                return False
            tracker.complete_up_to = settled
            return True

        found = await asyncio.gather(*map(misses, trackers), return_exceptions=True)
        return [
            tracker for tracker, missing in zip(trackers, found, strict=True) if missing is True
        ]
