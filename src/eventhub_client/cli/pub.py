"""`eventhub pub`: publish events from the command line, standard input or a file."""

import json
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from string import Template
from typing import Annotated, Any, TextIO

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from eventhub_client.cli.ahead import ReadAhead
from eventhub_client.cli.exits import REFUSED, command, say
from eventhub_client.cli.items import rfc3339
from eventhub_client.cli.output import output_option
from eventhub_client.cli.pace import Pace
from eventhub_client.cli.target import ApiKeyOption, ContextName, Server, TokenOption, target_of
from eventhub_client.cli.values import TOO_DEEP, values
from eventhub_client.errors import HubError, Unavailable
from eventhub_client.items import Receipt
from eventhub_client.publishing import Delivery
from eventhub_client.sync import SyncHub

BATCH = 500
BATCH_SECONDS = 0.1
"""A batch of a paced publisher takes at most this long to fill."""


Count = Annotated[int, typer.Option(min=1, help="Publish the event so many times")]
Rate = Annotated[float | None, typer.Option(min=0.001, help="At most so many events a second")]
Attributes = Annotated[
    list[str] | None, typer.Option(metavar="NAME=VALUE", help="Such as subject=orders/7")
]
Key = Annotated[str | None, typer.Option(help="Makes several calls with one event one event")]
IfMatch = Annotated[
    str | None, typer.Option(metavar="ID", help="Only if this is the newest event of its key")
]
IfNoneMatch = Annotated[bool, typer.Option("--if-none-match", help="Only if its key has no event")]
Delete = Annotated[
    str | None, typer.Option(metavar="KEY", help="Delete this key from the state of the channel")
]
Refers = Annotated[
    str | None, typer.Option(metavar="ID", help="The earlier event that --relation is about")
]
RelationOption = Annotated[
    str | None,
    typer.Option(metavar="[edit|reaction|delete]", help="What the event is to that of --refers"),
]
Data = Annotated[
    str | None,
    typer.Argument(metavar="[JSON|-]", help="An event; - or nothing reads standard input"),
]


@command
def pub(
    channel: Annotated[str, typer.Argument(metavar="CHANNEL")],
    data: Data = None,
    *,
    file: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Read events from a file")
    ] = None,
    count: Count = 1,
    rate: Rate = None,
    template: Annotated[
        bool, typer.Option("--template", help="Replace ${n}, ${time} and ${uuid} in JSON")
    ] = False,
    attribute: Attributes = None,
    idempotency_key: Key = None,
    if_match: IfMatch = None,
    if_none_match: IfNoneMatch = False,
    delete: Delete = None,
    refers: Refers = None,
    relation: RelationOption = None,
    signal: Annotated[
        bool, typer.Option("--signal", help="Send signals, for those who are there now")
    ] = False,
    timeout: Annotated[float, typer.Option(help="Seconds until it gives up")] = 30.0,
    output: Annotated[str, output_option("text", "json", "none")] = "text",
    server: Server = None,
    context: ContextName = None,
    token: TokenOption = None,
    api_key: ApiKeyOption = None,
) -> None:
    """Publish events. Each is repeated until it is stored, and stored once."""
    once = _Once(
        _attributes(attribute), idempotency_key, if_match, if_none_match, refers, relation, delete
    )
    events = _events(data, file, count, template=template, deletion=once.is_deletion)
    with target_of(server, context, token, api_key).hub() as hub, ExitStack() as stack:
        bar = _progress(stack, count if data not in (None, "-") and file is None else None)
        publisher = _Publisher(hub, channel, timeout, output, bar)
        if signal:
            publisher.signals(events, rate, once)
        elif once.is_needed:
            publisher.one(events, once)
        else:
            publisher.many(events, rate)
    if publisher.refused:
        raise typer.Exit(REFUSED)


@dataclass(frozen=True, slots=True)
class _Once:
    """Options for one event."""

    attributes: Mapping[str, str]
    key: str | None
    if_match: str | None = None
    if_none_match: bool = False
    refers: str | None = None
    relation: str | None = None
    delete: str | None = None

    def __post_init__(self) -> None:
        if self.delete is not None and (self.if_none_match or self.refers or self.relation):
            raise ValueError("--delete deletes a key; expected it without options for an event")
        Delivery(refers=self.refers, relation=self.relation)  # raises ValueError

    @property
    def is_needed(self) -> bool:
        return self != _Once({}, None)

    @property
    def is_deletion(self) -> bool:
        """Whether it has no event of its own."""
        return self.delete is not None or self.relation == "delete"


