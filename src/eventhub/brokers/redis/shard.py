"""One master at one address: its two connections, and the probes that show whether both work.

Commands have one connection and announcements another, so neither waits for the other, and either
may fail alone. Every second a probe is published over the first connection and must arrive over the
second. A server that is no longer a master is left as well. Half-open connections, stalled proxies
and stopped servers are noticed within `PROBE_SECONDS + ANSWER_SECONDS`.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from eventhub.brokers.redis.codec import SCRIPTS, KeyNames, PubSub
from eventhub.brokers.redis.link import ErrorReply, LinkLost, RedisLink, ignore, pack, sentence
from eventhub.brokers.redis.probe import AnnouncementProbe
from eventhub.brokers.redis.subscriptions import (
    ShardOwner,
    ShardSubscription,
    ShardSubscriptions,
)
from eventhub.brokers.redis.url import Login, ServerAddress

CONNECT_SECONDS = 3.0
ANSWER_SECONDS = 2.0
PROBE_SECONDS = 1.0
BUSY_SECONDS = 10.0
"""How long a probe may take while other announcements arrive."""
BACKOFF_SECONDS = (0.05, 1.0)

log = structlog.get_logger("eventhub.brokers.redis")


class Shard:
    """One master. `run` keeps its connections. `commands` is None while there is none."""

    def __init__(
        self,
        address: ServerAddress,
        login: Login,
        names: KeyNames,
        owner: ShardOwner,
        *,
        node: str,
        pubsub: PubSub,
    ) -> None:
        self.address = address
        self.commands: RedisLink | None = None
        self.tag = "0"
        """A hash tag of one of this shard's slots, for its probes."""
        self._login, self._names, self._owner, self._node = login, names, owner, node
        self._pubsub = pubsub
        self._probe = AnnouncementProbe()
        self._subscriptions = ShardSubscriptions(owner, self._probe, pubsub)
        self._listener: RedisLink | None = None
        self._troubles = {"commands": "connecting", "announcements": "connecting"}
        self._commands_ready = asyncio.Event()

    async def run(self) -> None:
        """Keep both connections until cancelled."""
        self._subscriptions.add_births(self._names.births.encode(), self.address)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep("commands", self._serve_commands))
            tasks.create_task(self._keep("announcements", self._serve_announcements))

    def unavailable_reason(self) -> str | None:
        """Why this shard does not work, or None."""
        return next(
            (
                f"{self.address}: {connection}: {reason}"
                for connection, reason in self._troubles.items()
                if reason
            ),
            None,
        )

    def add(self, subscription: ShardSubscription) -> None:
        """Receive its announcements, from when `established` is set or a gap is reported."""
        self._subscriptions.add(subscription)

    def remove(self, subscription: ShardSubscription) -> None:
        """Stop receiving its announcements."""
        self._subscriptions.remove(subscription)

    def load_scripts(self) -> None:
        """Load the scripts again, before any command that is sent from now on."""
        if self.commands is not None:
            for script in SCRIPTS:
                self.commands.send(pack("SCRIPT", "LOAD", script.text), ignore)

    def reconnect(self, reason: str) -> None:
        """Make both connections anew."""
        for link in (self.commands, self._listener):
            if link is not None:
                link.close(reason)

    async def _keep(self, connection: str, serve: Callable[[], Any]) -> None:
        """Serve a connection again and again, with a growing delay after each failure."""
        delay, longest = BACKOFF_SECONDS
        while True:
            try:
                await serve()
            except (LinkLost, ErrorReply, OSError, TimeoutError) as error:
                reason = sentence(error)
            except Exception as error:  # ends this connection, and not the node
                log.exception("redis_unreadable", address=str(self.address), connection=connection)
                reason = f"its answer cannot be processed: {type(error).__name__}"
            if not self._troubles[connection]:
                delay = BACKOFF_SECONDS[0]
            if self._troubles[connection] in ("", "connecting"):
                log.warning(
                    "redis_lost", address=str(self.address), connection=connection, reason=reason
                )
            self._troubles[connection] = reason
            self._owner.connection_changed()
            self._owner.masters_may_have_changed()
            await asyncio.sleep(delay * random.uniform(0.5, 1.5))
            delay = min(2 * delay, longest)

    def _works(self, connection: str) -> None:
        if self._troubles[connection]:
            self._troubles[connection] = ""
            log.info("redis_connected", address=str(self.address), connection=connection)
            self._owner.connection_changed()

    # Commands

    async def _serve_commands(self) -> None:
        async with asyncio.timeout(CONNECT_SECONDS):
            link = await RedisLink.open(self.address, self._login, ignore)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await asyncio.gather(
                    *(link.call("SCRIPT", "LOAD", script.text) for script in SCRIPTS)
                )
                await self._warn_of_eviction(link)
            self.commands = link
            self._commands_ready.set()
            self._works("commands")
            await asyncio.wait([link.lost])  # a cancellation must not cancel the future itself
            raise link.lost.result()
        finally:
            self.commands = None
            self._commands_ready.clear()
            link.close("no longer used")

    async def _warn_of_eviction(self, link: RedisLink) -> None:
        memory = await link.call("INFO", "memory")
        if b"maxmemory:0\r" not in memory and b"maxmemory_policy:noeviction" not in memory:
            log.warning(
                "redis_evicts",
                address=str(self.address),
                advice="set maxmemory-policy noeviction: evicted channels are told as gaps",
            )

    # Announcements

    async def _serve_announcements(self) -> None:
        async with asyncio.timeout(CONNECT_SECONDS):
            link = await RedisLink.open(self.address, self._login, self._subscriptions.on_push)
        self._listener = link
        try:
            self._subscriptions.connected(link)
            while True:
                if await self._probe_arrives(link):
                    self._works("announcements")
                self._subscriptions.subscribe_again()
                await asyncio.wait([link.lost], timeout=PROBE_SECONDS)
                if link.lost.done():
                    raise link.lost.result()
        finally:
            self._listener, self._probe.topic = None, b""
            self._subscriptions.disconnected()
            link.close("no longer used")

    async def _probe_arrives(self, link: RedisLink) -> bool:
        """Publish a probe and wait for it. False when it could not be published.

        Raises LinkLost, ErrorReply, TimeoutError.
        """
        await self._subscribe_probe(link)
        async with asyncio.timeout(CONNECT_SECONDS):
            await self._commands_ready.wait()
        commands = self.commands
        assert commands is not None
        self._probe.number += 1
        arrival = self._probe.expect()
        publish = commands.call(self._pubsub.publish, self._probe.topic, self._probe.number)
        answers = asyncio.create_task(_gather(commands.call("HELLO"), publish))
        try:
            await _wait_for_any(answers)
            hello, _ = answers.result()
        except (asyncio.InvalidStateError, LinkLost):
            commands.close("no answer to a probe")
            return False
        finally:
            answers.cancel()
        if hello[b"role"] != b"master":
            self.reconnect("it is no longer a master")
        await self._wait_for_arrival(link, arrival)
        return True

    async def _subscribe_probe(self, link: RedisLink) -> None:
        """Subscribe to the probe's topic and wait for the confirmation.

        A probe that is published before the confirmation goes nowhere.
        """
        topic = self._names.probe(self.tag, self._node).encode()
        if topic != self._probe.topic:
            self._probe.topic = topic
            confirmation = self._probe.expect()
            link.write(pack(self._pubsub.subscribe, topic))
            await self._wait_for_arrival(link, confirmation)

    async def _wait_for_arrival(self, link: RedisLink, arrival: "asyncio.Future[None]") -> None:
        """Wait for ANSWER_SECONDS, and up to BUSY_SECONDS while anything else arrives."""
        for _ in range(int(BUSY_SECONDS / ANSWER_SECONDS)):
            received = link.received
            awaited: list[asyncio.Future[Any]] = [link.lost, arrival]
            await _wait_for_any(*awaited)
            if link.lost.done():
                raise link.lost.result()
            if arrival.done():
                return
            if link.received == received:
                break
        raise LinkLost(f"probes do not arrive{self._subscriptions.refusal}")


async def _gather(*calls: Coroutine[Any, Any, Any]) -> list[Any]:
    return await asyncio.gather(*calls)


async def _wait_for_any(*awaited: "asyncio.Future[Any]") -> None:
    """Wait until one future is done, or for ANSWER_SECONDS.

    It waits in two halves: one half may pass while this process gets no core and reads nothing.
    """
    for _ in range(2):
        await asyncio.wait(awaited, timeout=ANSWER_SECONDS / 2, return_when=asyncio.FIRST_COMPLETED)
        if any(future.done() for future in awaited):
            return
