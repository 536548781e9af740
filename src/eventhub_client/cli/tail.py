"""`eventhub tail`: follow channels on the terminal, through every restart."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from eventhub_client.cli.execute import EndingCursor, EventCommand
from eventhub_client.cli.exits import command
from eventhub_client.cli.items import Line, line_of
from eventhub_client.cli.output import visible_lines
from eventhub_client.cli.readers import ends_with_its_reader
from eventhub_client.cli.target import ApiKeyOption, ContextName, Server, TokenOption, target_of
from eventhub_client.items import Gap, Item

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
    kept = EndingCursor(cursor) if cursor is not None else None
    task = EventCommand(execute, stops=kept is not None) if execute is not None else None
    with target_of(server, context, token, api_key).hub() as hub, ends_with_its_reader():
        items = hub.follow(*channels, since=since, cursor=kept, where=where)
        take = _printer(line) if task is None else task.run
        for number, item in enumerate(items, 1):
            take(item)
            if number == count or (task is not None and task.ended_by is not None):
                if kept is not None and not isinstance(item, Gap):
                    kept.finish(items)
                break
    if task is not None:
        task.exit()


def _printer(line: Line) -> Callable[[Item[Any]], None]:
    # Lines are not broken where the terminal ends, and are not colored where they are read by
    # programs or NO_COLOR is set.
    console = _Console(soft_wrap=True, highlight=False, markup=False)

    def show(item: Item[Any]) -> None:
        text = line(item)
        if console.is_terminal and not text.plain.isprintable():
            text = Text(visible_lines(text.plain))
        console.print(text)
        sys.stdout.flush()

    return show


class _Console(Console):
    def on_broken_pipe(self) -> None:
        raise BrokenPipeError
