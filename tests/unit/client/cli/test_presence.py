"""eventhub_client/cli/presence.py: all pages are read."""

from collections.abc import Mapping
from typing import Any

import pytest
from typer.testing import CliRunner

from eventhub_client.cli import app
from eventhub_client.cli.target import Target

PAGES: dict[str | None, Mapping[str, Any]] = {
    None: {"count": 3, "members": [{"id": "ana"}, {"id": "bob\x1b[2J"}], "next": "bob"},
    "bob": {"count": 3, "members": [{"id": "eve", "data": {"x": 1}}], "next": None},
}


def test_every_page_of_the_members_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    def request(_: Target, *__: str, query: dict[str, Any]) -> Mapping[str, Any]:
        return PAGES[query.get("after")]

    monkeypatch.setattr(Target, "request", request)
    done = CliRunner().invoke(app, ["presence", "chat.a"])
    assert done.stdout.splitlines() == ["ana", r"bob\x1b[2J", 'eve  {"x": 1}']
