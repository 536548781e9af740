"""The command itself: its version, its help, and command lines it does not understand."""

import runpy
import subprocess
import sys
from importlib.metadata import version

import pytest

from eventhub.cli import SERVER, app
from eventhub_client.cli import COMMANDS
from tests.unit.cli.runner import Started, run


def test_version_prints_the_version_of_the_package() -> None:
    result = run("--version")
    assert (result.exit_code, result.stdout) == (0, version("eventhub-server") + "\n")


def test_without_a_command_the_help_is_printed() -> None:
    result = run()
    assert all(name in result.output for name in ("serve", "check", "schema", "--version"))


@pytest.mark.parametrize(
    "arguments",
    [("nonsense",), ("serve", "--nonsense"), ("serve", "--port", "http"), ("check", "--config")],
)
def test_an_invalid_command_line_exits_with_2(arguments: tuple[str, ...], started: Started) -> None:
    assert run(*arguments).exit_code == 2
    assert started == []


def test_an_unexpected_exception_shows_no_local_variables() -> None:
    assert not app.pretty_exceptions_enable


def test_python_dash_m_is_the_same_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["eventhub", "--version"])
    monkeypatch.delitem(sys.modules, "eventhub.__main__", raising=False)
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("eventhub", run_name="__main__")
    assert ended.value.code == 0
    assert capsys.readouterr().out == version("eventhub-server") + "\n"


LIGHT = """
import sys
from eventhub.cli import SERVER, app
from eventhub_client.cli import COMMANDS
app(["tail", "--help"], standalone_mode=False)
heavy = {"fastapi", "starlette", "uvicorn", "structlog", "eventhub.server"} & set(sys.modules)
sys.exit(str(heavy) if heavy else 0)
"""


def test_a_command_of_a_client_does_not_load_the_server() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIGHT], capture_output=True, text=True, check=False, timeout=300
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "Follow channels" in done.stdout


def test_a_command_that_is_nearly_right_is_named() -> None:
    result = run("tial")
    assert result.exit_code == 2
    assert "Did you mean 'tail'" in result.output


def test_the_help_of_each_command_can_be_read() -> None:
    for name in (*SERVER, *COMMANDS):
        assert run(name, "--help").exit_code == 0, name
