"""Which masters there are, and which slots each of them serves: asked of nobody, of sentinels, or of the cluster's nodes."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from eventhub.brokers.redis.codec import SLOTS
from eventhub.brokers.redis.link import ErrorReply, LinkLost, RedisLink, ignore, sentence
from eventhub.brokers.redis.url import Deployment, Login, RedisUrl, ServerAddress

ASK_SECONDS = 1.0


class Master(NamedTuple):
    """A master and its slots. Where there is no cluster, it has all of them."""

    address: ServerAddress
    slots: Sequence[range]


class NoMaster(Exception):
    """Nobody who was asked knows; says why, without secrets."""


class Topology(Protocol):
    """Finds masters."""

    async def masters(self, *, doubt: bool) -> Sequence[Master]:
        """All of them. `doubt`: what was found last may be wrong. Raises NoMaster."""
        ...

    def close(self) -> None:
        """End all connections."""
        ...


def topology(url: RedisUrl) -> Topology:
    """The one for a URL."""
    match url.kind:
        case Deployment.SINGLE:
            return SingleServer(url.addresses[0])
        case Deployment.SENTINEL:
            return Sentinels(url)
        case Deployment.CLUSTER:
            return ClusterMasters(url)


class SingleServer:
    """One server."""

    def __init__(self, address: ServerAddress) -> None:
        self._masters = (Master(address, (range(SLOTS),)),)

    async def masters(self, *, doubt: bool) -> Sequence[Master]:
        return self._masters

    def close(self) -> None:
        pass


class TopologyClient:
    """A server that is asked again and again over one connection."""

    def __init__(self, address: ServerAddress, login: Login) -> None:
        self.address = address
        self._login = login
        self._link: RedisLink | None = None

    async def ask(self, *command: str) -> object:
        """Its answer. Raises LinkLost, Refused, OSError, TimeoutError."""
        try:
            async with asyncio.timeout(ASK_SECONDS):
                if self._link is None or self._link.lost.done():
                    self._link = await RedisLink.open(self.address, self._login, ignore, role=None)
                return await self._link.call(*command)
        except TimeoutError:
            self.close()
            raise

    def close(self) -> None:
        if self._link is not None:
            self._link.close("done with it")


class Sentinels:
    """The master that the sentinel with the newest configuration names: one cut off with an old master knows only old ones."""

    def __init__(self, url: RedisUrl) -> None:
        self._name = url.master
        self._oracles = [TopologyClient(address, url.sentinel_login) for address in url.addresses]

    async def masters(self, *, doubt: bool) -> Sequence[Master]:
        answers = await asyncio.gather(*(self._ask(oracle) for oracle in self._oracles))
        found = [answer for answer in answers if isinstance(answer, tuple)]
        if not found:
            raise NoMaster(f"no sentinel names the master {self._name!r}: {answers[0]}")
        return (Master(max(found)[1], (range(SLOTS),)),)

    def close(self) -> None:
        for oracle in self._oracles:
            oracle.close()

    async def _ask(self, oracle: TopologyClient) -> tuple[int, ServerAddress] | str:
        try:
            state = await oracle.ask("SENTINEL", "MASTER", self._name)
        except (LinkLost, ErrorReply, OSError, TimeoutError) as error:
            return f"{oracle.address}: {sentence(error)}"
        assert isinstance(state, dict)
        return int(state[b"config-epoch"]), ServerAddress(
            state[b"ip"].decode(), int(state[b"port"])
        )


class ClusterMasters:
    """The masters of a cluster, as the node sees them that answered last; after a doubt, as another one does."""

    def __init__(self, url: RedisUrl) -> None:
        self._login = url.login
        self._seeds = url.addresses
        self._oracles = {address: TopologyClient(address, url.login) for address in url.addresses}

    async def masters(self, *, doubt: bool) -> Sequence[Master]:
        if doubt:
            first = next(iter(self._oracles))
            self._oracles[first] = self._oracles.pop(first)  # to the end
        why = ""
        for oracle in list(self._oracles.values()):
            try:
                found = _masters(await oracle.ask("CLUSTER", "SLOTS"), oracle.address)
            except (LinkLost, ErrorReply, OSError, TimeoutError) as error:
                why = f": {oracle.address}: {sentence(error)}"
                self._oracles[oracle.address] = self._oracles.pop(oracle.address)
                continue
            if found:
                self._know(found)
                return found
        raise NoMaster(f"no node of the cluster says who serves its slots{why}")

    def close(self) -> None:
        for oracle in self._oracles.values():
            oracle.close()

    def _know(self, masters: Sequence[Master]) -> None:
        wanted = {*self._seeds, *(master.address for master in masters)}
        for address in wanted - self._oracles.keys():
            self._oracles[address] = TopologyClient(address, self._login)
        for address in self._oracles.keys() - wanted:
            self._oracles.pop(address).close()


def _masters(answer: object, asked: ServerAddress) -> Sequence[Master]:
    """The answer to CLUSTER SLOTS. A node that does not know its own name leaves it empty."""
    assert isinstance(answer, list)
    slots: dict[ServerAddress, list[range]] = {}
    for first, last, (host, port, *_), *_ in answer:
        slots.setdefault(ServerAddress(host.decode() if host else asked.host, port), []).append(
            range(first, last + 1)
        )
    return [Master(address, ranges) for address, ranges in slots.items()]
