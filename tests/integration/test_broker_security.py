"""Brokers with locked doors: TLS with a private authority, client certificates, passwords, rights and keys, on real servers."""

import asyncio
import re
from pathlib import Path

import pytest

from eventhub.brokers.redis import RedisBroker
from eventhub.channels import Retention
from eventhub.event import Earliest, NewEvent, Receipt
from eventhub.hub import Hub
from tests.authority import Authority, Pair
from tests.checker import Books, Node, on_nodes, until
from tests.redis_servers import RedisServer, cluster, tls_options, wait_for

CHANNELS = ("log.a", "brief.a")
SECONDS = 15


def retention(channel: str) -> Retention:
    return Retention(1000, 60_000 if channel.startswith("brief") else None)


def redis_node(url: str) -> Node:
    return Node(RedisBroker(url, retention, Hub.now), retention, CHANNELS)


async def ready(node: Node) -> None:
    await until(lambda: node.broker.unready() is None, SECONDS)


def round_over(*nodes: Node) -> None:
    """What each of them publishes arrives at all."""
    books = Books()

    async def scenario() -> None:
        for node in nodes:
            await ready(node)
            for channel in node.readers:
                await books.insist(node, channel)
        await books.close(list(nodes))

    asyncio.run(on_nodes(list(nodes), scenario))
    assert not any(books.faults(list(nodes)).values())


def says(node: Node, reason: str) -> None:
    """While it cannot get in."""

    async def scenario() -> None:
        try:
            await until(lambda: reason in (node.broker.unready() or ""), SECONDS)
        except TimeoutError:
            pytest.fail(f"it says: {node.broker.unready()}")

    asyncio.run(on_nodes([node], scenario))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("stranger"), "stranger")


@pytest.fixture(scope="module")
def door(authority: Authority) -> Pair:
    """A server's certificate."""
    return authority.issue("door")


def test_redis_over_tls(tmp_path: Path, authority: Authority, stranger: Authority) -> None:
    nameless = authority.issue("nameless", hosts="DNS:redis.example")
    trusting = f"ssl_ca_certs={authority.file}"
    with RedisServer(tmp_path, tls=tls_options(nameless, authority)) as server:
        url = f"rediss://127.0.0.1:{server.tls_port}/0?"
        round_over(redis_node(f"{url}{trusting}&ssl_check_hostname=false"), redis_node(f"{url}ssl_cert_reqs=none"))
        says(redis_node(url), "certificate verify failed: self-signed certificate in certificate chain")
        says(redis_node(f"{url}ssl_ca_certs={stranger.file}&ssl_check_hostname=false"), "certificate verify failed")
        says(redis_node(url + trusting), "IP address mismatch, certificate is not valid for '127.0.0.1'")
        says(redis_node(f"redis://127.0.0.1:{server.tls_port}"), "the connection")
        says(redis_node(f"rediss://127.0.0.1:{server.port}"), "no answer in time")


def test_redis_that_asks_for_certificates(tmp_path: Path, authority: Authority, stranger: Authority, door: Pair) -> None:
    with RedisServer(tmp_path, tls=tls_options(door, authority, clients=True)) as server:
        url = f"rediss://localhost:{server.tls_port}?ssl_ca_certs={authority.file}"
        round_over(redis_node(url + shown(authority.issue("eventhub"))))
        says(redis_node(url), "CERTIFICATE_REQUIRED")
        says(redis_node(url + shown(stranger.issue("eventhub"))), "UNKNOWN_CA")


def shown(pair: Pair) -> str:
    return f"&ssl_certfile={pair.certificate}&ssl_keyfile={pair.key}"


def test_sentinels_and_their_master_over_tls(tmp_path: Path, authority: Authority, door: Pair) -> None:
    tls = tls_options(door, authority, clients=True)
    with RedisServer(tmp_path / "master", tls=tls) as master:
        config = f"sentinel monitor it 127.0.0.1 {master.tls_port} 1\n"
        with RedisServer(tmp_path / "sentinel", "--sentinel", config=config, tls=tls) as sentinel:
            wait_for(lambda: b"status=ok" in sentinel.call("INFO", "sentinel"))
            options = f"?ssl_ca_certs={authority.file}{shown(authority.issue('eventhub'))}"
            round_over(redis_node(f"rediss+sentinel://127.0.0.1:{sentinel.tls_port}/it/0{options}"))
            says(redis_node(f"rediss+sentinel://127.0.0.1:{sentinel.tls_port}/it/0"), "certificate verify failed")


def test_a_cluster_over_tls(tmp_path: Path, authority: Authority, door: Pair) -> None:
    with cluster(tmp_path, tls=tls_options(door, authority)) as servers:
        url = f"rediss+cluster://127.0.0.1:{servers[0].tls_port}?ssl_ca_certs={authority.file}"
        round_over(redis_node(url), redis_node(url))
        says(redis_node(url.partition("?")[0]), "certificate verify failed")


