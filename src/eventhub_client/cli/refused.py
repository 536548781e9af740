"""`eventhub refused`: events that the server refused, mended and published again."""

import base64
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from eventhub_client.cli.exits import REFUSED, command, fail, say
from eventhub_client.cli.output import output_option, visible
from eventhub_client.cli.target import (
    ApiKeyOption,
    ContextName,
    Server,
    Target,
    TokenOption,
    target_of,
)

COLUMNS = ("id", "time", "channel", "code", "by", "bytes")
PAGE = 100
STDIN = "-"

TypeName = Annotated[str, typer.Argument(metavar="TYPE", help="The channel type, such as iot")]
EntryId = Annotated[str, typer.Argument(metavar="ID", help="As `eventhub refused list` shows it")]

app = typer.Typer(help="Events that were refused.", no_args_is_help=True)


@app.command("list")
@command
def list_(
    type_: Annotated[str | None, typer.Argument(metavar="TYPE", help="Only of this type")] = None,
    *,
    channel: Annotated[str | None, typer.Option(help="Only of this channel")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many")] = 100,
    output: Annotated[str, output_option("text", "json")] = "text",
    server: Server = None,
    context: ContextName = None,
    token: TokenOption = None,
    api_key: ApiKeyOption = None,
) -> None:
    """List the events that were refused, the newest first."""
    query = {"type": type_, "channel": channel}
    listing = _listing(target_of(server, context, token, api_key), query, limit)
    if output == "json":
        for each in listing:
            typer.echo(json.dumps(each))
        return
    table = Table(*COLUMNS, box=None, pad_edge=False)
    for each in listing:
        shown = {**each, "code": each["error"]["code"], "by": each["by"] or "-"}
        table.add_row(*(Text(visible(str(shown[name]))) for name in COLUMNS))
    Console(soft_wrap=True).print(table)


@app.command()
@command
def show(
    type_: TypeName,
    entry_id: EntryId,
    *,
    payload: Annotated[
        bool, typer.Option("--payload", help="Only the payload, byte by byte")
    ] = False,
    server: Server = None,
    context: ContextName = None,
    token: TokenOption = None,
    api_key: ApiKeyOption = None,
) -> None:
    """Print an event that was refused, with its payload."""
    found = target_of(server, context, token, api_key).request("GET", _path(type_, entry_id))
    if not payload:
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    text = found["payload"]
    sys.stdout.buffer.write(
        text.encode() if found["encoding"] == "text" else base64.b64decode(text)
    )
    if found["cut"]:
        say("the payload is not complete; see bytes and cut of `eventhub refused show`")


@app.command()
@command
def publish(
    type_: TypeName,
    entry_id: EntryId,
    mended: Annotated[
        str | None,
        typer.Argument(metavar="FILE", help="The mended payload; - reads standard input"),
    ] = None,
    *,
    server: Server = None,
    context: ContextName = None,
    token: TokenOption = None,
    api_key: ApiKeyOption = None,
) -> None:
    """Publish an event that was refused again, as it is or mended. It is then no longer listed."""
    content = None
    if mended is not None:
        content = sys.stdin.buffer.read() if mended == STDIN else Path(mended).read_bytes()
        if not content.strip():
            raise ValueError(f"{mended} is empty; expected the mended payload")
    target = target_of(server, context, token, api_key)
    answer = target.request("POST", _path(type_, entry_id), content=content)
    typer.echo(json.dumps(answer))
    if answer.get("rejected"):
        fail("a part of it was refused; the entry stays", REFUSED)


@app.command()
@command
def discard(
    type_: TypeName,
    entry_ids: Annotated[list[str], typer.Argument(metavar="ID...", help="One or more")],
    *,
    server: Server = None,
    context: ContextName = None,
    token: TokenOption = None,
    api_key: ApiKeyOption = None,
) -> None:
    """Discard events that were refused."""
    target = target_of(server, context, token, api_key)
    for each in entry_ids:
        target.request("DELETE", _path(type_, each))
        typer.echo(each)


def _path(type_: str, entry_id: str) -> str:
    return f"/v1/refused/{quote(type_, safe='')}/{quote(entry_id, safe='')}"


def _listing(target: Target, query: dict[str, Any], limit: int) -> Iterator[dict[str, Any]]:
    asked = {name: value for name, value in query.items() if value is not None}
    while limit > 0:
        page = target.request("GET", "/v1/refused", query={**asked, "limit": min(limit, PAGE)})
        yield from page["refused"]
        limit -= len(page["refused"])
        if page["next"] is None:
            return
        asked["before"] = page["next"]
    say("there are more; see --limit")
