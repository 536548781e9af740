"""The wheel of the Python client, installed alone, runs the lines of the README."""

import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

from tests.harness.clients import wait_for
from tests.harness.eventhub import EventHubServer

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / "src" / "eventhub_client"


def run(*command: object) -> None:
    subprocess.run([*map(str, command)], check=True, capture_output=True, timeout=300)


def pins(folder: Path) -> Path:
    """The versions that the tests are locked to, without their hashes."""
    text = (ROOT / "requirements" / "dev.txt").read_text()
    file = folder / "pins.txt"
    file.write_text("\n".join(re.findall(r"^[\w.-]+==[\w.!]+", text, re.MULTILINE)))
    return file


def test_the_wheel_runs_without_the_server_installed(
    start: Callable[..., EventHubServer], tmp_path: Path
) -> None:
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    run(*pip, "wheel", "--no-deps", "--wheel-dir", tmp_path, CLIENT)
    (wheel,) = tmp_path.glob("*.whl")
    modules = {f"eventhub_client/{file.relative_to(CLIENT)}" for file in CLIENT.rglob("*.py")}
    names = zipfile.ZipFile(wheel).namelist()
    assert {each for each in names if "dist-info" not in each} == {
        *modules,
        "eventhub_client/py.typed",
    }
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "fresh")
    python = tmp_path / "fresh" / "bin" / "python"
    run(*pip, "--python", python, "install", "--constraint", pins(tmp_path), wheel)
    hub = start()
    (lines,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    script = tmp_path / "script.py"
    script.write_text(lines.replace("localhost:8000", f"127.0.0.1:{hub.port}"))
    with subprocess.Popen(
        [python, "-u", script], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as process:
        wait_for(process, "'text': 'oi'")
        process.kill()
