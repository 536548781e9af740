"""`eventhub tail`: follow channels on the terminal, through every restart."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from eventhub_client.cli.exits import command, say
from eventhub_client.cli.items import fields_of, line_of
from eventhub_client.cli.readers import ends_with_its_reader
from eventhub_client.cli.target import ApiKeyOption, ContextName, Server, TokenOption, target_of
from eventhub_client.cursors import FileCursor
from eventhub_client.items import Item

Filter = Annotated[
    str | None,
    typer.Option(metavar="CEL", help="Only events that match, such as 'data.total > 100'"),
]


@command
def tail(
    channels: Annotated[
        list[str], typer.Argument(metavar="PATTERN…", help="Such as chat.lobby or 'iot.>'")
    ],
    *,
    since: Annotated[
        str, typer.Option(help="Where to begin: latest, earliest, -20, 10m or an id")
    ] = "latest",
    where: Filter = None,
    output: Annotated[
        str,
        typer.Option("--output", "-o", help="text, json, or such as '{time} {data[message]}'"),
    ] = "text",
    execute: Annotated[
        str | None,
        typer.Option(
            "--exec",
            metavar="CMD",
            help="Run a shell command for each event, which is JSON on its standard input",
        ),
    ] = None,
    cursor: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="Keep the position in a file, and go on from it"),
    ] = None,
    count: Annotated[
        int | None, typer.Option("--count", "-n", min=1, help="Stop after so many events")
    ] = None,
    server: Server = None,
    context: ContextName = None,
    token: TokenOption = None,
    api_key: ApiKeyOption = None,
) -> None:
    """Follow channels. It reconnects and resumes by itself; what is missed for good is shown."""
    line = line_of(output)
    # Lines are not broken where the terminal ends, and are not colored where they are read by
    # programs or NO_COLOR is set.
    console = _Console(soft_wrap=True, highlight=False, markup=False)
    kept = FileCursor(cursor) if cursor is not None else None
    with target_of(server, context, token, api_key).hub() as hub, ends_with_its_reader():
        items = hub.follow(*channels, since=since, cursor=kept, where=where)
        for number, item in enumerate(items, 1):
            if execute is None:
                console.print(line(item))
                sys.stdout.flush()
            else:
                _run(execute, item)
            if number == count:
                return


class _Console(Console):
    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def _run(execute: str, item: Item[Any]) -> None:
    text = json.dumps(fields_of(item), ensure_ascii=False)
    ended = subprocess.run(["/bin/sh", "-c", execute], input=text, text=True, check=False)  # noqa: S603  # the user's own command; nothing of the event is in it
    if ended.returncode:
        say(f"the command ended with {ended.returncode} for {item.channel}")
