"""Secured brokers on real servers: TLS with a private authority, client certificates, passwords,
rights and keys.
"""

import asyncio
import itertools
import json
import re
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import nkeys  # type: ignore[import-untyped]
import pytest

from eventhub.brokers.nats import NatsBroker
from eventhub.brokers.redis import RedisBroker
from eventhub.brokers.redis.codec import slot
from eventhub.common.channel_pattern import ChannelPattern
from eventhub.events.channel_types import Retention, StateRetention
from eventhub.events.event import ABSENT, DELETED, KEY, Earliest, NewEvent, Receipt, State
from eventhub.hub.hub import Hub
from tests.harness.certificates import Authority, Pair
from tests.harness.eventually import async_eventually
from tests.harness.nats_servers import Server
from tests.harness.redis_servers import RedisServer, cluster, tls_options
from tests.integration.checker import CLEAN, Books, Node, on_nodes

CHANNELS = ("log.a", "brief.a")
SECONDS = 30


def retention(channel: str) -> Retention:
    if channel.startswith("keyed"):
        return Retention(1, None, StateRetention(latest=True, keys=1))
    return Retention(1000, 60_000 if channel.startswith("brief") else None)


def redis_node(url: str) -> Node:
    return Node(RedisBroker(url, retention, Hub.now), retention, CHANNELS)


def round_over(*nodes: Node) -> None:
    """An event of each node arrives at all nodes."""
    books = Books()

    async def scenario() -> None:
        for node in nodes:
            await node.becomes(ready=True)
            for channel in node.readers:
                await books.insist(node, channel)
        await books.close(nodes)

    asyncio.run(on_nodes(list(nodes), scenario))
    assert books.faults(nodes) == CLEAN


def says(node: Node, reason: str) -> None:
    """What a node reports while the broker refuses it."""

    async def scenario() -> None:
        try:
            await async_eventually(reason, lambda: reason in (node.broker.unready() or ""))
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
        round_over(
            redis_node(f"{url}{trusting}&ssl_check_hostname=false"),
            redis_node(f"{url}ssl_cert_reqs=none"),
        )
        says(
            redis_node(url),
            "certificate verify failed: self-signed certificate in certificate chain",
        )
        says(
            redis_node(f"{url}ssl_ca_certs={stranger.file}&ssl_check_hostname=false"),
            "certificate verify failed",
        )
        says(
            redis_node(url + trusting),
            "IP address mismatch, certificate is not valid for '127.0.0.1'",
        )
        says(redis_node(f"redis://127.0.0.1:{server.tls_port}"), "the connection")
        says(redis_node(f"rediss://127.0.0.1:{server.port}"), "no answer in time")


def test_redis_that_asks_for_certificates(
    tmp_path: Path, authority: Authority, stranger: Authority, door: Pair
) -> None:
    with RedisServer(tmp_path, tls=tls_options(door, authority, clients=True)) as server:
        url = f"rediss://localhost:{server.tls_port}?ssl_ca_certs={authority.file}"
        round_over(redis_node(url + shown(authority.issue("eventhub"))))
        says(redis_node(url), "CERTIFICATE_REQUIRED")
        says(redis_node(url + shown(stranger.issue("eventhub"))), "UNKNOWN_CA")


def shown(pair: Pair) -> str:
    return f"&ssl_certfile={pair.certificate}&ssl_keyfile={pair.key}"


def test_sentinels_and_their_master_over_tls(
    tmp_path: Path, authority: Authority, door: Pair
) -> None:
    tls = tls_options(door, authority, clients=True)
    with RedisServer(tmp_path / "master", tls=tls) as master:
        config = f"sentinel monitor it 127.0.0.1 {master.tls_port} 1\n"
        with RedisServer(tmp_path / "sentinel", "--sentinel", config=config, tls=tls) as sentinel:
            sentinel.knows_its_master()
            options = f"?ssl_ca_certs={authority.file}{shown(authority.issue('eventhub'))}"
            round_over(redis_node(f"rediss+sentinel://127.0.0.1:{sentinel.tls_port}/it/0{options}"))
            says(
                redis_node(f"rediss+sentinel://127.0.0.1:{sentinel.tls_port}/it/0"),
                "certificate verify failed",
            )


def test_a_cluster_over_tls(tmp_path: Path, authority: Authority, door: Pair) -> None:
    with cluster(tmp_path, tls=tls_options(door, authority)) as servers:
        url = f"rediss+cluster://127.0.0.1:{servers[0].tls_port}?ssl_ca_certs={authority.file}"
        round_over(redis_node(url), redis_node(url))
        says(redis_node(url.partition("?")[0]), "certificate verify failed")


