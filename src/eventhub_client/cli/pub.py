"""`eventhub pub`: publish events from the command line, standard input or a file."""

import json
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from string import Template
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from eventhub_client.cli.ahead import ReadAhead
from eventhub_client.cli.exits import REFUSED, command, say
from eventhub_client.cli.target import ApiKeyOption, ContextName, Server, TokenOption, target_of
from eventhub_client.cli.values import values
from eventhub_client.errors import HubError, Unavailable
from eventhub_client.items import Receipt
from eventhub_client.sync import SyncHub

BATCH = 500
BATCH_SECONDS = 0.1
"""A batch of a paced publisher takes at most this long to fill."""


@command
def pub(
    channel: Annotated[str, typer.Argument(metavar="CHANNEL")],
    data: Annotated[
        str | None,
        typer.Argument(metavar="[JSON|-]", help="An event; - or nothing reads standard input"),
    ] = None,
    *,
    file: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Read events from a file")
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Publish the event so many times")] = 1,
    rate: Annotated[
        float | None, typer.Option(min=0.001, help="At most so many events a second")
    ] = None,
    template: Annotated[
        bool, typer.Option("--template", help="Replace ${n}, ${time} and ${uuid} in JSON")
    ] = False,
    attribute: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Such as subject=orders/7")
    ] = None,
    idempotency_key: Annotated[
        str | None, typer.Option(help="Makes several calls with one event one event")
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds until it gives up")] = 30.0,
    output: Annotated[str, typer.Option("--output", "-o", help="text, json or none")] = "text",
    server: Server = None,
    context: ContextName = None,
    token: TokenOption = None,
    api_key: ApiKeyOption = None,
) -> None:
    """Publish events. Each is repeated until it is stored, and stored once."""
    if output not in ("text", "json", "none"):
        raise ValueError(f"received -o {output}; expected text, json or none")
    events = _events(data, file, count, template=template)
    with target_of(server, context, token, api_key).hub() as hub, ExitStack() as stack:
        bar = _progress(stack, count if data not in (None, "-") else None, rate)
        publisher = _Publisher(hub, channel, timeout, output, bar)
        if attribute or idempotency_key:
            publisher.one(next(events), _attributes(attribute or []), idempotency_key)
            if next(events, None) is not None:
                raise ValueError("--attribute and --idempotency-key are for one event")
        else:
            publisher.many(events, rate)
    if publisher.refused:
        raise typer.Exit(REFUSED)


def _events(data: str | None, file: Path | None, count: int, *, template: bool) -> Iterator[Any]:
    if file is not None:
        if data is not None:
            raise ValueError("received an event and --file; expected one of them")
        with file.open(encoding="utf-8") as lines:
            yield from values(lines)
    elif data is None or data == "-":
        yield from values(sys.stdin)
    else:
        for number in range(1, count + 1):
            yield _parsed(_filled(data, number) if template else data)


def _filled(text: str, number: int) -> str:
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return Template(text).safe_substitute(n=number, time=now, uuid=uuid.uuid4())


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(
            f"the event is not JSON: {error}; received {text[:60]!r}, expected such as "
            '\'{"sender":"ana","text":"oi"}\''
        ) from None


def _attributes(given: list[str]) -> dict[str, str]:
    pairs = [each.partition("=") for each in given]
    for name, sign, _ in pairs:
        if not sign:
            raise ValueError(f"received --attribute {name}; expected name=value")
    return {name: value for name, _, value in pairs}


class _Publisher:
    """Publishes and reports."""

    def __init__(
        self,
        hub: SyncHub,
        channel: str,
        timeout: float,
        output: str,
        bar: Progress | None,
    ) -> None:
        self._hub = hub
        self._channel = channel
        self._timeout = timeout
        self._output = output
        self._bar = bar
        self.stored = self.refused = 0

    def one(self, event: object, attributes: dict[str, str], key: str | None) -> None:
        receipt = self._hub.publish(
            self._channel, event, attributes=attributes, key=key, timeout=self._timeout
        )
        self._report(receipt)

    def many(self, events: Iterator[Any], rate: float | None) -> None:
        """In batches of what is there. A paced one is what a tenth of a second sends."""
        ahead = ReadAhead(events)
        size = BATCH if rate is None else max(1, min(BATCH, int(rate * BATCH_SECONDS)))
        begin, sent = time.monotonic(), 0
        while batch := ahead.batch(size):
            if rate is not None:
                time.sleep(max(0.0, begin + sent / rate - time.monotonic()))
            sent += len(batch)
            for outcome in self._hub.publish_many(self._channel, batch, timeout=self._timeout):
                self._report(outcome)
        if self.stored > 1 and self._output == "text":
            say(f"{self.stored} events stored")

    def _report(self, outcome: Receipt | HubError) -> None:
        if self._bar is not None:
            self._bar.advance(self._bar.task_ids[0])
        if isinstance(outcome, Unavailable):
            raise outcome
        if isinstance(outcome, HubError):
            self.refused += 1
            say(str(outcome))
            return
        self.stored += 1
        if self._output == "json":
            fields = {"channel": outcome.channel, "id": outcome.id, "time": str(outcome.time)}
            typer.echo(json.dumps(fields))
        elif self._output == "text" and self._bar is None:
            typer.echo(outcome.id)


def _progress(stack: ExitStack, total: int | None, rate: float | None) -> Progress | None:
    """A bar on a terminal, for many events."""
    console = Console(stderr=True)
    if not console.is_terminal or (total is not None and total < 2):
        return None
    columns = (TextColumn("events"), MofNCompleteColumn(), TimeElapsedColumn())
    bar = stack.enter_context(Progress(*columns, console=console, transient=True))
    bar.add_task("publish", total=total)
    return bar
