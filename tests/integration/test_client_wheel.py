"""The wheel of the Python client, installed alone, runs what its users write."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness.eventhub import EventHubServer
from tests.integration.client_projects import CLIENT, CONFIG, Project, plain, prefork

Start = Callable[..., EventHubServer]
pytestmark = pytest.mark.proof  # in short, test_wheel.py builds a wheel


def test_the_wheel_has_each_module_and_the_marker_of_types(tmp_path: Path) -> None:
    wheel = Project(tmp_path).wheel()
    modules = {f"eventhub_client/{file.relative_to(CLIENT)}" for file in CLIENT.rglob("*.py")}
    names = zipfile.ZipFile(wheel).namelist()
    assert {each for each in names if "dist-info" not in each} == {
        *modules,
        "eventhub_client/py.typed",
    }


def test_the_wheel_runs_the_readme_and_forked_workers_without_the_server_installed(
    start: Start, tmp_path: Path
) -> None:
    project = Project(tmp_path)
    project.install(project.wheel())
    hub = start(CONFIG)
    plain(project, hub)
    prefork(project, hub, jobs=20, kills=2)
