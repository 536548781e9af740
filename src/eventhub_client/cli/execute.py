"""`eventhub tail --exec`: a shell command for each event, and what its end means."""

import json
import signal
import socket
import subprocess
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import typer

from eventhub_client.cli.exits import COMMAND_FAILED, say
from eventhub_client.cli.items import fields_of
from eventhub_client.cursors import FileCursor
from eventhub_client.items import Gap, Item

NOT_EXECUTABLE, NOT_FOUND, SIGNALS = 126, 127, 128
"""Exit codes of a shell. From SIGNALS on: a signal killed what it started."""


class EndingCursor(FileCursor):
    """Ends the run when the event that was in work is stored: it would come again otherwise."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._is_last = False

    def store(self, positions: Mapping[str, str]) -> None:
        super().store(positions)
        if self._is_last:
            raise _LastIsStored

    def finish(self, items: Iterator[Item[Any]]) -> None:
        """Count the newest item as done."""
        self._is_last = True
        with suppress(_LastIsStored):
            next(items)


class _LastIsStored(Exception):
    pass


class EventCommand:
    """Runs a command for each event, one after another."""

    def __init__(self, text: str, *, stops: bool) -> None:
        """Raise ValueError if there is no command."""
        if not text.strip():
            raise ValueError("--exec is empty; expected a shell command")
        self._text = text
        self._stops = stops
        self._has_failed = False
        self.ended_by: int | None = None
        """The signal that came while the command ran."""

    def run(self, item: Item[Any]) -> None:
        """Raise typer.Exit if it fails and the event must come again."""
        data = json.dumps(fields_of(item), ensure_ascii=False).encode()
        with _delayed_signals() as received:
            process = subprocess.Popen(["/bin/sh", "-c", self._text], stdin=subprocess.PIPE)  # noqa: S603  # the user's own command; nothing of the event is in it
            received.started(process)
            try:
                process.communicate(data)
            except BaseException:  # the reader of the output has gone
                process.kill()
                process.wait()
                raise
        self.ended_by = received.number
        if process.returncode:
            self._failed(item, process.returncode)

    def exit(self) -> None:
        """The end of the run. Raise typer.Exit unless every command did its work."""
        if self.ended_by is not None:
            raise typer.Exit(SIGNALS + self.ended_by)
        if self._has_failed:
            raise typer.Exit(COMMAND_FAILED)

    def _failed(self, item: Item[Any], code: int) -> None:
        self._has_failed = True
        place = item.position if isinstance(item, Gap) else item.id
        text = f"the command {_end_of(code)} for {item.channel} {place}"
        if not self._stops:
            say(text)
            return
        say(f"{text}. The next run with this cursor repeats it")
        self.exit()


class _Received:
    """The first signal waits until the command has ended. The second one kills the command.

    The kernel gives a signal to any thread, and only one that the main thread gets interrupts its
    wait for the command. So a thread reads the numbers of all signals.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers: list[int] = []
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def number(self) -> int | None:
        """SIGTERM if it came, or else SIGINT. It is certain when the reader has ended."""
        return max(self._numbers, default=None)

    def started(self, process: subprocess.Popen[bytes]) -> None:
        with self._lock:
            self._process = process
            self._kill()

    def read(self, numbers: socket.socket, delayed: Collection[int]) -> None:
        """Count the delayed signals until the other end is closed."""
        while number := numbers.recv(1):
            with self._lock:
                if number[0] in delayed:
                    self._numbers.append(number[0])
                    self._kill()

    def _kill(self) -> None:
        if len(self._numbers) > 1 and self._process is not None:
            self._process.kill()


@contextmanager
def _delayed_signals() -> Iterator[_Received]:
    received = _Received()
    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    delayed = [
        each
        for each in (signal.SIGINT, signal.SIGTERM)
        if signal.getsignal(each) is not signal.SIG_IGN  # as in a background job of a shell
    ]
    output, numbers = socket.socketpair()
    with output, numbers:
        output.settimeout(0)
        reader = threading.Thread(target=received.read, args=(numbers, delayed), daemon=True)
        reader.start()
        earlier = signal.set_wakeup_fd(output.fileno(), warn_on_full_buffer=False)
        before = {each: signal.signal(each, _ignore) for each in delayed}
        try:
            yield received
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)
            signal.set_wakeup_fd(earlier)
            output.shutdown(socket.SHUT_WR)
            reader.join()


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """Not SIG_IGN: the command would inherit it, and no number would be written."""


def _end_of(code: int) -> str:
    if code == NOT_FOUND:
        return f"was not found ({code})"
    if code == NOT_EXECUTABLE:
        return f"cannot be executed ({code})"
    number = -code if code < 0 else code - SIGNALS
    try:
        return f"was killed by {signal.Signals(number).name}"
    except ValueError:
        return f"failed ({code})"
