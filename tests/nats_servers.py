"""NATS servers for tests: started on free ports with JetStream storage in temporary directories,
ended by pid.
"""

import atexit
import json
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests import SETTINGS
from tests.harness import free_port

START_SECONDS = 30


def program() -> str:
    """Path of nats-server. Without it, skips the test unless EVENTHUB_TEST_REQUIRE is set."""
    found = shutil.which(SETTINGS.get("EVENTHUB_TEST_NATS_SERVER", "nats-server"))
    if found is None:
        if SETTINGS.get("EVENTHUB_TEST_REQUIRE"):
            pytest.fail("nats-server is not installed (Debian: apt-get install nats-server)")
        pytest.skip("nats-server is not installed (Debian: apt-get install nats-server)")
    return found


class Server:
    """One nats-server process; it can be killed and started again on the same port and storage."""

    def __init__(self, *options: str, jetstream: bool = True) -> None:
        self.port = free_port()
        self.directory = tempfile.mkdtemp(prefix="eventhub-nats-")
        self._options = [*options, *(["-js", "-sd", self.directory] if jetstream else [])]
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self.remove)

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def launch(self) -> None:
        with Path(self.directory, "log").open("ab") as log:
            self._process = subprocess.Popen(
                [program(), "-a", "127.0.0.1", "-p", str(self.port), *self._options],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )

    def start(self) -> "Server":
        self.launch()
        self.wait()
        return self

    def wait(self) -> None:
        """Until it takes connections."""
        end = time.monotonic() + START_SECONDS
        while True:
            with (
                suppress(OSError),
                socket.create_connection(("127.0.0.1", self.port), 1) as connection,
            ):
                if connection.recv(5) == b"INFO ":
                    return
            assert time.monotonic() < end, Path(self.directory, "log").read_text()
            time.sleep(0.02)

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

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
        end = time.monotonic() + START_SECONDS
        while not all(_peers(server.port) >= 3 for server in self.servers):
            assert time.monotonic() < end, "the cluster has no leader"
            time.sleep(0.1)
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


def ask(port: int, subject: str, body: str = "") -> dict[str, Any]:
    """Ask a server's JetStream, with a bare client of our own."""
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.settimeout(10)
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


def _peers(port: int) -> int:
    """How many servers the JetStream cluster seems to have: a stream with that many replicas can be
    made.
    """
    with suppress(OSError, AssertionError, ValueError):
        for replicas in (3, 1):
            body = json.dumps(
                {
                    "name": f"probe{replicas}",
                    "subjects": [f"probe{replicas}"],
                    "num_replicas": replicas,
                    "storage": "memory",
                }
            )
            if "error" not in ask(port, f"STREAM.CREATE.probe{replicas}", body):
                ask(port, f"STREAM.DELETE.probe{replicas}")
                return replicas
    return 0


@cache
def single() -> Server:
    """The server that tests share which do no harm to it."""
    return Server().start()


@cache
def cluster() -> Cluster:
    """The cluster that tests share which do no harm to it."""
    return Cluster().start()
