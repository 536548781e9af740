"""`eventhub ship`: send growing log files, line by line, through rotation and restarts."""

import hashlib
import json
import os
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from eventhub_client.cli.exits import REFUSED, USAGE, command, say
from eventhub_client.cli.log_file import QUIET_LOOKS, LineBatch, LogFile
from eventhub_client.cli.target import ApiKeyOption, ContextName, Server, TokenOption, target_of
from eventhub_client.errors import Forbidden, HubError, NotFound, Refused, Unauthorized
from eventhub_client.payloads import Encoded, encode
from eventhub_client.sync import SyncHub

POLL_SECONDS = 0.25
FATAL = (Unauthorized, Forbidden, NotFound)
"""What would refuse every other line, too."""


@command
def ship(
    arguments: Annotated[list[str], typer.Argument(metavar="FILE… CHANNEL")],
    *,
    once: Annotated[
        bool, typer.Option("--once", help="Stop at the end of the files; do not follow them")
    ] = False,
    state: Annotated[
        Path | None,
        typer.Option(file_okay=False, help="Where to remember how far the files were sent"),
    ] = None,
    rejects: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Append lines that are refused to a file")
    ] = None,
    server: Server = None,
    context: ContextName = None,
    token: TokenOption = None,
    api_key: ApiKeyOption = None,
) -> None:
    """Send log files as they grow. A line of JSON is an event; any other line is a message.

    Lines are repeated until they are stored, and stored once if they are stored within ten minutes.
    """
    *names, channel = arguments
    if not names:
        raise ValueError(f"received only {channel!r}; expected FILE… CHANNEL")
    target = target_of(server, context, token, api_key)
    folder, looks = state or _state_folder(), 1 if once else QUIET_LOOKS
    files = [
        LogFile(path, folder / f"{_name(path, channel, target.url)}.json", say, looks)
        for path in (Path(name).absolute() for name in names)
    ]
    with target.hub() as hub, ExitStack() as stack:
        for file in files:
            stack.callback(file.close)
        shipper = _Shipper(hub, channel, rejects)
        while True:
            moved = [shipper.step(file) for file in files]  # each file has its turn
            if not any(moved):
                if once:
                    break
                time.sleep(POLL_SECONDS)
        if not all(file.was_found for file in files):
            raise typer.Exit(USAGE)
    if shipper.refused:
        raise typer.Exit(REFUSED)


def payload_of(line: str) -> Encoded:
    """The event of a line: its JSON object, or a log message. Any line is one of them."""
    try:
        value = json.loads(line)
        if isinstance(value, dict):
            return Encoded(encode(value))
    except (ValueError, RecursionError):
        pass
    return Encoded(encode({"level": "info", "message": line}))


class _Shipper:
    """Sends batches. A batch of which nothing is known is sent again, for ever."""

    def __init__(self, hub: SyncHub, channel: str, rejects: Path | None) -> None:
        self._hub = hub
        self._channel = channel
        self._rejects = rejects
        self.refused = 0

    def step(self, file: LogFile) -> bool:
        """Send one batch of a file. Whether there was one."""
        batch = file.next_batch()
        if batch is None:
            return False
        self._send(batch)
        file.done(batch)
        return True

    def _send(self, batch: LineBatch) -> None:
        events = list(map(payload_of, batch.lines))
        while True:
            outcomes = self._hub.publish_many(self._channel, events, key=batch.key)
            errors = [each for each in outcomes if isinstance(each, HubError)]
            if all(isinstance(each, Refused) for each in errors):
                break
            say(f"{errors[-1]}; the same lines are sent again")
        for line, outcome in zip(batch.lines, outcomes, strict=True):
            if isinstance(outcome, FATAL):
                raise outcome
            if isinstance(outcome, HubError):
                self._refuse(line, outcome)

    def _refuse(self, line: str, error: HubError) -> None:
        self.refused += 1
        if self.refused == 1:
            say(f"{error}; more of them are only counted")
        if self._rejects is not None:
            with self._rejects.open("a", encoding="utf-8") as file:
                file.write(line + "\n")


def _state_folder() -> Path:
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "eventhub"


def _name(path: Path, channel: str, url: str) -> str:
    key = "\n".join((str(path), channel, url)).encode()
    return f"{path.name}-{hashlib.sha256(key).hexdigest()[:12]}"
