"""Debian's nginx with deploy/nginx.conf, whose addresses and directories alone are changed. It ends
with its context.
"""

import re
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.harness.eventhub import START_SECONDS
from tests.harness.ports import free_port
from tests.harness.programs import program

CONF = Path(__file__).parents[2] / "deploy/nginx.conf"


class Nginx:
    """Before nodes on these ports of 127.0.0.1, of which there are as many as in the file. `below`:
    more directives for the server.
    """

    def __init__(self, directory: Path, ports: Sequence[int], below: str = "") -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.ws_url = f"ws://127.0.0.1:{self.port}/v1/ws"
        self.log = directory / "nginx.log"
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
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return self
            time.sleep(0.02)  # between attempts to connect
        self.__exit__(None, None, None)
        raise RuntimeError(f"nginx does not listen:\n{self.log.read_text()}")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self._process.terminate()  # its workers with it
            self._process.wait(timeout=10)
