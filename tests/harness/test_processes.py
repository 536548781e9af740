"""tests/harness/processes.py: `pytest -n` reports the same as one process would."""

import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

FILES = {
    "test_first.py": """
import os, pytest

@pytest.fixture(scope="session")
def shared():
    yield
    with open(os.environ["ENDED"], "a") as file:
        file.write("ended ")

def test_that_passes(shared, tmp_path, capsys):
    print(tmp_path)
    assert "process-" in capsys.readouterr().out

def test_that_fails(shared):
    print("said before")
    assert 1 == 2

def test_that_kills_its_process():
    os._exit(7)

def test_that_comes_after(shared):
    pass
""",
    "test_second.py": """
import os, pytest

def test_of_another_file():
    os.system("echo from a child")

@pytest.mark.skip(reason="why")
def test_that_is_skipped():
    pass
""",
}


@pytest.fixture
def outcomes(tmp_path: Path) -> dict[str, str]:
    """What two processes report of each test of FILES, and what fixtures wrote at their end."""
    (tmp_path / "conftest.py").write_text("from tests.harness.processes import *")
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    options = f"-n 2 -c /dev/null --rootdir={tmp_path} --basetemp={tmp_path / 'base'}"
    plugins = "-p no:xdist -p no:schemathesis -p no:cacheprovider"
    report = tmp_path / "report.xml"
    command = f"{sys.executable} -m pytest {options} {plugins} --junitxml={report} {tmp_path}"
    subprocess.run(
        command.split(),
        cwd=Path(__file__).parents[2],
        env={"ENDED": str(tmp_path / "ended"), "PYTHONPATH": "."},
        capture_output=True,
        check=False,
    )
    tree = ET.parse(report)
    ended = (tmp_path / "ended").read_text()
    return {"ended": ended} | {
        case.attrib["name"]: _outcome(case) for case in tree.iter("testcase")
    }


def _outcome(case: ET.Element) -> str:
    told = [f"{part.tag}: {part.get('message', part.text)}".strip() for part in case]
    return " / ".join(" ".join(each.split()) for each in told) or "passed"


def test_two_processes_report_what_became_of_each_test(outcomes: dict[str, str]) -> None:
    reason = "the process that ran this test ended with exit code 7"
    assert outcomes["test_that_passes"] == "passed"
    assert outcomes["test_of_another_file"] == "passed"
    assert outcomes["test_that_is_skipped"] == "skipped: why"
    assert outcomes["test_that_fails"].startswith("failure: assert 1 == 2")
    assert reason in outcomes["test_that_kills_its_process"]
    assert outcomes["test_that_comes_after"] == "passed", "another process takes the rest"
    assert outcomes["ended"] == "ended ", "fixtures of the process that died cannot end"