RULES = re.findall(r"^user eventhub (.+)$", Path("docs/brokers.md").read_text(), re.MULTILINE)
"""For a server, for a cluster's nodes, for sentinels, as they are documented."""


def admit(server: RedisServer, rules: str) -> None:
    """Create a user with these rights; the commands are counted from here."""
    assert server.call("ACL", "SETUSER", "eventhub", *rules.split()) == b"OK"
    server.call("CONFIG", "RESETSTAT")


def commands(server: RedisServer) -> set[str]:
    """The commands that were used, also by scripts."""
    return set(
        re.findall(
            r"^cmdstat_([^:]+):calls=", server.call("INFO", "commandstats").decode(), re.MULTILINE
        )
    )


def granted(rules: str) -> set[str]:
    return {rule[1:] for rule in rules.split() if rule.startswith("+")}


FORGET = """
if ARGV[1] ~= '0' then redis.call('SELECT', ARGV[1]) end
for _, key in ipairs(redis.call('KEYS', '*{log.gone}*')) do redis.call('DEL', key) end
"""
"""As if the keys of log.gone had expired, in a database."""
SAME_SLOT = next(
    name for name in map("log.{}".format, itertools.count()) if slot(name) == slot("log.gone")
)
"""A channel whose name is listed beside log.gone, in a cluster too."""


async def states_are_used(node: Node) -> None:
    """A key, another one that takes its place, a precondition, and a deletion."""
    keys = [NewEvent("keyed.a", b"1", Hub.now(), {KEY: key}) for key in "xy"]
    once = NewEvent("keyed.a", b"1", Hub.now(), {KEY: "z"}, None, ABSENT)
    gone = NewEvent("keyed.a", b"null", Hub.now(), {DELETED: "z"})
    for event in (*keys, once, gone):
        (result,) = await node.broker.publish([event])
        assert isinstance(result, Receipt)
    assert (await node.broker.history("keyed.a", State(), 10)).following is not None


def all_is_used(node: Node, servers: Sequence[RedisServer] = (), database: int = 0) -> None:
    """Do everything that a node asks of its broker."""

    async def scenario() -> None:
        await node.becomes(ready=True)
        old = Hub.now() - 120_000
        for channel in CHANNELS:
            events = [
                NewEvent(channel, b"1", old),
                NewEvent(channel, b"2", old + 1),
                NewEvent(channel, b"3", Hub.now(), None, "a-key"),
            ]
            assert all(isinstance(result, Receipt) for result in await node.broker.publish(events))
            assert (await node.broker.history(channel, Earliest(), 10)).events
            await async_eventually(
                f"three on {channel}",
                partial(len, node.readers[channel].events),
                lambda seen: seen == 3,
            )
        await states_are_used(node)
        await node.broker.subscribe("log.other")
        await node.broker.unsubscribe("log.other")
        await node.broker.subscribe("log.other")  # answered after the unsubscription
        for channel in ("log.gone", SAME_SLOT):
            await node.broker.publish([NewEvent(channel, b"1", Hub.now())])
        for server in servers:
            server.call("EVAL", FORGET, 0, database)
        found = (await node.broker.channels(ChannelPattern(">"), "", 100)).channels
        assert set(CHANNELS) <= {each.channel for each in found}

    asyncio.run(on_nodes([node], scenario))


def test_a_redis_user_with_the_documented_rights_is_enough_and_has_none_to_spare(
    tmp_path: Path,
) -> None:
    with RedisServer(tmp_path) as server:
        admit(server, RULES[0])
        address = f"127.0.0.1:{server.port}/1"
        all_is_used(redis_node(f"redis://eventhub:secret@{address}"), [server], database=1)
        assert server.call("ACL", "LOG") == [], "something was refused"
        assert granted(RULES[0]) <= commands(server)
        says(redis_node(f"redis://eventhub:wr0ng@{address}"), "it answered WRONGPASS")
        server.call("ACL", "SETUSER", "eventhub", "-subscribe")
        says(redis_node(f"redis://eventhub:secret@{address}"), "subscribing was answered NOPERM")


