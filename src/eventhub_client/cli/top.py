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
from eventhub_client.cli.target import (
    ApiKeyOption,
    ContextName,
    Server,
    Target,
    TokenOption,
    target_of,
)
from eventhub_client.errors import HubError
from eventhub_client.wire import TRANSIENT

ROWS = 10
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
    target = target_of(server, context, token, api_key)
    look = _Look(target, match)
    console = Console()
    before, at = look.metrics(), time.monotonic()
    heads = look.channels()
    if once:
        time.sleep(interval)
        console.print(look.screen(before, heads, time.monotonic() - at))
        return
    with Live(console=console, auto_refresh=False, screen=console.is_terminal) as live:
        while True:
            time.sleep(interval)
            now = time.monotonic()
            screen = look.screen(before, heads, now - at)
            before, heads, at = look.last_metrics, look.last_channels, now
            live.update(screen, refresh=True)


class _Look:
    """Reads the server, and draws."""

    def __init__(self, target: Target, match: str) -> None:
        self._target = target
        self._match = match
        self.last_metrics: Sums = {}
        self.last_channels: dict[str, Mapping[str, Any]] = {}

    def metrics(self) -> Sums:
        """The node's metrics, summed over their labels. Empty if it does not show them here."""
        try:
            url = f"{self._target.address.http}/metrics"
            answer = httpx.get(url, headers=self._target.headers, timeout=5)
        except TRANSIENT:
            return {}
        sums: Sums = {}
        for name, _, value in _SAMPLE.findall(answer.text if answer.status_code == 200 else ""):
            sums[name] = sums.get(name, 0.0) + float(value)
        self.last_metrics = sums
        return sums

    def channels(self) -> dict[str, Mapping[str, Any]]:
        """The channels by name. Raises HubError."""
        query = {"match": self._match, "limit": 1000}
        page = self._target.request("GET", "/v1/channels", query=query)
        self.last_channels = {each["name"]: each for each in page["channels"]}
        return self.last_channels

    def screen(
        self, before: Sums, channels: Mapping[str, Mapping[str, Any]], seconds: float
    ) -> Group:
        """One look, with rates since the one before."""
        try:
            found = self.channels()
        except HubError as error:
            return Group(Text(f"{self._target.url}: {error}", style="bold red"))
        return Group(
            Text(f"{self._target.url}  {time.strftime('%H:%M:%S')}", style="bold"),
            _rates(before, self.metrics(), seconds),
            Text(""),
            _busiest(channels, found, seconds),
            Text(""),
            self._slowest(),
        )

    def _slowest(self) -> Table | Text:
        try:
            answer = self._target.request("GET", "/v1/admin/connections", query={"limit": ROWS})
        except HubError as error:
            return Text(f"slowest readers: {error.message}", style="dim")
        table = Table("slowest readers", "who", "address", "buffered", "channels", box=None)
        for each in answer["connections"]:
            who = each["principal"].get("name") or each["principal"]["kind"]
            row = (each["session"], who, each["address"], each["buffered"], each["subscriptions"])
            table.add_row(*map(str, row))
        return table


def _rates(before: Sums, now: Sums, seconds: float) -> Table | Text:
    if not now:
        return Text("rates: this address has no /metrics", style="dim")
    table = Table(*RATES, *READINGS, box=None)
    rates = (max(0.0, now.get(name, 0) - before.get(name, 0)) / seconds for name in RATES.values())
    readings = (now.get(name, 0) for name in READINGS.values())
    table.add_row(*(f"{each:,.0f}" for each in (*rates, *readings)))
    return table


def _busiest(
    before: Mapping[str, Mapping[str, Any]], now: Mapping[str, Mapping[str, Any]], seconds: float
) -> Table:
    table = Table("busiest channels", "events/s", "subscribers", "members", "newest", box=None)
    rates = {name: _moved(before.get(name), each) / seconds for name, each in now.items()}
    order = sorted(now, key=lambda name: (-rates[name], -now[name]["subscribers"], name))
    for name in order[:ROWS]:
        each = now[name]
        members = "-" if each["members"] is None else str(each["members"])
        row = (name, f"{rates[name]:,.1f}", str(each["subscribers"]), members, each["time"] or "-")
        table.add_row(*row)
    return table


def _moved(before: Mapping[str, Any] | None, now: Mapping[str, Any]) -> int:
    """Events between two heads. Offsets of one epoch count events, but for jumps."""
    if before is None or not before["head"] or not now["head"]:
        return 0
    epochs, offsets = zip(*(each["head"].rsplit("-", 1) for each in (before, now)), strict=True)
    return max(0, int(offsets[1]) - int(offsets[0])) if epochs[0] == epochs[1] else 0
