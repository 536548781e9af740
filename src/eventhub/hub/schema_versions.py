"""Keeps the versions of the channel types' schemas at the broker, and says which this node has.

They are the state of a channel of the type SCHEMAS_TYPE, which nobody can declare or read: a key
for each version. A version is stored only if its key has no event yet. So of two nodes that bring
different schemas one is first, and the other one reads again.
"""

import asyncio
from collections.abc import AsyncIterator, Callable

import structlog

from eventhub.brokers.base import Broker
from eventhub.errors import (
    BrokerUnavailable,
    ConfigurationError,
    EventHubError,
    NotFound,
    PreconditionFailed,
)
from eventhub.events.channel_types import SCHEMAS_TYPE, ChannelType, ChannelTypes
from eventhub.events.compatibility.changes import SchemaPair
from eventhub.events.compatibility.versions import KeptSchema, TypeVersion, next_version
from eventhub.events.event import ABSENT, KEY, NewEvent, Start, State
from eventhub.observability.metrics import Reading

ATTEMPTS = 10
"""How often another node may be first, before this one gives up."""
RETRY_SECONDS = 0.5
START_SECONDS = 5.0
"""How long a start waits for the broker. Then the node serves, and is not ready."""
PAGE = 100
RECENT_MILLISECONDS = 1000
"""How long an answer about versions is repeated. Everybody may ask, and each answer is a read."""

log = structlog.get_logger("eventhub.schemas")


class SchemaVersions:
    """The versions of this node's channel types."""

    def __init__(self, types: ChannelTypes, broker: Broker, now: Callable[[], int]) -> None:
        self._broker = broker
        self._now = now
        self._waiting = [each for each in types if each.version is not None]
        self._types = list(self._waiting)
        self._recent: dict[str, tuple[int, list[KeptSchema]]] = {}

    def unready(self) -> str | None:
        """Why this node does not know its versions yet; None when it does."""
        if not self._waiting:
            return None
        return f"the versions of {', '.join(each.name for each in self._waiting)} are not read yet"

    async def settle(self) -> None:
        """Find or store the version of each type. Raises ConfigurationError, BrokerUnavailable."""
        while self._waiting:
            await self._settle_type(self._waiting[0])
            self._waiting.pop(0)

    async def settle_soon(self) -> bool:
        """As `settle`, and wait for the broker for a while. Returns whether it is done."""
        try:
            async with asyncio.timeout(START_SECONDS):
                await self.settle_later()
        except TimeoutError:
            log.warning("schemas_not_read", types=[each.name for each in self._waiting])
        return not self._waiting

    async def settle_later(self) -> None:
        """As `settle`, and wait for the broker however long. Raises ConfigurationError."""
        while self._waiting:
            try:
                await self.settle()
            except BrokerUnavailable:  # the broker has logged it
                await asyncio.sleep(RETRY_SECONDS)

    async def kept(self, channel_type: ChannelType) -> list[KeptSchema]:
        """The versions of a type that were accepted, the oldest first. Raises BrokerUnavailable."""
        found: dict[int, KeptSchema] = {}
        since: Start = State()
        while True:
            page = await self._broker.history(f"{SCHEMAS_TYPE}.{channel_type.name}", since, PAGE)
            for event in page.events:
                try:
                    each = KeptSchema.load(event.data)
                except (ValueError, KeyError, TypeError) as error:
                    log.error("schema_unreadable", type=channel_type.name, reason=str(error))
                    continue
                found[each.version] = each
            if not page.events or page.following is None:
                return [found[number] for number in sorted(found)]
            since = page.following

    async def recent(self, channel_type: ChannelType) -> list[KeptSchema]:
        """As `kept`, as it was at most RECENT_MILLISECONDS ago."""
        if channel_type.version is None:
            return []
        now = self._now()
        at, found = self._recent.get(channel_type.name, (None, []))
        if at is None or not 0 <= now - at < RECENT_MILLISECONDS:
            found = await self.kept(channel_type)
            self._recent[channel_type.name] = now, found
        return found

    async def version(self, channel_type: ChannelType, number: int) -> KeptSchema:
        """A version of a type's schema. Raises NotFound, BrokerUnavailable."""
        kept = await self.recent(channel_type)
        for each in kept:
            if each.version == number:
                return each
        known = ", ".join(str(each.version) for each in kept) or "none"
        raise NotFound(
            f"the schema of channel type {channel_type.name!r} has no version {number}; "
            f"there is {known}"
        )

    async def readings(self) -> AsyncIterator[Reading]:
        """Metrics: the version of each type on this node, and the newest one."""
        known = [(each.name, each.version) for each in self._types if each.version is not None]
        yield (
            "eventhub_schema_version",
            "Version of the channel type's schema on this node",
            {(name,): each.number for name, each in known if each.number is not None},
            ("type",),
        )
        yield (
            "eventhub_schema_newest_version",
            "Newest version of the channel type's schema, when this node started",
            {(name,): each.newest for name, each in known if each.newest is not None},
            ("type",),
        )

    async def _settle_type(self, channel_type: ChannelType) -> None:
        version = channel_type.version
        assert version is not None
        schema = channel_type.schema
        schemas = SchemaPair(schema.stored, schema.accepted)
        for _ in range(ATTEMPTS):
            kept = await self.kept(channel_type)
            found = next_version(channel_type.name, version, schemas, kept)
            if found in kept:
                self._known(channel_type, version, found, kept)
                return
            if await self._store(channel_type, found):
                version.settle(found.version, found.version)
                log.info("schema_accepted", type=channel_type.name, version=found.version)
                return
        raise ConfigurationError(
            f"channels.{channel_type.name}: other nodes had new versions of its schema accepted "
            f"{ATTEMPTS} times; do they have different files?"
        )

    def _known(
        self,
        channel_type: ChannelType,
        version: TypeVersion,
        found: KeptSchema,
        kept: list[KeptSchema],
    ) -> None:
        version.settle(found.version, kept[-1].version)
        if found.version < kept[-1].version:
            log.warning(
                "schema_older",
                type=channel_type.name,
                version=found.version,
                newest=kept[-1].version,
            )

    async def _store(self, channel_type: ChannelType, new: KeptSchema) -> bool:
        """Whether it was stored. False: another node has stored this version."""
        event = NewEvent(
            f"{SCHEMAS_TYPE}.{channel_type.name}",
            new.dump(),
            self._now(),
            {KEY: str(new.version)},
            None,
            ABSENT,
        )
        (result,) = await self._broker.publish([event])
        if isinstance(result, PreconditionFailed):
            return False
        if isinstance(result, BrokerUnavailable):
            raise result
        if isinstance(result, EventHubError):
            raise ConfigurationError(
                f"channels.{channel_type.name}: its schema cannot be kept: {result.message}"
            )
        return True