def test_a_user_of_a_redis_cluster_with_the_documented_rights_is_enough_and_has_none_to_spare(
    tmp_path: Path,
) -> None:
    async def history_of_a_slot_that_is_on_its_way(node: Node) -> None:
        await node.becomes(ready=True)
        assert (await node.broker.history("log.a", Earliest(), 10)).events

    with cluster(tmp_path) as servers:
        for server in servers:
            admit(server, RULES[1])
        url = f"redis+cluster://eventhub:secret@127.0.0.1:{servers[0].port}"
        all_is_used(redis_node(url), servers)
        begin_to_move(servers, servers[0].call("CLUSTER", "KEYSLOT", "log.a"))
        node = redis_node(url)
        asyncio.run(on_nodes([node], lambda: history_of_a_slot_that_is_on_its_way(node)))
        assert [server.call("ACL", "LOG") for server in servers] == [[], [], []], (
            "something was refused"
        )
        assert granted(RULES[1]) <= set.union(*map(commands, servers))


def begin_to_move(servers: list[RedisServer], slot: int) -> None:
    """Move its keys away: the server redirects clients that ask for them."""
    source, target = sorted(
        servers, key=lambda server: not any(first <= slot <= last for first, last in slots(server))
    )[:2]
    names = [server.call("CLUSTER", "MYID") for server in (source, target)]
    target.call("CLUSTER", "SETSLOT", slot, "IMPORTING", names[0])
    source.call("CLUSTER", "SETSLOT", slot, "MIGRATING", names[1])
    source.call(
        "MIGRATE",
        "127.0.0.1",
        target.port,
        "",
        0,
        5000,
        "KEYS",
        *source.call("CLUSTER", "GETKEYSINSLOT", slot, 100),
    )


def slots(server: RedisServer) -> list[tuple[int, int]]:
    """The first and last slot that this server serves."""
    return [
        (first, last)
        for first, last, (_, port, *_), *_ in server.call("CLUSTER", "SLOTS")
        if port == server.port
    ]


def test_users_of_sentinels_and_master_with_the_documented_rights_are_enough(
    tmp_path: Path,
) -> None:
    with RedisServer(tmp_path / "master") as master:
        config = f"sentinel monitor it 127.0.0.1 {master.port} 1\n"
        with RedisServer(tmp_path / "sentinel", "--sentinel", config=config) as sentinel:
            sentinel.knows_its_master()
            admit(master, RULES[0])
            assert sentinel.call("ACL", "SETUSER", "eventhub", *RULES[2].split()) == b"OK"
            login = "sentinel_username=eventhub&sentinel_password=secret"
            round_over(
                redis_node(
                    f"redis+sentinel://eventhub:secret@127.0.0.1:{sentinel.port}/it/0?{login}"
                )
            )
            assert (master.call("ACL", "LOG"), sentinel.call("ACL", "LOG")) == ([], [])


def nats_node(server: Server, login: str = "", options: str = "") -> Node:
    return Node(
        NatsBroker(f"{server.url.replace('//', f'//{login}')}?{options}", retention, Hub.now),
        retention,
        CHANNELS,
    )


@contextmanager
def nats(directory: Path, config: str = "") -> Iterator[Server]:
    (directory / "nats.conf").write_text(config)
    server = Server("-c", str(directory / "nats.conf")).start()
    try:
        yield server
    finally:
        server.remove()


def test_nats_with_a_token(tmp_path: Path) -> None:
    with nats(tmp_path, 'authorization { token: "t0ken@/" }') as server:
        round_over(nats_node(server, "t0ken%40%2F@"))
        says(nats_node(server, "wr0ng@"), "the login was refused")
        says(nats_node(server), "the login was refused")


def test_a_nats_user_with_the_documented_permissions_is_enough(tmp_path: Path) -> None:
    (permissions,) = re.findall(
        r"^ *(permissions \{.+?\n *\})$",
        Path("docs/brokers.md").read_text(),
        re.MULTILINE | re.DOTALL,
    )
    with nats(
        tmp_path,
        f"authorization {{ users: [{{ user: eventhub, password: secret, {permissions} }}] }}",
    ) as server:
        all_is_used(nats_node(server, "eventhub:secret@"))
        round_over(*(nats_node(server, "eventhub:secret@") for _ in range(2)))
        log = Path(server.directory, "log").read_text()
        assert "Violation" not in log, log[-2000:]


def test_nats_with_an_nkey(tmp_path: Path) -> None:
    ours, theirs = (KeyPair.of(nkeys.PREFIX_BYTE_USER) for _ in range(2))
    for name, pair in (("our.nk", ours), ("their.nk", theirs)):
        (tmp_path / name).write_text(pair.seed)
    with nats(tmp_path, f"authorization {{ users: [{{ nkey: {ours.public} }}] }}") as server:
        round_over(nats_node(server, options=f"nkey={tmp_path}/our.nk"))
        says(nats_node(server, options=f"nkey={tmp_path}/their.nk"), "the login was refused")


