"""Debian's nginx with deploy/nginx.conf, in which only addresses and directories are changed. It
ends with its context.
"""

import re
import socket
from collections.abc import Sequence
from pathlib import Path

from tests.harness.ports import free_port
from tests.harness.process import ServerProcess
from tests.harness.programs import program

CONF = Path(__file__).parents[2] / "deploy/nginx.conf"


class Nginx(ServerProcess):
    """nginx before nodes on these ports of 127.0.0.1, as many as the file names.

    `below` has more directives for the server.
    """

    def __init__(self, directory: Path, ports: Sequence[int], below: str = "") -> None:
        super().__init__("nginx", directory / "nginx.log")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.ws_url = f"ws://127.0.0.1:{self.port}/v1/ws"
        nodes = iter(ports)
        text = re.sub(
            r"server eventhub-\d:8000",
            lambda _: f"server 127.0.0.1:{next(nodes)}",
            CONF.read_text(),
        )
        assert next(nodes, None) is None, "the file has fewer nodes"
        text = text.replace("listen 8080", f"listen 127.0.0.1:{self.port}").replace(
            "/tmp/", f"{directory}/"
        )
        text = re.sub(r"( +server_name .*;\n)", lambda found: found[1] + below, text)
        (directory / "nginx.conf").write_text(text)
        self._command = [
            program("nginx"),
            "-p",
            str(directory),
            "-c",
            str(directory / "nginx.conf"),
            "-e",
            "stderr",
        ]
        self._command += ["-g", "daemon off; user root;"]

    def command(self) -> list[str]:
        return self._command

    def is_ready(self) -> bool:
        with socket.create_connection(("127.0.0.1", self.port), 1):
            return True

    def kill(self) -> None:
        """Kill it with its workers, which SIGKILL alone would leave running."""
        if self.process is not None:
            self.stop()
