"""The command itself: its version, its help, and command lines it does not understand."""

import runpy
import sys
from importlib.metadata import version

import pytest

from eventhub.cli import app
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
