"""A real EventHub server in a process of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from tests.harness.clients import http
from tests.harness.forked import Forked
from tests.harness.ports import free_port

START_SECONDS = 60
COMMANDS = {
    "fast": ["eventhub", "serve"],
    "started": ["eventhub", "serve"],
    "workers": ["tests.harness.workers", "serve"],
    "echo": ["tests.conformance.echo", "serve"],
    "asgi": [
        "uvicorn",
        "tests.harness.asgi:app",
        "--ws",
        "websockets-sansio",
        "--timeout-graceful-shutdown",
        "5",
    ],
}
FORKED = ("fast", "asgi")
"""Lanes that change nothing while they are imported."""


class EventHubServer:
    """`eventhub serve` with a configuration of its own, on a port that stays the same over
    restarts.

    It is forked from a process that has imported everything; `lane="started"` starts it as its
    users do. `lane="asgi"` runs the same application under plain uvicorn, whose WebSocket
    implementation nobody here wrote; `lane="workers"` lets the memory broker have several workers;
    `lane="echo"` has sessions that say back what they hear. `client` asks whether it is ready,
    `ready` is the answer that is waited for.
    """

    ready = 200

    def __init__(
        self,
        tmp_path: Path,
        config: str = "",
        port: int | None = None,
        lane: str = "fast",
        client: httpx.Client = http,
    ) -> None:
        self.lane = lane
        self._client = client
        self.port = port or free_port()
        secure = "s" if "tls:" in config else ""
        self.url = f"http{secure}://127.0.0.1:{self.port}"
        self.ws_url = f"ws{secure}://127.0.0.1:{self.port}/v1/ws"
        self.config = tmp_path / "eventhub.yaml"
        self.config.write_text(config)
        self.log = tmp_path / "server.log"
        self.process: subprocess.Popen[bytes] | Forked | None = None

    def start(self) -> None:
        """Start, and wait until it is ready."""
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("EVENTHUB_")
        }
        environment["EVENTHUB_CONFIG"] = str(self.config)
        command = [*COMMANDS[self.lane], "--port", str(self.port)]
        if self.lane in FORKED:
            self.process = Forked(command, environment, self.log)
        else:
            with self.log.open("ab") as output:
                self.process = subprocess.Popen(
                    [sys.executable, "-m", *command], stdout=output, stderr=output, env=environment
                )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(
                    f"the server ended with {self.process.returncode}:\n{self.log.read_text()}"
                )
            try:
                if self._client.get(f"{self.url}/readyz").status_code == self.ready:
                    return
            except httpx.TransportError:
                time.sleep(
                    0.02
                )  # between attempts to connect: nothing can be waited on before the port is open
        self.kill()
        raise RuntimeError(
            f"the server was not ready in {START_SECONDS} seconds:\n{self.log.read_text()}"
        )

    def stop(self, signal: int = signal.SIGTERM) -> int:
        """Ask it to stop and wait; its exit code."""
        assert self.process is not None
        self.process.send_signal(signal)
        code = self.process.wait(timeout=120)
        self.process = None
        return code

    def kill(self) -> None:
        """kill -9."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def lines(self, event: str = "") -> list[dict[str, Any]]:
        """What it has logged as JSON, by event if one is named. The last line may be half written:
        only whole ones.
        """
        whole = self.log.read_text().rpartition("\n")[0]
        return [
            line for line in map(json.loads, whole.splitlines()) if event in ("", line["event"])
        ]

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()
