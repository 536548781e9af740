"""`eventhub top`: what a server does, live."""

import re
import time
from collections.abc import Mapping
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from eventhub_client.cli.exits import command
from eventhub_client.cli.output import visible
from eventhub_client.cli.target import (
    ApiKeyOption,
    ContextName,
    Server,
    Target,
    TokenOption,
    target_of,
)
from eventhub_client.errors import HubError, Problem
from eventhub_client.wire import TRANSIENT, answer_of

ROWS, MOST_ROWS = 10, 20
OTHER_LINES = 9
"""Lines of a screen that are no rows of a list."""
SHORTEST_NAME = 8
BESIDE_CHANNEL, BESIDE_READER = 57, 67
"""Characters of the other columns."""
_SAMPLE = re.compile(r"^(eventhub_\w+?)(?:_total)?(?:\{(.*)\})? ([0-9.e+-]+)$", re.MULTILINE)
RATES = {
    "published/s": "eventhub_events_published",
    "delivered/s": "eventhub_events_delivered",
    "rejected/s": "eventhub_events_rejected",
    "dropped/s": "eventhub_events_dropped",
    "gaps/s": "eventhub_gaps",
}
READINGS = {
    "connections": "eventhub_connections",
    "subscriptions": "eventhub_subscriptions",
    "channels": "eventhub_channels",
    "buffered bytes": "eventhub_buffered_bytes",
}
Sums = dict[str, float]
Channels = Mapping[str, Mapping[str, Any]]


@command
def top(
    *,
    interval: Annotated[float, typer.Option(min=0.2, help="Seconds between two looks")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Print one look and stop")] = False,
    match: Annotated[str, typer.Option(help="The channels to list")] = ">",
    server: Server = None,
    context: ContextName = None,
    token: TokenOption = None,
    api_key: ApiKeyOption = None,
) -> None:
    """Show rates, the busiest channels and the slowest readers. Rates are of the node that answers.

    The slowest readers need an operator's API key.
    """
    console = Console()
    look = _Look(target_of(server, context, token, api_key), match, console)
    look.begin()
    if once:
        time.sleep(interval)
        console.print(look.screen())
        return
    with Live(console=console, auto_refresh=False, screen=console.is_terminal) as live:
        live.update(Text(f"{look.url}: the first rates come in {interval:g} s"), refresh=True)
        while True:
            time.sleep(interval)
            live.update(look.screen(), refresh=True)


class _Look:
    """Reads the server, and draws."""

    def __init__(self, target: Target, match: str, console: Console) -> None:
        self._target = target
        self._match = match
        self._console = console
        self._at = 0.0
        self._sums: Sums = {}
        self._channels: Channels = {}
        self._without_metrics = ""

    @property
    def url(self) -> str:
        return self._target.url

    def begin(self) -> None:
        """The numbers that the first rates count from. Raises HubError."""
        self._channels = self._read_channels()
        self._sums, self._at = self._read_metrics(), time.monotonic()

    def screen(self) -> Group:
        """One look, with rates since the last one that was answered."""
        before, channels, at = self._sums, self._channels, self._at
        title = Text(f"{self.url}  {time.strftime('%H:%M:%S')}", style="bold")
        try:
            self.begin()
        except HubError as error:
            return Group(title, Text(str(error), style="bold red"))
        seconds = self._at - at
        return Group(
            title,
            *self._rates(before, seconds),
            Text(""),
            self._busiest(channels, seconds),
            Text(""),
            self._slowest(),
        )

    @property
    def _rows(self) -> int:
        """The rows of each list: what fits the terminal."""
        if not self._console.is_terminal:
            return ROWS
        return max(1, min(MOST_ROWS, (self._console.height - OTHER_LINES) // 2))

    def _name(self, text: str, others: int) -> Text:
        """A name beside columns that are so wide."""
        name = Text(visible(text))
        name.truncate(max(SHORTEST_NAME, self._console.width - others), overflow="ellipsis")
        return name

    def _read_metrics(self) -> Sums:
        """The node's metrics, summed over their labels. Empty if it does not show them here."""
        try:
            url = f"{self._target.address.http}/metrics"
            answer = httpx.get(url, headers=self._target.headers, timeout=5)
        except TRANSIENT:
            return {}
        if answer.status_code != 200:
            reply = answer_of(answer)
            self._without_metrics = Problem.of(reply.fields, reply.status).message
            return {}
        sums: Sums = {}
        for name, _, value in _SAMPLE.findall(answer.text):
            sums[name] = sums.get(name, 0.0) + float(value)
        return sums

    def _read_channels(self) -> Channels:
        """The channels by name. Raises HubError."""
        query = {"match": self._match, "limit": 1000}
        page = self._target.request("GET", "/v1/channels", query=query)
        return {each["name"]: each for each in page["channels"]}

    def _rates(self, before: Sums, seconds: float) -> list[Table | Text]:
        now = self._sums
        if not now:
            why = self._without_metrics or "this address has no /metrics"
            return [Text(f"rates: {why}", style="dim")]
        rates = (now.get(name, 0) - before.get(name, 0) for name in RATES.values())
        moved, levels = Table(*RATES, box=None), Table(*READINGS, box=None)
        moved.add_row(*(f"{max(0.0, each) / seconds:,.0f}" for each in rates))
        levels.add_row(*(f"{now.get(name, 0):,.0f}" for name in READINGS.values()))
        return [moved, levels]

    def _busiest(self, before: Channels, seconds: float) -> Table:
        now = self._channels
        table = Table("busiest channels", "events/s", "subscribers", "members", "newest", box=None)
        rates = {name: _moved(before.get(name), each) / seconds for name, each in now.items()}
        order = sorted(now, key=lambda name: (-rates[name], -now[name]["subscribers"], name))
        for name in order[: self._rows]:
            each = now[name]
            members = "-" if each["members"] is None else str(each["members"])
            newest = (each["time"] or "-").partition(".")[0]
            table.add_row(
                self._name(name, BESIDE_CHANNEL),
                f"{rates[name]:,.1f}",
                str(each["subscribers"]),
                members,
                newest,
            )
        return table

    def _slowest(self) -> Table | Text:
        query = {"limit": self._rows}
        try:
            answer = self._target.request("GET", "/v1/admin/connections", query=query)
        except HubError as error:
            return Text(f"slowest readers: {error.message}", style="dim")
        table = Table("slowest readers", "who", "address", "buffered", "channels", box=None)
        for each in answer["connections"]:
            who = each["principal"].get("name") or each["principal"]["kind"]
            table.add_row(
                each["session"],
                self._name(who, BESIDE_READER),
                each["address"],
                str(each["buffered"]),
                str(each["subscriptions"]),
            )
        return table


def _moved(before: Mapping[str, Any] | None, now: Mapping[str, Any]) -> int:
    """Events between two heads. Offsets of one epoch count events, but for jumps."""
    if before is None or not before["head"] or not now["head"]:
        return 0
    epochs, offsets = zip(*(each["head"].rsplit("-", 1) for each in (before, now)), strict=True)
    return max(0, int(offsets[1]) - int(offsets[0])) if epochs[0] == epochs[1] else 0
