"""A real Alertmanager on a free port. It ends with its context."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from tests.harness.ports import free_port
from tests.harness.programs import program

SECONDS = 20
Groups = list[list[str]]
"""Messages that are about to be sent: the names of their alerts, in order."""


class Alertmanager:
    """`config` is the text of its configuration."""

    def __init__(self, directory: Path, config: str) -> None:
        self._file, self._log = directory / "alertmanager.yml", directory / "alertmanager.log"
        self._file.write_text(config)
        self._data = directory / "data"
        self._listen = f"127.0.0.1:{free_port()}"
        self._client = httpx.Client(
            base_url=f"http://{self._listen}/api/v2", trust_env=False, timeout=10
        )

    def __enter__(self) -> Self:
        options = {
            "config.file": self._file,
            "storage.path": self._data,
            "web.listen-address": self._listen,
            "cluster.listen-address": "",
        }
        command = [
            program("prometheus-alertmanager"),
            *(f"--{name}={value}" for name, value in options.items()),
        ]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + SECONDS
        while not self._answers():
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < deadline, self._log.read_text()
            time.sleep(0.05)  # between attempts to connect
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait(10)
        self._client.close()

    def post(self, alerts: list[dict[str, str]]) -> None:
        """Alerts with these labels fire. Empty labels are none."""
        body = [
            {"labels": {name: value for name, value in labels.items() if value}}
            for labels in alerts
        ]
        self._client.post("alerts", json=body).raise_for_status()

    def until(self, holds: Callable[[Groups], bool]) -> None:
        """Wait until it holds of what will be told, without alerts that others keep back."""
        deadline = time.monotonic() + SECONDS
        while not holds(groups := self._groups()):
            assert time.monotonic() < deadline, groups
            time.sleep(0.05)  # it groups by its own clock, and tells nobody

    def _groups(self) -> Groups:
        answer: list[dict[str, Any]] = (
            self._client.get("alerts/groups", params={"inhibited": "false"})
            .raise_for_status()
            .json()
        )
        return [
            sorted(alert["labels"]["alertname"] for alert in group["alerts"]) for group in answer
        ]

    def _answers(self) -> bool:
        try:
            return self._client.get("status").is_success
        except httpx.TransportError:
            return False
