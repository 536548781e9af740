"""eventhub_client/cli/lazy.py: where the options of the target may stand."""

import pytest
from typer.testing import CliRunner

from eventhub_client.cli import app


@pytest.mark.parametrize(
    "arguments",
    [
        ["--server", "ftp://x", "channels"],
        ["--server=ftp://x", "channels"],
        ["--token", "t", "--server", "ftp://x", "channels"],
        ["channels", "--server", "ftp://x"],
    ],
)
def test_the_server_may_stand_before_the_command(arguments: list[str]) -> None:
    done = CliRunner().invoke(app, arguments)
    assert (done.exit_code, "ftp://x" in done.stderr) == (2, True), done.output
    assert "No such option" not in done.stderr


def test_the_option_behind_the_command_counts() -> None:
    done = CliRunner().invoke(app, ["--server", "ftp://first", "channels", "--server", "ftp://x"])
    assert "ftp://x" in done.stderr


@pytest.mark.parametrize(
    "arguments", [["--server", "http://127.0.0.1:9"], ["--server"], ["--nonsense", "channels"]]
)
def test_without_a_command_or_with_another_option_nothing_is_moved(arguments: list[str]) -> None:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2
    assert "No such option" in done.stderr