def _events(
    data: str | None, file: Path | None, count: int, *, template: bool, deletion: bool
) -> Iterator[Any]:
    if deletion:
        if data is not None or file is not None:
            raise ValueError("received an event and a deletion; expected one of them")
        _only_for_an_argument(count, template=template)
        yield None
    elif file is not None:
        if data is not None:
            raise ValueError("received an event and --file; expected one of them")
        _only_for_an_argument(count, template=template)
        with file.open(encoding="utf-8") as lines:
            yield from _read(lines, str(file))
    elif data is None or data == "-":
        _only_for_an_argument(count, template=template)
        yield from _read(sys.stdin, "standard input")
    else:
        for number in range(1, count + 1):
            yield _parsed(_filled(data, number) if template else data)


def _read(lines: TextIO, name: str) -> Iterator[Any]:
    try:
        yield from values(lines)
    except UnicodeDecodeError as error:
        raise ValueError(f"{name} is not UTF-8: {error}") from None


def _only_for_an_argument(count: int, *, template: bool) -> None:
    if count > 1 or template:
        raise ValueError("--count and --template are for an event that the command line gives")


def _filled(text: str, number: int) -> str:
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return Template(text).safe_substitute(n=number, time=now, uuid=uuid.uuid4())


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        fault = error if isinstance(error, ValueError) else TOO_DEEP
        hint = " (--template replaces ${…})" if "${" in text else ""
        raise ValueError(
            f"the event is not JSON: {fault}; received {text[:60]!r}, expected such as "
            f'\'{{"sender":"ana","text":"oi"}}\'{hint}'
        ) from None


def _attributes(given: list[str] | None) -> dict[str, str]:
    pairs = [each.partition("=") for each in given or ()]
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

    def one(self, events: Iterator[Any], once: _Once) -> None:
        """The only event."""
        event = next(events, self)
        if event is self or next(events, self) is not self:
            raise ValueError(
                "--attribute, --idempotency-key, --if-match, --if-none-match and --refers are for "
                "one event"
            )
        if once.delete is not None:
            self._report(self._deletion(once.delete, once))
            return
        receipt = self._hub.publish(
            self._channel,
            event,
            attributes=once.attributes,
            key=once.key,
            if_match=once.if_match,
            if_none_match=once.if_none_match,
            refers=once.refers,
            relation=once.relation,
            timeout=self._timeout,
        )
        self._report(receipt)

    def _deletion(self, name: str, once: _Once) -> Receipt:
        return self._hub.delete(
            self._channel,
            name,
            attributes=once.attributes,
            key=once.key,
            if_match=once.if_match,
            timeout=self._timeout,
        )

    def signals(self, events: Iterator[Any], rate: float | None, once: _Once) -> None:
        """Each is sent once."""
        if replace(once, attributes={}).is_needed:
            raise ValueError("a signal is not stored; expected --signal without such options")
        pace = Pace(rate)
        for event in events:
            pace.wait(1)
            self._hub.signal(
                self._channel, event, attributes=once.attributes, timeout=self._timeout
            )
            self._advance()

    def many(self, events: Iterator[Any], rate: float | None) -> None:
        """In batches of what is there. A paced one is what a tenth of a second sends."""
        ahead = ReadAhead(events)
        size = BATCH if rate is None else max(1, int(min(BATCH, rate * BATCH_SECONDS)))
        pace = Pace(rate)
        while batch := ahead.batch(size):
            pace.wait(len(batch))
            for outcome in self._hub.publish_many(self._channel, batch, timeout=self._timeout):
                self._report(outcome)
        if self.stored > 1 and self._output == "text":
            say(f"{self.stored} events stored")

    def _report(self, outcome: Receipt | HubError) -> None:
        self._advance()
        if isinstance(outcome, Unavailable):
            raise outcome
        if isinstance(outcome, HubError):
            self.refused += 1
            say(str(outcome))
            return
        self.stored += 1
        if self._output == "json":
            fields = {"channel": outcome.channel, "id": outcome.id, "time": rfc3339(outcome.time)}
            typer.echo(json.dumps(fields))
        elif self._output == "text" and self._bar is None:
            typer.echo(outcome.id)

    def _advance(self) -> None:
        if self._bar is not None:
            self._bar.advance(self._bar.task_ids[0])


def _progress(stack: ExitStack, total: int | None) -> Progress | None:
    """A bar on a terminal, for many events."""
    console = Console(stderr=True)
    if not console.is_terminal or (total is not None and total < 2):
        return None
    share = [] if total is None else [BarColumn()]
    columns = (TextColumn("events"), *share, MofNCompleteColumn(), TimeElapsedColumn())
    bar = stack.enter_context(Progress(*columns, console=console, transient=True))
    bar.add_task("publish", total=total)
    return bar
