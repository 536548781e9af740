"""A real Alertmanager on a free port. It ends with its context."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from tests.harness.ports import free_port
from tests.harness.process import ServerProcess
from tests.harness.programs import program

Groups = list[list[str]]
"""Messages that are about to be sent: the names of their alerts, in order."""


class Alertmanager(ServerProcess):
    """`config` is the text of its configuration."""

    def __init__(self, directory: Path, config: str) -> None:
        super().__init__("alertmanager", directory / "alertmanager.log")
        self._file = directory / "alertmanager.yml"
        self._file.write_text(config)
        self._data = directory / "data"
        self._listen = f"127.0.0.1:{free_port()}"
        self._client = httpx.Client(
            base_url=f"http://{self._listen}/api/v2", trust_env=False, timeout=10
        )

    def command(self) -> list[str]:
        options = {
            "config.file": self._file,
            "storage.path": self._data,
            "web.listen-address": self._listen,
            "cluster.listen-address": "",
        }
        return [
            program("prometheus-alertmanager"),
            *(f"--{name}={value}" for name, value in options.items()),
        ]

    def is_ready(self) -> bool:
        return self._client.get("status").is_success

    def __exit__(self, *failure: Any) -> None:
        super().__exit__(*failure)
        self._client.close()

    def post(self, alerts: list[dict[str, str]]) -> None:
        """Fire alerts with these labels. Empty labels are left out."""
        body = [
            {"labels": {name: value for name, value in labels.items() if value}}
            for labels in alerts
        ]
        self._client.post("alerts", json=body).raise_for_status()

    def until(self, what: str, holds: Callable[[Groups], bool]) -> None:
        """Wait until it holds of the alerts that will be sent, without those that others hold back.

        Alertmanager groups by its own clock and notifies nobody of it.
        """
        self.eventually(what, self._groups, holds)

    def _groups(self) -> Groups:
        answer: list[dict[str, Any]] = (
            self._client.get("alerts/groups", params={"inhibited": "false"})
            .raise_for_status()
            .json()
        )
        return [
            sorted(alert["labels"]["alertname"] for alert in group["alerts"]) for group in answer
        ]
