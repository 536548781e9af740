"""eventhub_client/cli/top.py: what fits the terminal, and names that others chose."""

import io
from typing import Any

import pytest
from rich.console import Console

from eventhub_client.cli.target import Target
from eventhub_client.cli.top import _Look
from eventhub_client.errors import HubError, Problem, error

NOWHERE = "http://127.0.0.1:1"
EVIL = "[/red]\x1b[2J"


class Server(Target):
    """Many channels, each with a reader."""

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Any = None,
        body: object = None,
        content: bytes | None = None,
    ) -> dict[str, Any]:
        if self.token == "refused":
            raise error(Problem("unauthorized", "no token was sent", 401))
        if path == "/v1/channels":
            return {"channels": [channel(f"{'long-' * 30}{number}") for number in range(99)]}
        who = {"kind": "token", "name": EVIL}
        reader = {"session": "s", "principal": who, "address": "192.0.2.1", "buffered": 7}
        return {"connections": [{**reader, "subscriptions": 1}] * query["limit"]}


def channel(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "head": "k-1",
        "subscribers": 0,
        "members": None,
        "time": "2026-11-22T20:06:00.123Z",
    }


def shown(width: int, height: int, look: _Look | None = None) -> list[str]:
    out = io.StringIO()
    console = Console(file=out, width=width, height=height, force_terminal=True, color_system=None)
    look = look or _Look(Server(NOWHERE), ">", console)
    look.begin()
    console.print(look.screen())
    return out.getvalue().splitlines()


@pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 50), (100, 10)])
def test_both_lists_fit_the_terminal(width: int, height: int) -> None:
    lines = shown(width, height)
    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    assert any("busiest channels" in line for line in lines)
    assert any("192.0.2.1" in line for line in lines)


def test_a_name_with_markup_or_control_characters_is_shown_as_it_is() -> None:
    lines = shown(120, 30)
    assert any(r"[/red]\x1b[2J" in line for line in lines)
    assert "\x1b[2J" not in "".join(lines)


def test_an_error_of_the_server_is_shown_and_the_next_look_may_succeed() -> None:
    console = Console(file=io.StringIO(), width=120, height=30)
    look = _Look(Server(NOWHERE, "refused"), ">", console)
    console.print(look.screen())
    assert "unauthorized: no token was sent" in console.file.getvalue()  # type: ignore[attr-defined]  # StringIO
    with pytest.raises(HubError):
        look.begin()
