"""A server in a process of its own: how each is started, waited for and ended."""

import os
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import httpx

from tests.harness.eventually import Errors, eventually
from tests.harness.forked import Forked

T = TypeVar("T")

STOP_SECONDS = 120
LAST_LINES = 40
NOT_YET: Errors = (OSError, httpx.TransportError)
"""Of a server that does not listen yet."""


class ServerProcess(ABC):
    """Its port and files stay over restarts. Whatever fails while it is started, waited for or used
    as a context ends with the last lines of its log.
    """

    not_yet = NOT_YET

    def __init__(self, name: str, log: Path) -> None:
        self.name = name
        self.log = log
        self.process: subprocess.Popen[bytes] | Forked | None = None

    @abstractmethod
    def command(self) -> list[str]:
        """The program and its arguments."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Ask it. Errors in `not_yet` mean no."""

    def environment(self) -> Mapping[str, str]:
        return os.environ

    def launch(self) -> None:
        assert self.process is None, f"{self.name} runs"
        with self.log.open("ab") as output:
            self.process = self.spawn(output.fileno())

    def spawn(self, output: int) -> subprocess.Popen[bytes] | Forked:
        return subprocess.Popen(
            self.command(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=self.environment(),
        )

    def start(self) -> Self:
        """Start, and wait until it is ready."""
        self.launch()
        try:
            self.wait()
        except BaseException:
            self.kill()
            raise
        return self

    def wait(self) -> None:
        self.eventually(f"{self.name} to be ready", self.is_ready)

    def eventually(
        self, what: str, look: Callable[[], T], holds: Callable[[T], object] = bool
    ) -> T:
        """As `eventually`, of what this server does; it must live meanwhile."""

        def look_at_it() -> T:
            self.check()
            return look()

        try:
            return eventually(what, look_at_it, holds, not_yet=self.not_yet)
        except AssertionError as failure:
            failure.add_note(self.last_lines())
            raise

    def check(self) -> None:
        assert self.process is not None, f"{self.name} was not started"
        code = self.process.poll()
        assert code is None, f"{self.name} has ended with {code}"

    def send_signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask it to stop and wait; its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(timeout=STOP_SECONDS)
        self.process = None
        return code

    def kill(self) -> None:
        """kill -9."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(timeout=STOP_SECONDS)
            self.process = None

    def last_lines(self) -> str:
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return f"the log of {self.name} ends:\n" + "\n".join(text.splitlines()[-LAST_LINES:])

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            error.add_note(self.last_lines())
        self.kill()
