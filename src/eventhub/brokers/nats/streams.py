"""The streams behind the channels: names, configuration, creation.

One stream per channel type holds the events of all its channels, under `<prefix>.log.<channel>`, and republishes each as
`<prefix>.live.<channel>`. Its name ends with a random id, which is the epoch: a stream that was deleted or lost and made anew has another
one, and every acknowledgement, announcement and request names the stream it is of. Nothing can take one for the other.

An offset is `sequence * 65536 + stamp`. The server gives sequences, per stream, one after the other: they strictly increase in each channel
whoever publishes, and a replicated stream keeps them over a change of its leader. A stream that is not replicated may lose acknowledged
events when its machine (not its process) dies, and use their sequences again: the stamp, random and stored with the event, tells the new
event from the lost one. A reader's position is looked up in the log, so it is found to be of a lost event (65534 times of 65535).

A stream keeps one event of each channel more than the type does: the newest one expired, which says exactly what was lost, and lets an
empty channel keep its position. Beyond the type's age it keeps events for another GRACE.
"""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from eventhub.brokers.nats.link import JetStreamError, NatsLink
from eventhub.errors import BrokerUnavailable
from eventhub.events.channels import Retention

GRACE = 15 * 60
"""Seconds."""
KEPT_UNUSED = 24 * 3600
"""Seconds for which the last position of a channel without history is known."""
DUPLICATES = 12 * 60
"""Seconds for which the server knows message ids: longer than idempotency keys are known."""
KEY_SECONDS = 11 * 60
MAX_KEYS = 1_000_000
KEYS = "keys"
OVERLAP, NOT_FOUND = 10065, 10059
_NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class NatsStream:
    """A stream that exists. `kind` is the channel type, or KEYS' place in the table of streams."""

    kind: str
    name: str
    epoch: str


class Subjects:
    """Subjects under a prefix."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def log(self, channel: str) -> str:
        """Where a channel's events are stored."""
        return f"{self.prefix}.log.{channel}"

    def live(self, channel: str) -> str:
        """Where a channel's events are announced."""
        return f"{self.prefix}.live.{channel}"

    @property
    def nodes(self) -> str:
        """Where nodes tell each other things."""
        return f"{self.prefix}.nodes"

    def key(self, channel: str, key: str) -> str:
        """Where an idempotency key is kept."""
        return (
            f"{self.prefix}.key.{blake2b(f'{channel} {key}'.encode(), digest_size=16).hexdigest()}"
        )

    def of_events(self, kind: str, retention: Retention, max_bytes: int) -> dict[str, Any]:
        """The configuration of a channel type's stream."""
        keep = None if retention.age is None else retention.age // 1000 + GRACE
        if retention.events == 0:
            keep = min(keep or KEPT_UNUSED, KEPT_UNUSED)
        return {
            "subjects": [self.log(kind), f"{self.log(kind)}.>"],
            "max_msgs_per_subject": retention.events + 1,
            "max_msgs": -1,
            "max_bytes": max_bytes,
            "max_age": 0 if keep is None else keep * _NANOSECONDS,
            "duplicate_window": DUPLICATES * _NANOSECONDS,
            "republish": {"src": f"{self.prefix}.log.>", "dest": f"{self.prefix}.live.>"},
        }

    def of_keys(self) -> dict[str, Any]:
        """The configuration of the stream with the idempotency keys."""
        return {
            "subjects": [f"{self.prefix}.key.*"],
            "max_msgs_per_subject": 1,
            "max_msgs": MAX_KEYS,
            "max_bytes": -1,
            "max_age": KEY_SECONDS * _NANOSECONDS,
            "duplicate_window": _NANOSECONDS,
        }


class NatsStreams:
    """The streams known over one link. Each is looked up, and made or updated, at its first use."""

    def __init__(
        self,
        link: NatsLink,
        names: Subjects,
        retention: Callable[[str], Retention],
        replicas: int | None,
        max_bytes: int,
    ) -> None:
        self.known: dict[str, NatsStream] = {}
        self._link = link
        self._names = names
        self._retention = retention
        self._replicas = replicas
        self._max_bytes = max_bytes
        self._lock = asyncio.Lock()

    async def of(self, channel: str) -> NatsStream:
        """A channel's stream. Raises JetStreamError, BrokerUnavailable."""
        kind = channel.partition(".")[0]
        if (found := self.known.get(f"log-{kind}")) is not None:
            return found
        return await self._ensure(
            f"log-{kind}", self._names.of_events(kind, self._retention(channel), self._max_bytes)
        )

    async def of_keys(self) -> NatsStream:
        """The stream with the idempotency keys. Raises JetStreamError, BrokerUnavailable."""
        return self.known.get(KEYS) or await self._ensure(KEYS, self._names.of_keys())

    def forget(self, stream: NatsStream) -> None:
        """It may be gone: look it up before it is used again."""
        if self.known.get(stream.kind) == stream:
            del self.known[stream.kind]

    async def state(self, stream: NatsStream) -> dict[str, Any]:
        """What its leader says of it. Raises JetStreamError, BrokerUnavailable."""
        return await self._link.request(f"STREAM.INFO.{stream.name}")

    async def _ensure(self, kind: str, wanted: dict[str, Any]) -> NatsStream:
        async with self._lock:
            if kind in self.known:
                return self.known[kind]
            begin = f"{self._names.prefix}-{kind}-"
            found = await self._find(begin, wanted)
            if not found:
                await self._create(begin, wanted)
                found = await self._find(begin, wanted)
                if not found:
                    raise BrokerUnavailable("JetStream made a stream and does not know it")
            for other in found[
                1:
            ]:  # made at the same moment by another node, or late by a server that did not answer in time
                await self._link.request(f"STREAM.DELETE.{other['config']['name']}")
            config = found[0]["config"]
            if self._replicas is not None:
                wanted = wanted | {"num_replicas": self._replicas}
            if any(
                config.get(name, 0) != value
                for name, value in wanted.items()
                if name != "republish"
            ):
                await self._link.request(f"STREAM.UPDATE.{config['name']}", config | wanted)
            stream = self.known[kind] = NatsStream(
                kind, config["name"], config["name"].removeprefix(begin)
            )
            return stream

    async def _find(self, begin: str, wanted: dict[str, Any]) -> list[dict[str, Any]]:
        """The streams of this name that take the subjects. The one that has stored most is the one in use; the others have copies."""
        names = (await self._link.request("STREAM.NAMES", {"subject": wanted["subjects"][0]})).get(
            "streams"
        ) or []
        for name in names:
            if not name.startswith(begin):
                raise BrokerUnavailable(
                    f"the JetStream stream {name!r} takes {wanted['subjects'][0]!r}, which EventHub needs"
                )
        streams = [await self._link.request(f"STREAM.INFO.{name}") for name in names]
        return sorted(
            streams,
            key=lambda info: (-info["state"]["last_seq"], info["created"], info["config"]["name"]),
        )

    async def _create(self, begin: str, wanted: dict[str, Any]) -> None:
        """Unless another node was faster."""
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
            if error.code != OVERLAP:
                raise
