"""NATS servers for tests: started on free ports with JetStream storage in temporary directories,
ended by pid.
"""

import atexit
import itertools
import json
import shutil
import socket
import tempfile
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Any

from tests import SETTINGS
from tests.harness.ports import free_port
from tests.harness.process import ServerProcess
from tests.harness.programs import program

PROGRAM = SETTINGS.get("EVENTHUB_TEST_NATS_SERVER", "nats-server")
LEADERLESS_SECONDS = 0.5
"""Without a leader nobody answers: the server is asked again after so long."""


class Server(ServerProcess):
    """One nats-server; it can be killed and started again on the same port and storage."""

    def __init__(self, *options: str, jetstream: bool = True) -> None:
        self.directory = tempfile.mkdtemp(prefix="eventhub-nats-")
        super().__init__("nats-server", Path(self.directory, "log"))
        self.port = free_port()
        self._options = [*options, *(["-js", "-sd", self.directory] if jetstream else [])]
        atexit.register(self.remove)

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        return [program(PROGRAM), "-a", "127.0.0.1", "-p", str(self.port), *self._options]

    def is_ready(self) -> bool:
        with socket.create_connection(("127.0.0.1", self.port), 1) as connection:
            return connection.recv(5) == b"INFO "

    def wipe(self) -> None:
        """Lose the storage of a server that does not run."""
        shutil.rmtree(Path(self.directory, "jetstream"), ignore_errors=True)

    def remove(self) -> None:
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)


class Cluster:
    """Three servers."""

    def __init__(self) -> None:
        routes = [free_port() for _ in range(3)]
        addresses = ",".join(f"nats://127.0.0.1:{port}" for port in routes)
        self.servers = [
            Server(
                "-n",
                f"n{index}",
                "--cluster_name",
                "c",
                "--cluster",
                f"nats://127.0.0.1:{port}",
                "--routes",
                addresses,
            )
            for index, port in enumerate(routes)
        ]

    @property
    def url(self) -> str:
        return "nats://" + ",".join(f"127.0.0.1:{server.port}" for server in self.servers)

    def start(self) -> "Cluster":
        for server in self.servers:
            server.launch()
        for server in self.servers:
            server.wait()
        for server in self.servers:
            server.eventually("a leader of JetStream", partial(_led, server.port))
        names = itertools.count()
        first = self.servers[0]
        first.eventually(
            "room for three replicas", lambda: _has_room(first.port, f"probe{next(names)}")
        )
        return self

    def purge(self, prefix: str) -> None:
        """Empty the streams with this prefix."""
        port = self.servers[0].port
        for name in ask(port, "STREAM.NAMES")["streams"] or ():
            if name.startswith(f"{prefix}-"):
                ask(port, f"STREAM.PURGE.{name}")

    def named(self, name: str) -> Server:
        """`n0`, `n1` or `n2`."""
        return self.servers[int(name[1:])]


def ask(port: int, subject: str, body: str = "", patience: float = 10) -> dict[str, Any]:
    """Ask a server's JetStream, with a bare client of our own."""
    with socket.create_connection(("127.0.0.1", port), patience) as connection:
        connection.settimeout(patience)
        stream = connection.makefile("rb")
        stream.readline()
        connection.sendall(
            'CONNECT {"verbose":false}\r\nSUB r 1\r\n'
            f"PUB $JS.API.{subject} r {len(body)}\r\n{body}\r\n".encode()
        )
        while not (line := stream.readline()).startswith(b"MSG"):
            assert line
        answer: dict[str, Any] = json.loads(stream.read(int(line.split()[-1])))
        return answer


def _led(port: int) -> bool:
    """Whether this server reaches a leader of the JetStream cluster: nobody else answers."""
    with suppress(OSError, AssertionError):
        return "error" not in ask(port, "INFO", patience=LEADERLESS_SECONDS)
    return False


def _has_room(port: int, name: str) -> bool:
    """Whether a stream with three replicas can be made: the leader has heard from each server.

    Each attempt has a name of its own: one that is made, deleted and made again is without a leader
    for many seconds.
    """
    with suppress(OSError, AssertionError):
        body = {"name": name, "subjects": [name], "num_replicas": 3, "storage": "memory"}
        if "error" not in ask(port, f"STREAM.CREATE.{name}", json.dumps(body)):
            ask(port, f"STREAM.DELETE.{name}")
            return True
    return False


@cache
def single() -> Server:
    """The server that tests share which do no harm to it."""
    return Server().start()


@cache
def cluster() -> Cluster:
    """The cluster that tests share which do no harm to it."""
    return Cluster().start()
