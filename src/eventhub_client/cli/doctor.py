"""`eventhub doctor`: what is wrong between here and a server, and what to do about it."""

import json
import re
from typing import Annotated

import typer
from rich.console import Console

from eventhub_client.cli.exits import REFUSED, command
from eventhub_client.cli.health_checks import CHECKS, NEEDED, Check, Visit
from eventhub_client.cli.sick import Sick
from eventhub_client.cli.target import ApiKeyOption, ContextName, Server, TokenOption, target_of
from eventhub_client.errors import HubError

DEFAULT_CHANNEL = "chat.doctor"
DEFAULT_EVENT = '{"sender":"doctor","text":"${mark}"}'


@command
def doctor(
    *,
    channel: Annotated[
        str, typer.Option(help="A channel for a test event; it stays in its history")
    ] = DEFAULT_CHANNEL,
    event: Annotated[str, typer.Option(help="The test event; ${mark} is replaced")] = DEFAULT_EVENT,
    origin: Annotated[
        str | None, typer.Option(help="The origin of a web page, such as https://app.example")
    ] = None,
    server: Server = None,
    context: ContextName = None,
    token: TokenOption = None,
    api_key: ApiKeyOption = None,
) -> None:
    """Check a server from here: network, broker, clock, credential, proxy, delivery, resume."""
    try:
        json.loads(event)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"--event is not JSON: {error}; received {event[:60]!r}") from None
    if set("*>") & set(channel):
        raise ValueError(f"received --channel {channel}, a pattern; expected a channel")
    if origin is not None and not re.fullmatch(r"https?://[^/?#]+", origin):
        raise ValueError(f"received --origin {origin}; expected such as https://app.example")
    visit = Visit(target_of(server, context, token, api_key), channel, event, origin)
    console = Console(soft_wrap=True, highlight=False, markup=False)
    failed = 0
    for name, check in CHECKS.items():
        sick = _try(check, visit)
        if isinstance(sick, str):
            console.print(f"✓ {name}: {sick}", style="green")
            continue
        failed += 1
        console.print(f"✗ {name}: {sick}", style="bold red")
        console.print(f"  {sick.advice}")
        if check in NEEDED:
            break
    if failed:
        raise typer.Exit(REFUSED)


def _try(check: Check, visit: Visit) -> "str | Sick":
    try:
        return check(visit)
    except Sick as sick:
        return sick
    except HubError as failure:
        return Sick.refused(failure.code, failure)
