"""A real EventHub server in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from tests.harness.clients import http, metric
from tests.harness.forked import Forked
from tests.harness.ports import free_port
from tests.harness.process import ServerProcess

COMMANDS = {
    "fast": ["eventhub", "serve"],
    "started": ["eventhub", "serve"],
    "workers": ["tests.harness.workers", "serve"],
    "unforked workers": ["tests.harness.workers", "serve"],
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
UNFORKED = ("started", "unforked workers")
"""Lanes that inherit what the test has, such as signals that are ignored."""


class EventHubServer(ServerProcess):
    """`eventhub serve` with a configuration of its own, on a port that stays the same over
    restarts.

    It is forked from a process that has imported everything. `lane="started"` starts it as its
    users do; `lane="asgi"` runs the same application under plain uvicorn, whose WebSocket
    implementation nobody here wrote; `lane="workers"` lets the memory broker have several workers,
    as does `lane="unforked workers"`, started as its users do; `lane="echo"` has sessions that say
    back what they hear. `client` asks whether it is ready, `ready` is the answer that is waited
    for.
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
        super().__init__("the server", tmp_path / "server.log")
        self.lane = lane
        self._client = client
        self.port = port or free_port()
        secure = "s" if "tls:" in config else ""
        self.url = f"http{secure}://127.0.0.1:{self.port}"
        self.ws_url = f"ws{secure}://127.0.0.1:{self.port}/v1/ws"
        self.config = tmp_path / "eventhub.yaml"
        self.config.write_text(config)

    def command(self) -> list[str]:
        return [sys.executable, "-m", *self._words()]

    def environment(self) -> dict[str, str]:
        others = {
            name: value for name, value in os.environ.items() if not name.startswith("EVENTHUB_")
        }
        return {**others, "EVENTHUB_CONFIG": str(self.config)}

    def spawn(self, output: int) -> subprocess.Popen[bytes] | Forked:
        if self.lane in UNFORKED:
            return super().spawn(output)
        return Forked(self._words(), self.environment(), self.log)

    def is_ready(self) -> bool:
        return self._client.get(f"{self.url}/readyz").status_code == self.ready

    def answers(self, path: str, status: int, **options: Any) -> None:
        """Wait until a request for this path is answered so."""
        self.eventually(
            f"{path} to answer {status}",
            lambda: self._client.get(f"{self.url}{path}", **options).status_code,
            lambda seen: seen == status,
        )

    def logs(self, text: str) -> None:
        """Wait until it has logged this."""
        self.eventually(f"{text!r} to be logged", self.log.read_text, lambda seen: text in seen)

    def shows(self, name: str, value: float) -> None:
        """Wait until this metric has this value, which tells nobody when it changes."""
        self.eventually(
            f"{name} to be {value}", lambda: metric(self.url, name), lambda seen: seen == value
        )

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    def lines(self, event: str = "") -> list[dict[str, Any]]:
        """What it has logged as JSON, by event if one is named. The last line may be half written:
        only whole ones.
        """
        whole = self.log.read_text().rpartition("\n")[0]
        return [
            line for line in map(json.loads, whole.splitlines()) if event in ("", line["event"])
        ]

    def _words(self) -> list[str]:
        return [*COMMANDS[self.lane], "--port", str(self.port)]