def test_nats_with_a_credentials_file_that_is_renewed_in_place(tmp_path: Path) -> None:
    operator, account, system = (
        KeyPair.of(kind) for kind in (nkeys.PREFIX_BYTE_OPERATOR, *2 * [nkeys.PREFIX_BYTE_ACCOUNT])
    )
    first, second = (KeyPair.of(nkeys.PREFIX_BYTE_USER) for _ in range(2))
    owners = ((account, CORE | JETSTREAM), (system, CORE))
    accounts = ", ".join(
        f"{each.public}: {operator.claims(each, 'account', limits=limits)}"
        for each, limits in owners
    )
    config = f"operator: {operator.claims(operator, 'operator')}\nsystem_account: {system.public}\n"
    config += f"resolver: MEMORY\nresolver_preload {{ {accounts} }}"
    file = tmp_path / "it.creds"

    def write(pair: KeyPair) -> None:
        jwt = account.claims(pair, "user", subs=-1, data=-1, payload=-1)
        seed = f"-----BEGIN USER NKEY SEED-----\n{pair.seed}\n------END USER NKEY SEED------\n"
        file.write_text(
            f"-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n{seed}"
        )

    async def renewed(node: Node, reason: str) -> None:
        """Whether the file was written again since it was read."""
        server.kill()
        await asyncio.to_thread(server.start)
        await async_eventually(reason, lambda: reason in (node.broker.unready() or ""))
        write(second)
        await node.becomes(ready=True)

    async def scenario() -> None:
        await nodes[1].becomes(ready=True)
        file.write_text("")
        await renewed(nodes[1], "it.creds cannot be used: expected a NATS USER JWT")
        file.unlink()
        await renewed(nodes[1], "No such file")

    write(first)
    with nats(tmp_path, config) as server:
        nodes = [nats_node(server, options=f"credentials={file}") for _ in range(3)]
        round_over(nodes[0])
        asyncio.run(on_nodes(nodes[1:2], scenario))
        write(replace(first, seed=second.seed))
        says(nodes[2], "the login was refused")


def test_nats_that_asks_for_certificates(
    tmp_path: Path, authority: Authority, stranger: Authority, door: Pair
) -> None:
    config = (
        f'tls {{ cert_file: "{door.certificate}", key_file: "{door.key}", '
        f'ca_file: "{authority.file}", verify: true }}'
    )
    own, other = authority.issue("eventhub"), stranger.issue("eventhub")
    with nats(tmp_path, config) as server:
        trusting = f"ca={authority.file}"
        round_over(nats_node(server, options=f"{trusting}&cert={own.certificate}&key={own.key}"))
        for options in (trusting, f"{trusting}&cert={other.certificate}&key={other.key}"):
            says(nats_node(server, options=options), "no connection to a NATS server: ")
        says(nats_node(server, options=f"ca={stranger.file}"), "certificate verify failed")
        says(nats_node(server), "certificate verify failed")


CORE = {
    **dict.fromkeys(("subs", "data", "payload", "imports", "exports", "conn", "leaf"), -1),
    "wildcards": True,
}
JETSTREAM = dict.fromkeys(("mem_storage", "disk_storage", "streams", "consumer"), -1)
"""Limits of an account: none."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A key pair as of nkeys, and its signatures: a small part of `nsc`."""

    seed: str
    public: str

    @classmethod
    def of(cls, kind: int) -> "KeyPair":
        seed = nkeys.encode_seed(secrets.token_bytes(32), kind)
        return cls(seed.decode(), nkeys.from_seed(bytearray(seed)).public_key.decode())

    def claims(self, subject: "KeyPair", kind: str, **fields: object) -> str:
        """A JWT about another, or itself (https://docs.nats.io, JWTs in NATS)."""
        body = {
            "jti": secrets.token_hex(16),
            "iat": int(time.time()),
            "iss": self.public,
            "name": kind,
            "sub": subject.public,
        }
        parts = [
            {"typ": "JWT", "alg": "ed25519-nkey"},
            {**body, "nats": {**fields, "type": kind, "version": 2}},
        ]
        signed = ".".join(_base64(json.dumps(part).encode()) for part in parts)
        signature = nkeys.from_seed(bytearray(self.seed.encode())).sign(signed.encode())
        return f"{signed}.{_base64(signature)}"


def _base64(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")
