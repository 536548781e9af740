"""The masters, and the slots that each of them serves.

A single server needs no question. Otherwise sentinels, or the nodes of the cluster, are asked.
"""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from eventhub.brokers.redis.codec import SLOTS
from eventhub.brokers.redis.link import ErrorReply, LinkLost, RedisLink, ignore, sentence
from eventhub.brokers.redis.url import Deployment, Login, RedisUrl, ServerAddress

ASK_SECONDS = 1.0


class Master(NamedTuple):
    """A master and its slots. Outside of a cluster it has all slots."""

    address: ServerAddress
    slots: Sequence[range]


class NoMaster(Exception):
    """No master is known. The message says why, without secrets."""


class Topology(Protocol):
    """Finds masters."""

    async def masters(self, *, in_doubt: bool) -> Sequence[Master]:
        """All masters. `in_doubt`: the last answer may be wrong. Raises NoMaster."""
        ...

    def close(self) -> None:
        """End all connections."""
        ...


def topology(url: RedisUrl) -> Topology:
    """The topology of a URL."""
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

    async def masters(self, *, in_doubt: bool) -> Sequence[Master]:
        return self._masters

    def close(self) -> None:
        pass


class TopologyClient:
    """A server that is asked for the topology, over one connection for all questions."""

    def __init__(self, address: ServerAddress, login: Login) -> None:
        self.address = address
        self._login = login
        self._link: RedisLink | None = None

    async def ask(self, *command: str) -> object:
        """The server's answer. Raises LinkLost, ErrorReply, OSError, TimeoutError."""
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
            self._link.close("no longer used")


class Sentinels:
    """The master that the sentinel with the newest configuration names.

    A sentinel that is cut off together with an old master knows only old configurations.
    """

    def __init__(self, url: RedisUrl) -> None:
        self._name = url.master
        self._clients = [TopologyClient(address, url.sentinel_login) for address in url.addresses]

    async def masters(self, *, in_doubt: bool) -> Sequence[Master]:
        answers = await asyncio.gather(*(self._ask(client) for client in self._clients))
        found = [answer for answer in answers if isinstance(answer, tuple)]
        if not found:
            raise NoMaster(f"no sentinel names the master {self._name!r}: {answers[0]}")
        return (Master(max(found)[1], (range(SLOTS),)),)

    def close(self) -> None:
        for client in self._clients:
            client.close()

    async def _ask(self, client: TopologyClient) -> tuple[int, ServerAddress] | str:
        try:
            state = await client.ask("SENTINEL", "MASTER", self._name)
        except (LinkLost, ErrorReply, OSError, TimeoutError) as error:
            return f"{client.address}: {sentence(error)}"
        assert isinstance(state, dict)
        return int(state[b"config-epoch"]), ServerAddress(
            state[b"ip"].decode(), int(state[b"port"])
        )


class ClusterMasters:
    """The masters of a cluster, as one of its nodes sees them.

    The node that answered last is asked again; in doubt, another one is.
    """

    def __init__(self, url: RedisUrl) -> None:
        self._login = url.login
        self._seeds = url.addresses
        self._clients = {address: TopologyClient(address, url.login) for address in url.addresses}

    async def masters(self, *, in_doubt: bool) -> Sequence[Master]:
        if in_doubt:
            first = next(iter(self._clients))
            self._clients[first] = self._clients.pop(first)  # moved to the end
        reason = ""
        for client in list(self._clients.values()):
            try:
                found = _masters(await client.ask("CLUSTER", "SLOTS"), client.address)
            except (LinkLost, ErrorReply, OSError, TimeoutError) as error:
                reason = f": {client.address}: {sentence(error)}"
                self._clients[client.address] = self._clients.pop(client.address)
                continue
            if found:
                self._remember(found)
                return found
        raise NoMaster(f"no node of the cluster names the masters of its slots{reason}")

    def close(self) -> None:
        for client in self._clients.values():
            client.close()

    def _remember(self, masters: Sequence[Master]) -> None:
        wanted = {*self._seeds, *(master.address for master in masters)}
        for address in wanted - self._clients.keys():
            self._clients[address] = TopologyClient(address, self._login)
        for address in self._clients.keys() - wanted:
            self._clients.pop(address).close()


def _masters(answer: object, asked: ServerAddress) -> Sequence[Master]:
    """The masters in an answer to CLUSTER SLOTS.

    A node that does not know its own host name leaves it empty.
    """
    assert isinstance(answer, list)
    slots: dict[ServerAddress, list[range]] = {}
    for first, last, (host, port, *_), *_ in answer:
        slots.setdefault(ServerAddress(host.decode() if host else asked.host, port), []).append(
            range(first, last + 1)
        )
    return [Master(address, ranges) for address, ranges in slots.items()]
