"""Real Redis and Valkey servers on free ports of 127.0.0.1: single ones, clusters, sentinels. Each
ends with its context.
"""

import atexit
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.harness.certificates import Authority, Pair
from tests.harness.ports import free_port
from tests.harness.process import NOT_YET, ServerProcess
from tests.harness.programs import program

Options = Sequence[str | int]


class RedisServer(ServerProcess):
    """One server process. Its port and directory stay over restarts. With `tls` (from
    `tls_options`) it has a port for that as well.
    """

    not_yet = (*NOT_YET, redis.RedisError)

    def __init__(
        self,
        directory: Path,
        *options: str | int,
        name: str = "redis-server",
        config: str = "",
        tls: Options = (),
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        super().__init__(name, directory / "log")
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self._command = [program(name)]
        if config:
            (directory / "redis.conf").write_text(config)
            self._command.append(str(directory / "redis.conf"))
        self.tls_port = free_port() if tls else 0
        fixed = (
            "--port",
            self.port,
            *(("--tls-port", self.tls_port, *tls) if tls else ()),
            "--bind",
            "127.0.0.1",
            "--dir",
            directory,
            "--save",
            "",
            "--daemonize",
            "no",
        )
        self._command += [str(option) for option in (*fixed, *options)]

    def command(self) -> list[str]:
        return self._command

    def is_ready(self) -> bool:
        return bool(self.call("PING") == b"PONG")

    def call(self, *command: str | bytes | int) -> Any:
        """Over a connection of its own, by a client that nobody here wrote."""
        client = redis.Redis(
            port=self.port, socket_timeout=30, protocol=2, retry=Retry(NoBackoff(), 0)
        )
        try:
            client.response_callbacks.clear()
            return client.execute_command(*command)  # type: ignore[no-untyped-call]
        finally:
            client.close()

    def follows(self) -> None:
        """Wait until it has all of its master."""
        self.eventually(
            "a link to the master",
            lambda: self.call("INFO", "replication"),
            lambda seen: b"master_link_status:up" in seen,
        )

    def knows_its_master(self) -> None:
        """Wait until it does, as a sentinel."""
        self.eventually(
            "a master that is well",
            lambda: self.call("INFO", "sentinel"),
            lambda seen: b"status=ok" in seen,
        )

    def remove(self) -> None:
        self.kill()
        shutil.rmtree(self.log.parent, ignore_errors=True)


def tls_options(pair: Pair, authority: Authority, *, clients: bool = False) -> Options:
    """`clients`: they need a certificate of that authority."""
    files = (
        "--tls-cert-file",
        pair.certificate,
        "--tls-key-file",
        pair.key,
        "--tls-ca-cert-file",
        authority.file,
    )
    return [
        *map(str, files),
        "--tls-auth-clients",
        "yes" if clients else "no",
        "--tls-replication",
        "yes",
    ]


@contextmanager
def cluster(
    directory: Path, masters: int = 3, tls: Options = (), *, replicas: bool = False
) -> Iterator[list[RedisServer]]:
    """A Redis Cluster of as many masters, its slots divided evenly; then, if asked for, a replica
    of each.

    With `tls`, nodes use it among themselves, and name those ports.
    """
    with ExitStack() as stack:
        nodes, buses = [], []
        for number in range(2 * masters if replicas else masters):
            buses.append(free_port())
            options: list[str | int] = [
                "--cluster-enabled",
                "yes",
                "--cluster-port",
                buses[-1],
                "--repl-diskless-sync-delay",
                0,
            ]
            options += [
                "--cluster-node-timeout",
                2000 if replicas else 20_000,
                *(("--tls-cluster", "yes") if tls else ()),
            ]
            nodes.append(
                stack.enter_context(RedisServer(directory / str(number), *options, tls=tls))
            )
        for number, node in enumerate(nodes):
            if number < masters:
                node.call(
                    "CLUSTER",
                    "ADDSLOTSRANGE",
                    16384 * number // masters,
                    16384 * (number + 1) // masters - 1,
                )
            node.call("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            node.call("CLUSTER", "MEET", "127.0.0.1", nodes[0].tls_port or nodes[0].port, buses[0])
        for node in nodes:
            node.eventually(
                "a whole cluster",
                partial(node.call, "CLUSTER", "INFO"),
                lambda seen: b"cluster_state:ok" in seen,
            )
        for master, replica in zip(nodes, nodes[masters:], strict=False):
            name = master.call("CLUSTER", "MYID")
            replica.eventually(
                "a master to be known",
                partial(replica.call, "CLUSTER", "REPLICATE", name),
                lambda seen: seen == b"OK",
            )
            replica.follows()
        yield nodes


@cache
def single(name: str) -> RedisServer:
    """The server of this program that tests share which do no harm to it."""
    server = RedisServer(Path(tempfile.mkdtemp(prefix="eventhub-redis-")), name=name)
    atexit.register(server.remove)
    return server.start()


@cache
def shared_cluster() -> list[RedisServer]:
    """The cluster of three that tests share which do no harm to it."""
    stack = ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(
        cluster(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="eventhub-redis-"))))
    )
