"""Which configuration file a command reads."""

from pathlib import Path

import pytest

from tests.unit.cli.runner import Started, refused, run


def test_the_option_wins_over_the_variable_and_the_variable_over_the_directory(
    tmp_path: Path,
) -> None:
    for name in ("option", "variable", "eventhub"):
        (tmp_path / f"{name}.yaml").write_text(f"channels: {{{name}: {{}}}}")
    assert (
        "types option"
        in run("check", "--config", "option.yaml", EVENTHUB_CONFIG="variable.yaml").stdout
    )
    assert "types variable" in run("check", EVENTHUB_CONFIG="variable.yaml").stdout
    assert run("check").stdout == "eventhub.yaml: good; channel types eventhub\n"
    assert "types eventhub" in run("check", EVENTHUB_CONFIG="").stdout


@pytest.mark.parametrize("command", ["check", "serve"])
def test_eventhub_yml_is_reported_and_not_ignored(
    tmp_path: Path, command: str, started: Started
) -> None:
    (tmp_path / "eventhub.yml").write_text("channels: {own: {}}")
    assert "eventhub.yml is not read; did you mean eventhub.yaml?" in refused(run(command))
    assert run(command, "--config", "eventhub.yml").exit_code == 0
    (tmp_path / "eventhub.yaml").write_text("channels: {mine: {}}")
    assert run(command).exit_code == 0


def test_a_named_file_that_does_not_exist_is_refused() -> None:
    assert "missing.yaml: cannot be read" in refused(run("check", "--config", "missing.yaml"))
    assert "missing.yaml: cannot be read" in refused(run("check", EVENTHUB_CONFIG="missing.yaml"))
