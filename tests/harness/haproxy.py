"""Debian's HAProxy with deploy/haproxy.cfg, whose addresses alone are changed. It ends with its
context.
"""

import csv
import io
import re
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from tests.harness.ports import free_port
from tests.harness.process import ServerProcess
from tests.harness.programs import program

CONFIG = Path(__file__).parents[2] / "deploy/haproxy.cfg"


class Node(Protocol):
    """What listens on a port of 127.0.0.1."""

    port: int


class HAProxy(ServerProcess):
    """Spreads connections over those nodes whose /readyz is green. `below`: more directives for the
    frontend.
    """

    def __init__(self, directory: Path, nodes: Sequence[Node], below: str = "") -> None:
        directory.mkdir(parents=True, exist_ok=True)
        super().__init__("haproxy", directory / "log")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.ws_url = f"ws://127.0.0.1:{self.port}/v1/ws"
        servers = "".join(
            f"    server node{number} 127.0.0.1:{node.port}\n"
            for number, node in enumerate(nodes, start=1)
        )
        text = re.sub(r"    server node\d .*\n", "", CONFIG.read_text()) + servers
        self._config = directory / "haproxy.cfg"
        self._stats = directory / "stats"
        text = text.replace("global\n", f"global\n    stats socket {self._stats}\n")
        text = text.replace(
            "timeout check 2s", "timeout check 20s"
        )  # on a busy machine moments are longer
        self._config.write_text(
            re.sub(r"maxconn \d+", "maxconn 9000", text).replace(
                "bind :8080", f"bind 127.0.0.1:{self.port}"
            )
        )
        if below:
            self._config.write_text(
                re.sub(
                    r"(\n    bind .*\n)", lambda found: found[1] + below, self._config.read_text()
                )
            )

    @property
    def connections(self) -> dict[str, int]:
        """Open ones by node, in the nodes' order."""
        return {name: int(row["scur"]) for name, row in self._rows().items()}

    def is_up(self, name: str) -> bool:
        """Whether it sends anybody there."""
        return self._rows()[name]["status"].startswith("UP")

    def command(self) -> list[str]:
        return [program("haproxy"), "-db", "-f", str(self._config)]

    def is_ready(self) -> bool:
        return all(map(self.is_up, self._rows()))

    def _rows(self) -> dict[str, dict[str, str]]:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(30)
            sock.connect(str(self._stats))
            sock.sendall(b"show stat\n")
            text = b"".join(iter(lambda: sock.recv(65536), b"")).decode()
        rows = csv.DictReader(io.StringIO(text.removeprefix("# ")))
        return {row["svname"]: row for row in rows if row["svname"].startswith("node")}