RULES = re.findall(r"^user eventhub (.+)$", Path("docs/brokers.md").read_text(), re.MULTILINE)
"""For a server, for a cluster's nodes, for sentinels, as they are documented."""


def admit(server: RedisServer, rules: str) -> None:
    """A user with these rights; what is counted begins here."""
    assert server.call("ACL", "SETUSER", "eventhub", *rules.split()) == b"OK"
    server.call("CONFIG", "RESETSTAT")


def commands(server: RedisServer) -> set[str]:
    """Those that were used, also by scripts."""
    return set(re.findall(r"^cmdstat_([^:]+):calls=", server.call("INFO", "commandstats").decode(), re.MULTILINE))


def granted(rules: str) -> set[str]:
    return {rule[1:] for rule in rules.split() if rule.startswith("+")}


def all_is_used(node: Node) -> None:
    """Everything that a node asks of Redis."""

    async def scenario() -> None:
        await ready(node)
        old = Hub.now() - 120_000
        for channel in CHANNELS:
            events = [NewEvent(channel, b"1", old), NewEvent(channel, b"2", old + 1), NewEvent(channel, b"3", Hub.now(), None, "a-key")]
            assert all(isinstance(result, Receipt) for result in await node.broker.publish(events))
            assert (await node.broker.history(channel, Earliest(), 10)).events
            await until(lambda channel=channel: len(node.readers[channel].events) == 3)  # type: ignore[misc]
        await node.broker.subscribe("log.other")
        await node.broker.unsubscribe("log.other")
        await node.broker.subscribe("log.other")  # answered after the unsubscription

    asyncio.run(on_nodes([node], scenario))


def test_a_redis_user_with_the_documented_rights_is_enough_and_has_none_to_spare(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        admit(server, RULES[0])
        address = f"127.0.0.1:{server.port}/1"
        all_is_used(redis_node(f"redis://eventhub:secret@{address}"))
        assert server.call("ACL", "LOG") == [], "something was refused"
        assert granted(RULES[0]) <= commands(server)
        says(redis_node(f"redis://eventhub:wr0ng@{address}"), "it answered WRONGPASS")
        server.call("ACL", "SETUSER", "eventhub", "-subscribe")
        says(redis_node(f"redis://eventhub:secret@{address}"), "subscribing was answered NOPERM")


def test_a_user_of_a_redis_cluster_with_the_documented_rights_is_enough_and_has_none_to_spare(tmp_path: Path) -> None:
    async def history_of_a_slot_that_is_on_its_way(node: Node) -> None:
        await ready(node)
        assert (await node.broker.history("log.a", Earliest(), 10)).events

    with cluster(tmp_path) as servers:
        for server in servers:
            admit(server, RULES[1])
        url = f"redis+cluster://eventhub:secret@127.0.0.1:{servers[0].port}"
        all_is_used(redis_node(url))
        begin_to_move(servers, servers[0].call("CLUSTER", "KEYSLOT", "log.a"))
        node = redis_node(url)
        asyncio.run(on_nodes([node], lambda: history_of_a_slot_that_is_on_its_way(node)))
        assert [server.call("ACL", "LOG") for server in servers] == [[], [], []], "something was refused"
        assert granted(RULES[1]) <= set.union(*map(commands, servers))


def begin_to_move(servers: list[RedisServer], slot: int) -> None:
    """Its keys are elsewhere, and its owner sends there whoever asks for them."""
    source, target = sorted(servers, key=lambda server: not any(first <= slot <= last for first, last in slots(server)))[:2]
    names = [server.call("CLUSTER", "MYID") for server in (source, target)]
    target.call("CLUSTER", "SETSLOT", slot, "IMPORTING", names[0])
    source.call("CLUSTER", "SETSLOT", slot, "MIGRATING", names[1])
    source.call("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *source.call("CLUSTER", "GETKEYSINSLOT", slot, 100))


def slots(server: RedisServer) -> list[tuple[int, int]]:
    """That this server serves, first and last."""
    return [(first, last) for first, last, (_, port, *_), *_ in server.call("CLUSTER", "SLOTS") if port == server.port]


def test_users_of_sentinels_and_master_with_the_documented_rights_are_enough(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "master") as master:
        config = f"sentinel monitor it 127.0.0.1 {master.port} 1\n"
        with RedisServer(tmp_path / "sentinel", "--sentinel", config=config) as sentinel:
            wait_for(lambda: b"status=ok" in sentinel.call("INFO", "sentinel"))
            admit(master, RULES[0])
            assert sentinel.call("ACL", "SETUSER", "eventhub", *RULES[2].split()) == b"OK"
            login = "sentinel_username=eventhub&sentinel_password=secret"
            round_over(redis_node(f"redis+sentinel://eventhub:secret@127.0.0.1:{sentinel.port}/it/0?{login}"))
            assert (master.call("ACL", "LOG"), sentinel.call("ACL", "LOG")) == ([], [])
