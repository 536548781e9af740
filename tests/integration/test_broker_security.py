"""Brokers with locked doors: TLS with a private authority, client certificates, passwords, rights and keys, on real servers."""

import asyncio
from pathlib import Path

import pytest

from eventhub.brokers.redis import RedisBroker
from eventhub.channels import Retention
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
