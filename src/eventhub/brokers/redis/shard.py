"""One master at one address: its two connections, the subscriptions there, and the probes that show whether announcing works.

Commands and announcements have a connection each, so that neither waits for the other, and either may fail alone. Every second a probe is
published over the first and must arrive over the second; a server that is no longer a master is left as well. Half-open connections,
stalled proxies and stopped servers show within `PROBE_SECONDS + ANSWER_SECONDS`.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Protocol

import structlog

from eventhub.brokers.redis.codec import HISTORY, PUBLISH, KeyNames
from eventhub.brokers.redis.link import ErrorReply, LinkLost, RedisLink, ignore, pack, sentence
from eventhub.brokers.redis.url import Login, ServerAddress

CONNECT_SECONDS = 3.0
ANSWER_SECONDS = 2.0
PROBE_SECONDS = 1.0
BUSY_SECONDS = 10.0
"""How long a probe may take while other announcements do arrive."""
RETRY_SECONDS = (0.05, 1.0)

log = structlog.get_logger("eventhub.brokers.redis")


class ShardSubscription:
    """To one channel, wherever it is: `take` gets what is published. `established` is set when this first came to this node.

    `since` is when it began, in the loop's seconds.
    """

    __slots__ = ("channel", "confirmed", "established", "since", "take", "topic")

    def __init__(self, channel: str, topic: bytes, take: Callable[[bytes], None]) -> None:
        self.channel = channel
        self.topic = topic
        self.take = take
        self.confirmed = False
        self.established = asyncio.Event()
        self.since = asyncio.get_running_loop().time()


class ShardOwner(Protocol):
    """The broker, as its shards see it. All of these return at once."""

    def gap(self, channel: str) -> None:
        """Announcing works again for a channel after it may not have."""
        ...

    def changed(self) -> None:
        """A connection was made or lost."""
        ...

    def doubt(self) -> None:
        """The masters may be others now."""
        ...


class Shard:
    """`run` keeps the connections. `commands` is None while there is none. `sharded`: announcements stay within a shard of the cluster."""

    def __init__(
        self,
        address: ServerAddress,
        login: Login,
        names: KeyNames,
        owner: ShardOwner,
        *,
        node: str,
        sharded: bool,
    ) -> None:
        self.address = address
        self.commands: RedisLink | None = None
        self.subscriptions: dict[bytes, ShardSubscription] = {}
        self.tag = "0"
        """A hash tag of this shard, for its probes."""
        self._verbs = (
            ("SSUBSCRIBE", "SUNSUBSCRIBE", "SPUBLISH")
            if sharded
            else ("SUBSCRIBE", "UNSUBSCRIBE", "PUBLISH")
        )
        self._login, self._names, self._owner, self._node = login, names, owner, node
        self._listener: RedisLink | None = None
        self._leaving: Counter[bytes] = (
            Counter()
        )  # UNSUBSCRIBEs not yet confirmed: confirmations of a SUBSCRIBE that come before are stale
        self._refusal = ""
        self._probes = 0
        self._probed = b""
        self._probe: asyncio.Future[None] | None = None
        self._troubles = {"commands": "connecting", "announcements": "connecting"}
        self._ready = asyncio.Event()  # there is a connection for commands

    async def run(self) -> None:
        """Until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._keep("commands", self._serve_commands))
                tasks.create_task(self._keep("announcements", self._listen))
        finally:
            for subscription in self.subscriptions.values():
                subscription.confirmed = False

    def trouble(self) -> str | None:
        """Why this shard does not work, or None."""
        return next(
            (f"{self.address}: {what}: {why}" for what, why in self._troubles.items() if why), None
        )

    def add(self, subscriptions: Iterable[ShardSubscription]) -> None:
        """Announce these from here, when `established` is set, or from the `gap` that tells it."""
        for subscription in subscriptions:
            subscription.confirmed = False
            self.subscriptions[subscription.topic] = subscription
            self._subscribe(subscription.topic)

    def remove(self, subscription: ShardSubscription) -> None:
        """Announce it no longer."""
        self.subscriptions.pop(subscription.topic, None)
        if subscription.confirmed:  # otherwise when the confirmation comes
            self._unsubscribe(subscription.topic)

    def load(self) -> None:
        """Load the scripts again, before anything that is sent from now on."""
        if self.commands is not None:
            for script in (PUBLISH, HISTORY):
                self.commands.send(pack("SCRIPT", "LOAD", script.text), ignore)

    def leave(self, reason: str) -> None:
        """Make both connections anew."""
        for link in (self.commands, self._listener):
            if link is not None:
                link.close(reason)

    async def _keep(self, what: str, serve: Callable[[], Any]) -> None:
        delay, longest = RETRY_SECONDS
        while True:
            try:
                await serve()
            except (LinkLost, ErrorReply, OSError, TimeoutError) as error:
                why = sentence(error)
            except Exception as error:  # it costs this connection, and not the node
                log.exception("redis_unreadable", address=str(self.address), connection=what)
                why = f"it answered what nobody understands: {type(error).__name__}"
            if not self._troubles[what]:
                delay = RETRY_SECONDS[0]
            if self._troubles[what] in ("", "connecting"):
                log.warning("redis_lost", address=str(self.address), connection=what, reason=why)
            self._troubles[what] = why
            self._owner.changed()
            self._owner.doubt()
            await asyncio.sleep(delay * random.uniform(0.5, 1.5))
            delay = min(2 * delay, longest)

    def _works(self, what: str) -> None:
        if self._troubles[what]:
            self._troubles[what] = ""
            log.info("redis_connected", address=str(self.address), connection=what)
            self._owner.changed()

    # Commands

    async def _serve_commands(self) -> None:
        async with asyncio.timeout(CONNECT_SECONDS):
            link = await RedisLink.open(self.address, self._login, ignore)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await asyncio.gather(
                    *(link.call("SCRIPT", "LOAD", script.text) for script in (PUBLISH, HISTORY))
                )
                await self._warn_of_eviction(link)
            self.commands = link
            self._ready.set()
            self._works("commands")
            await asyncio.wait([link.lost])  # which a cancellation must not cancel
            raise link.lost.result()
        finally:
            self.commands = None
            self._ready.clear()
            link.close("done with it")

    async def _warn_of_eviction(self, link: RedisLink) -> None:
        memory = await link.call("INFO", "memory")
        if b"maxmemory:0\r" not in memory and b"maxmemory_policy:noeviction" not in memory:
            log.warning(
                "redis_evicts",
                address=str(self.address),
                advice="set maxmemory-policy noeviction: evicted channels are told as gaps",
            )

    # Announcements

    async def _listen(self) -> None:
        async with asyncio.timeout(CONNECT_SECONDS):
            link = await RedisLink.open(self.address, self._login, self._pushed)
        self._listener = link
        try:
            self._subscribe(*self.subscriptions)
            while True:
                if await self._proves(link):
                    self._works("announcements")
                self._subscribe(
                    *(
                        topic
                        for topic, subscription in self.subscriptions.items()
                        if not subscription.confirmed
                    )
                )
                await asyncio.wait([link.lost], timeout=PROBE_SECONDS)
                if link.lost.done():
                    raise link.lost.result()
        finally:
            self._listener, self._probed = None, b""
            self._leaving.clear()
            for subscription in self.subscriptions.values():
                subscription.confirmed = False
            link.close("done with it")

    async def _proves(self, link: RedisLink) -> bool:
        """A probe published now arrives; False when it could not be published. Raises LinkLost, Refused, TimeoutError."""
        if self._probed != (topic := self._names.probe(self.tag, self._node).encode()):
            self._probed = topic
            probe = self._probe = asyncio.get_running_loop().create_future()
            link.write(pack(self._verbs[0], topic))
            await self._arrival(
                link, probe
            )  # of the confirmation: what is published before goes nowhere
        async with asyncio.timeout(CONNECT_SECONDS):
            await self._ready.wait()
        commands = self.commands
        assert commands is not None
        self._probes += 1
        probe = self._probe = asyncio.get_running_loop().create_future()
        answers = asyncio.create_task(
            _both(commands.call("HELLO"), commands.call(self._verbs[2], topic, self._probes))
        )
        try:
            await _settled(answers)
            hello, _ = answers.result()
        except (asyncio.InvalidStateError, LinkLost):
            commands.close("no answer to a probe")
            return False
        finally:
            answers.cancel()
        if hello[b"role"] != b"master":
            self.leave("it is no longer a master")
        await self._arrival(link, probe)
        return True

    async def _arrival(self, link: RedisLink, probe: "asyncio.Future[None]") -> None:
        for _ in range(int(BUSY_SECONDS / ANSWER_SECONDS)):
            heard = link.heard
            awaited: list[asyncio.Future[Any]] = [link.lost, probe]
            await _settled(*awaited)
            if link.lost.done():
                raise link.lost.result()
            if probe.done():
                return
            if link.heard == heard:
                break
        raise LinkLost(f"probes do not arrive{self._refusal}")

    def _subscribe(self, *topics: bytes) -> None:
        if self._listener is None:
            return
        # one command each: those of a cluster must not be of several slots, and one refusal refuses
        # all of a command
        for topic in topics:
            self._listener.write(pack(self._verbs[0], topic))

    def _pushed(self, push: list[Any]) -> None:
        kind, topic = push[0], push[1]
        if kind in (b"message", b"smessage"):
            if topic in self._leaving:
                # published before it was left: whoever subscribed again since then has read beyond
                # it
                pass
            elif (subscription := self.subscriptions.get(topic)) is not None:
                self._take(subscription, push[2])
            elif push[2] == b"%d" % self._probes:
                self._arrived()
        elif kind in (b"subscribe", b"ssubscribe"):
            if topic == self._probed:
                self._arrived()
            elif topic not in self._leaving:
                self._confirmed(topic)
        elif kind == b"refused":
            self._refused(push[1])
        elif topic in self._leaving:
            self._leaving -= Counter((topic,))
        elif (subscription := self.subscriptions.get(topic)) is not None:
            subscription.confirmed = False  # the server ended it: its slot moved
            self._owner.doubt()

    def _take(self, subscription: ShardSubscription, data: bytes) -> None:
        try:
            subscription.take(data)
        except Exception as error:  # not of a node: what it was instead of is asked for
            log.warning(
                "unreadable_announcement",
                channel=subscription.channel,
                size=len(data),
                reason=type(error).__name__,
            )
            self._owner.gap(subscription.channel)

    def _arrived(self) -> None:
        if self._probe is not None and not self._probe.done():
            self._probe.set_result(None)

    def _refused(self, code: str) -> None:
        self._refusal = f"; subscribing was answered {code}"
        self._owner.doubt()
        if self._leaving and self._listener is not None:
            self._listener.close(f"unsubscribing was answered {code}")

    def _confirmed(self, topic: bytes) -> None:
        if (subscription := self.subscriptions.get(topic)) is None:
            self._unsubscribe(topic)
        elif not subscription.confirmed:
            subscription.confirmed = True
            if subscription.established.is_set():
                self._owner.gap(subscription.channel)
            else:
                subscription.established.set()

    def _unsubscribe(self, topic: bytes) -> None:
        if self._listener is not None:
            self._leaving[topic] += 1
            self._listener.write(pack(self._verbs[1], topic))


async def _both(*calls: Coroutine[Any, Any, Any]) -> list[Any]:
    return await asyncio.gather(*calls)


async def _settled(*awaited: "asyncio.Future[Any]") -> None:
    """Until one is done, or ANSWER_SECONDS are over: in halves, as one half may pass while this process gets no core and reads nothing."""
    for _ in range(2):
        await asyncio.wait(awaited, timeout=ANSWER_SECONDS / 2, return_when=asyncio.FIRST_COMPLETED)
        if any(future.done() for future in awaited):
            return
