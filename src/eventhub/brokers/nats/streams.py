"""The streams of the channels: which there are, and how they are created.

One stream per channel type holds the events of all its channels, under `<prefix>.log.<channel>`,
and republishes each event as `<prefix>.live.<channel>`. The stream's name ends with a random id,
which is the epoch. A stream that was deleted or lost, and made again, has another epoch. Every
acknowledgement, announcement and request names its stream, so nothing can confuse the two.

An offset is `sequence * 65536 + stamp`. The server gives out sequences one after the other, so they
strictly increase in each channel whichever node publishes; a replicated stream keeps them when its
leader changes. An unreplicated stream may lose acknowledged events when its machine (not only its
process) dies, and use their sequences again. The stamp, random and stored with the event, tells the
new event from the lost one. A reader's position is looked up in the log, so a position of a lost
event is recognized (in 65534 of 65535 cases).
"""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from eventhub.brokers.nats.answers import JetStreamError
from eventhub.brokers.nats.link import NatsLink
from eventhub.brokers.nats.subjects import Subjects
from eventhub.errors import BrokerUnavailable
from eventhub.events.channel_types import Retention

KEYS = "keys"
SUBJECTS_OVERLAP = 10065


@dataclass(frozen=True, slots=True)
class NatsStream:
    """An existing stream. `purpose` is `log-` and the channel type, or KEYS."""

    purpose: str
    name: str
    epoch: str


def purpose_of(channel: str) -> str:
    """Of the stream with the channel's events."""
    return f"log-{channel.partition('.')[0]}"


class NatsStreams:
    """The streams known over one link. Each is found, made or updated at its first use."""

    def __init__(
        self,
        link: NatsLink,
        subjects: Subjects,
        retention: Callable[[str], Retention],
        replicas: int | None,
        max_bytes: int,
    ) -> None:
        self.known: dict[str, NatsStream] = {}
        """By purpose."""
        self._link = link
        self._subjects = subjects
        self._retention = retention
        self._replicas = replicas
        self._max_bytes = max_bytes
        self._lock = asyncio.Lock()

    async def of_channel(self, channel: str) -> NatsStream:
        """A channel's stream. Raises JetStreamError, BrokerUnavailable."""
        purpose = purpose_of(channel)
        if (found := self.known.get(purpose)) is not None:
            return found
        retention, channel_type = self._retention(channel), channel.partition(".")[0]
        config = self._subjects.event_stream(channel_type, retention, self._max_bytes)
        return await self._ensure(purpose, config)

    async def of_states(self, channel: str) -> NatsStream:
        """The stream of states of a channel's type. Raises JetStreamError, BrokerUnavailable."""
        channel_type = channel.partition(".")[0]
        purpose = f"state-{channel_type}"
        if (found := self.known.get(purpose)) is not None:
            return found
        state = self._retention(channel).state
        assert state is not None
        return await self._ensure(purpose, self._subjects.state_stream(channel_type, state))

    async def of_keys(self) -> NatsStream:
        """The stream of the idempotency keys. Raises JetStreamError, BrokerUnavailable."""
        return self.known.get(KEYS) or await self._ensure(KEYS, self._subjects.key_stream())

    def forget(self, stream: NatsStream) -> None:
        """Look the stream up before it is used again: it may be gone."""
        if self.known.get(stream.purpose) == stream:
            del self.known[stream.purpose]

    async def state(self, stream: NatsStream) -> dict[str, Any]:
        """The state that its leader reports. Raises JetStreamError, BrokerUnavailable."""
        return await self._link.request(f"STREAM.INFO.{stream.name}")

    async def _ensure(self, purpose: str, wanted: dict[str, Any]) -> NatsStream:
        async with self._lock:
            if purpose in self.known:
                return self.known[purpose]
            begin = f"{self._subjects.prefix}-{purpose}-"
            found = await self._find(begin, wanted)
            if not found:
                await self._create(begin, wanted)
                found = await self._find(begin, wanted)
                if not found:
                    raise BrokerUnavailable("JetStream created a stream and does not list it")
            # The others were made by another node at the same moment, or late by a server that did
            # not answer in time.
            for other in found[1:]:
                await self._link.request(f"STREAM.DELETE.{other['config']['name']}")
            config = found[0]["config"]
            await self._update(config, wanted)
            epoch = config["name"].removeprefix(begin)
            stream = self.known[purpose] = NatsStream(purpose, config["name"], epoch)
            return stream

    async def _update(self, config: dict[str, Any], wanted: dict[str, Any]) -> None:
        """Change the configuration of an existing stream where the settings have changed."""
        if self._replicas is not None:
            wanted = wanted | {"num_replicas": self._replicas}
        if any(
            config.get(name, 0) != value for name, value in wanted.items() if name != "republish"
        ):
            await self._link.request(f"STREAM.UPDATE.{config['name']}", config | wanted)

    async def _find(self, begin: str, wanted: dict[str, Any]) -> list[dict[str, Any]]:
        """The streams that store the subjects. The one in use has stored most and comes first."""
        subject = wanted["subjects"][0]
        answer = await self._link.request("STREAM.NAMES", {"subject": subject})
        names = answer.get("streams") or []
        for name in names:
            if not name.startswith(begin):
                raise BrokerUnavailable(
                    f"the JetStream stream {name!r} takes {subject!r}, which EventHub needs"
                )
        streams = [await self._link.request(f"STREAM.INFO.{name}") for name in names]
        return sorted(
            streams,
            key=lambda info: (-info["state"]["last_seq"], info["created"], info["config"]["name"]),
        )

    async def _create(self, begin: str, wanted: dict[str, Any]) -> None:
        """Create the stream, unless another node was faster."""
        name = f"{begin}{secrets.token_hex(4)}"
        replicas = self._replicas or (3 if self._link.clustered else 1)
        config = {
            "name": name,
            "storage": "file",
            "retention": "limits",
            "discard": "old",
            "num_replicas": replicas,
            "max_consumers": -1,
        }
        try:
            await self._link.request(f"STREAM.CREATE.{name}", config | wanted)
        except JetStreamError as error:
            if error.code != SUBJECTS_OVERLAP:
                raise
