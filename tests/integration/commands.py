"""Runs the commands of clients, in this process and in processes of their own."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from eventhub_client.cli import app
from eventhub_client.sync import SyncHub
from tests.harness.eventhub import EventHubServer
from tests.harness.eventually import SECONDS

Start = Callable[..., EventHubServer]
LASTING = (
    "broker: sqlite:///events.db\n"
    "channels: {logs: {payload: json}, chat: {payload: chat, presence: true},"
    " orders: {key: /id}, typing: {signals: {publish: [producer]}}}"
)
MAIN = [sys.executable, "-c", "from eventhub_client.cli import app; app()"]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "200")


def run(hub: EventHubServer, *arguments: str, text: str | None = None) -> Result:
    """A command, in this process."""
    return CliRunner().invoke(app, [*arguments, "--server", hub.url], input=text)


def stored(hub: EventHubServer, channel: str, count: int) -> list[object]:
    """The data of the first events of a channel."""
    found: list[object] = []
    with SyncHub(hub.url) as client:
        for item in client.follow(channel, since="earliest"):
            found.append(getattr(item, "data", item))
            if len(found) == count:
                break
    return found


class Program(subprocess.Popen[str]):
    """A command in a process of its own."""

    def __init__(self, hub: EventHubServer, *arguments: str) -> None:
        super().__init__(
            [*MAIN, *arguments, "--server", hub.url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def line(self) -> str:
        assert self.stdout is not None
        return self.stdout.readline()

    def end(self) -> tuple[str, str]:
        return self.communicate(timeout=SECONDS)

    def stop(self) -> None:
        """End it, whatever it does, and close its pipes."""
        self.kill()
        self.wait()
        for pipe in (self.stdin, self.stdout, self.stderr):
            assert pipe is not None
            with suppress(BrokenPipeError):
                pipe.close()


Follow = Callable[..., Program]


@pytest.fixture
def program() -> Iterator[Follow]:
    """Starts commands in processes of their own, and ends them."""
    with ExitStack() as stack:

        def start(hub: EventHubServer, *arguments: str) -> Program:
            program = Program(hub, *arguments)
            stack.callback(program.stop)
            return program

        yield start
