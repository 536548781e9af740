"""Runs the command line in this process."""

from pathlib import Path

from typer.testing import CliRunner, Result

from eventhub.cli import app
from eventhub.config.settings import Settings

SECRET = "s3cret-" * 6
AUTH = (
    f"auth: {{tokens: {{keys: [{{algorithm: HS256, id: a, secret: {SECRET}}}], "
    "issuer: i, audience: e}}\n"
)
"""A configuration that accepts tokens."""


class Started(list[tuple[Settings, Path]]):
    """Stands in for the server: records what it would have been started with."""

    def __call__(self, settings: Settings, directory: Path) -> None:
        self.append((settings, directory))


def run(*arguments: str, **variables: str) -> Result:
    """Run the command with these arguments and environment variables."""
    return CliRunner().invoke(app, arguments, env=dict(variables))


def refused(result: Result) -> str:
    """Return the error message of a command that failed with status 2."""
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("eventhub: ")
    return result.stderr
