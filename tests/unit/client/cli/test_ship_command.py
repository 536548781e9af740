"""eventhub_client/cli/ship.py: what is sent, again, refused and remembered, with a fake hub."""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import pytest
import typer

from eventhub_client.cli.exits import REFUSED, USAGE
from eventhub_client.cli.ship import ship
from eventhub_client.cli.target import Target
from eventhub_client.errors import Problem, error
from eventhub_client.items import Receipt, moment
from eventhub_client.payloads import Encoded
from eventhub_client.publishing import Outcome

STORED = Receipt("logs.a", "k-1", moment("2026-11-22T20:06:00.123Z"))
INVALID = error(Problem("invalid_event", "no level", 422))
AWAY = error(Problem("broker_unavailable", "away", 503))
FORBIDDEN = error(Problem("forbidden", "no grant", 403))


class FakeHub:
    """Keeps what is published. `answers` come first; then all is stored."""

    def __init__(self) -> None:
        self.batches: list[tuple[str, list[Any]]] = []
        self.answers: list[list[Outcome]] = []

    def publish_many(
        self, channel: str, events: Sequence[Encoded], *, key: str = ""
    ) -> list[Outcome]:
        assert channel == "logs.a"
        self.batches.append((key, [json.loads(each.json)["message"] for each in events]))
        return self.answers.pop(0) if self.answers else [STORED] * len(events)

    @property
    def lines(self) -> list[Any]:
        return [line for _, lines in self.batches for line in lines]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...


Ship = Callable[..., None]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    found = FakeHub()
    monkeypatch.setattr(Target, "hub", lambda target: found)
    return found


@pytest.fixture
def run(hub: FakeHub, tmp_path: Path) -> Ship:
    def ships(*names: str, once: bool = True, rejects: Path | None = None, **more: Any) -> None:
        paths = [str(tmp_path / name) for name in names]
        options = {"server": "http://hub", "state": tmp_path / "state", **more}
        ship([*paths, "logs.a"], once=once, rejects=rejects, **options)

    return ships


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_each_file_is_sent_once_over_all_runs_and_left_closed(
    hub: FakeHub, run: Ship, tmp_path: Path
) -> None:
    for name in ("a.log", "b.log"):
        (tmp_path / name).write_text(f"{name} 1\n{name} 2\n")
    before = open_files()
    run("a.log", "b.log")
    assert sorted(hub.lines) == ["a.log 1", "a.log 2", "b.log 1", "b.log 2"]
    run("a.log", "b.log")
    assert len(hub.lines) == 4
    assert open_files() == before
    with (tmp_path / "a.log").open("a") as file:
        file.write("a.log 3\n")
    run("a.log", "b.log")
    assert hub.lines[4:] == ["a.log 3"]


def test_a_file_has_a_state_for_each_channel_and_server(
    hub: FakeHub, run: Ship, tmp_path: Path
) -> None:
    (tmp_path / "a.log").write_text("x\n")
    run("a.log")
    run("a.log", server="http://another")
    assert hub.lines == ["x", "x"]
    assert len(list((tmp_path / "state").iterdir())) == 2


def test_a_long_file_keeps_no_other_waiting(hub: FakeHub, run: Ship, tmp_path: Path) -> None:
    for name in ("a.log", "b.log"):
        (tmp_path / name).write_text(f"{name}\n" * 1000)
    run("a.log", "b.log")
    assert [lines[0] for _, lines in hub.batches] == ["a.log", "b.log", "a.log", "b.log"]


def test_a_batch_of_which_nothing_is_known_is_sent_again_under_its_key(
    hub: FakeHub, run: Ship, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.log").write_text("x\ny\n")
    hub.answers = [[STORED, AWAY], [AWAY, AWAY]]
    run("a.log")
    assert len({key for key, _ in hub.batches}) == 1
    assert hub.lines == ["x", "y"] * 3
    assert capsys.readouterr().err.count("the same lines are sent again") == 2


def test_a_batch_that_was_not_answered_comes_again_in_the_next_run(
    hub: FakeHub, run: Ship, tmp_path: Path
) -> None:
    (tmp_path / "a.log").write_text("x\n")
    hub.answers = [[FORBIDDEN]]
    with pytest.raises(typer.Exit) as ended:
        run("a.log")
    assert ended.value.exit_code == REFUSED
    run("a.log")
    (first, _), (second, _) = hub.batches
    assert first == second


def test_lines_that_are_refused_are_kept_and_the_first_one_is_said(
    hub: FakeHub, run: Ship, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.log").write_text("x\ny\nz\n")
    (tmp_path / "rejects").write_text("before\n")
    hub.answers = [[INVALID, STORED, INVALID]]
    with pytest.raises(typer.Exit) as ended:
        run("a.log", rejects=tmp_path / "rejects")
    assert ended.value.exit_code == REFUSED
    assert (tmp_path / "rejects").read_text() == "before\nx\nz\n"
    assert capsys.readouterr().err.count("more of them are only counted") == 1
    run("a.log")
    assert hub.lines == ["x", "y", "z"], "a refused line is not sent again"


def test_a_file_that_is_not_there_is_an_error_of_one_run(
    hub: FakeHub, run: Ship, tmp_path: Path
) -> None:
    (tmp_path / "a.log").write_text("x\n")
    with pytest.raises(typer.Exit) as ended:
        run("a.log", "b.log")
    assert ended.value.exit_code == USAGE
    assert hub.lines == ["x"]


def test_files_are_followed_until_it_is_ended(
    hub: FakeHub, run: Ship, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "a.log"
    log.write_text("x\n")
    lines = ["y\n", "z\n"]

    def pause(seconds: float) -> None:
        if not lines:
            raise KeyboardInterrupt
        with log.open("a") as file:
            file.write(lines.pop(0))

    monkeypatch.setattr(time, "sleep", pause)
    with pytest.raises(typer.Exit):
        run("a.log", once=False)
    assert hub.lines == ["x", "y", "z"]


def test_files_and_a_channel_are_expected(
    hub: FakeHub, run: Ship, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as ended:
        run()
    assert ended.value.exit_code == USAGE
    assert "expected FILE… CHANNEL" in capsys.readouterr().err


def test_the_state_is_kept_where_the_system_keeps_such_data(
    hub: FakeHub, run: Ship, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.log").write_text("x\n")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    run("a.log", state=None)
    (state,) = (tmp_path / "xdg" / "eventhub").iterdir()
    assert state.name.startswith("a.log-")
    assert state.parent.stat().st_mode & 0o777 == 0o700
