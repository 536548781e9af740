"""Finds and loads the configuration file for a command."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from eventhub.cli.output import refuse
from eventhub.config.loader import CONFIG_VARIABLE, load
from eventhub.config.settings import Settings
from eventhub.errors import ConfigurationError

DEFAULT_FILE = Path("eventhub.yaml")
MISNAMED_FILE = Path("eventhub.yml")
"""A likely wrong name for DEFAULT_FILE. It is reported and never read."""
IGNORED_REASON = (
    "Kubernetes set them for a Service named eventhub; "
    "enableServiceLinks: false in the pod leaves them out"
)
"""Why `ignored_variables` are ignored."""

ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config", help=f"Configuration file; by default ${CONFIG_VARIABLE}, then ./{DEFAULT_FILE}"
    ),
]


def load_settings(file: Path | None, overrides: dict[str, Any]) -> tuple[Settings, Path | None]:
    """Load the settings, and say which file they come from. Exits if they cannot be used.

    The file is `file`, else the one in EVENTHUB_CONFIG, else ./eventhub.yaml if it exists. Without
    a file the settings are the built-in sample. `overrides` win over the file and the environment.
    """
    if file is None and (named := os.environ.get(CONFIG_VARIABLE)):
        file = Path(named)
    if file is None and DEFAULT_FILE.exists():
        file = DEFAULT_FILE
    if file is None and MISNAMED_FILE.exists():
        refuse(
            f"{MISNAMED_FILE} is not read; did you mean {DEFAULT_FILE}? "
            "Rename it, or name it with --config"
        )
    try:
        return load(file, overrides), file
    except ConfigurationError as error:
        refuse(error)


def directory_of(file: Path | None) -> Path:
    """Return the directory that relative paths in the configuration start from."""
    return file.resolve().parent if file else Path()
