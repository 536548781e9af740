"""eventhub_client/cli/execute.py: what the end of a command means."""

import json
import os
import signal
import threading
from pathlib import Path

import pytest
import typer

from eventhub_client.cli.execute import EventCommand
from eventhub_client.items import Event, moment

EVENT = Event("orders.eu", "k-1", moment("2026-11-22T20:06:00.123Z"), {"n": "é\n"})


def complete(task: EventCommand) -> None:
    task.run(EVENT)
    task.exit()


def failure(
    capsys: pytest.CaptureFixture[str], text: str, *, stops: bool = True
) -> tuple[int, str]:
    with pytest.raises(typer.Exit) as ended:
        complete(EventCommand(text, stops=stops))
    return ended.value.exit_code, capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("text", ["", " \n"])
def test_an_empty_command_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="--exec is empty; expected a shell command"):
        EventCommand(text, stops=False)


def test_the_event_is_json_on_the_standard_input(tmp_path: Path) -> None:
    task = EventCommand(
        f"set -e\ncat > {tmp_path}/first\ncp {tmp_path}/first {tmp_path}/second", stops=True
    )
    task.run(EVENT)
    task.exit()
    assert json.loads((tmp_path / "second").read_bytes())["data"] == {"n": "é\n"}


def test_a_command_that_reads_nothing_is_no_failure() -> None:
    task = EventCommand("exec <&-", stops=True)
    task.run(Event("a.b", "k-1", EVENT.time, "x" * 10**6))
    task.exit()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("exit 3", "failed (3)"),
        ("set -e\nfalse\ntrue", "failed (1)"),
        ("/nowhere/nothing", "was not found (127)"),
        ("/", "cannot be executed (126)"),
        ("kill -KILL $$", "was killed by SIGKILL"),
        ("sh -c 'kill -TERM $$'; exit $?", "was killed by SIGTERM"),
        ("exit 255", "failed (255)"),
    ],
)
def test_a_failure_says_how_the_command_ended(
    capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    code, told = failure(capsys, text)
    assert code == 4
    assert told == (
        f"eventhub: the command {said} for orders.eu k-1. The next run with this cursor repeats it"
    )


def test_a_failure_that_does_not_stop_the_run_is_its_exit_code(
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = "eventhub: the command failed (1) for orders.eu k-1"
    assert failure(capsys, "false", stops=False) == (4, told)


@pytest.mark.parametrize("name", ["TERM", "INT"])
def test_after_a_signal_the_command_does_its_work_and_the_run_ends(
    tmp_path: Path, name: str
) -> None:
    number = signal.Signals[f"SIG{name}"]
    before = signal.getsignal(number)
    task = EventCommand(f"kill -{name} $PPID; echo done > {tmp_path}/out", stops=True)
    task.run(EVENT)
    assert (tmp_path / "out").read_text() == "done\n"
    assert (task.ended_by, signal.getsignal(number)) == (number, before)
    with pytest.raises(typer.Exit) as ended:
        task.exit()
    assert ended.value.exit_code == 128 + number


def test_a_second_signal_kills_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    code, told = failure(capsys, "kill -INT $PPID; kill -TERM $PPID; exec sleep 1000")
    assert code == 128 + signal.SIGTERM
    assert "was killed by SIGKILL for orders.eu k-1" in told


def test_signals_count_that_another_thread_gets(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    # The kernel chooses another thread while the main thread has a signal that it has not handled.
    os.mkfifo(begun := tmp_path / "begun")

    def signal_itself() -> None:
        begun.read_text()
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.pthread_kill(threading.get_ident(), each)

    other = threading.Thread(target=signal_itself)
    other.start()
    code, told = failure(capsys, f"echo > {begun}; exec sleep 60")
    other.join()
    assert code == 128 + signal.SIGTERM
    assert "was killed by SIGKILL for orders.eu k-1" in told
