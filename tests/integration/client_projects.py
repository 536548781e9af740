"""The wheel of the Python client in fresh projects, under each Python that is found
(tests/integration/RESULTS.md): `python -m tests.integration.client_projects`.
"""

import json
import operator
import os
import re
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import httpx

from eventhub_client import Event
from eventhub_client.sync import SyncHub
from tests.harness.clients import http, wait_for
from tests.harness.eventhub import EventHubServer
from tests.harness.eventually import SECONDS, eventually
from tests.harness.ports import free_port
from tests.integration.client_trial import WORKER
from tests.pythons import find

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / "src" / "eventhub_client"
PROJECTS = Path(__file__).parent / "projects"
VERSIONS = ("3.10", "3.11", "3.12", "3.13")
CONFIG = """
broker: sqlite:///events.db
channels:
  chat: {payload: chat, history: {events: 1000}}
  logs: {payload: log}
  jobs: {payload: json}
  orders: {payload: json}
"""


class Project:
    """A virtual environment of its own, without this repository."""

    def __init__(self, directory: Path, python: Path | str = sys.executable) -> None:
        self._is_older = "3.10" in str(python)
        self.directory = directory
        self.python = directory / "fresh" / "bin" / "python"
        self._run(python, "-m", "venv", "--without-pip", directory / "fresh")

    def wheel(self) -> Path:
        """Build the client."""
        self._pip("wheel", "--no-deps", "--wheel-dir", self.directory, CLIENT)
        (found,) = self.directory.glob("*.whl")
        return found

    def install(self, *packages: object) -> None:
        """In the versions that the tests are locked to, as far as they are for this Python."""
        text = (ROOT / "requirements" / "dev.txt").read_text()
        pins = self.directory / "pins.txt"
        pins.write_text("\n".join(re.findall(r"^[\w.-]+==[\w.!]+", text, re.MULTILINE)))
        pinned = () if self._is_older else ("--constraint", pins)
        self._pip("--python", self.python, "install", *pinned, *packages)

    def start(self, *arguments: object, **variables: str) -> "subprocess.Popen[str]":
        """A program, in its directory."""
        return subprocess.Popen(
            [self.python, "-u", *map(str, arguments)],
            cwd=self.directory,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **variables},
        )

    def run(self, *arguments: object) -> None:
        """A program, to its end."""
        self._run(self.python, *arguments)

    def _pip(self, *arguments: object) -> None:
        self._run(sys.executable, "-m", "pip", "--quiet", *arguments)

    def _run(self, *command: object) -> None:
        done = subprocess.run(
            [*map(str, command)],
            cwd=self.directory,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, f"{command[1:4]}: {done.stdout[-4000:]}{done.stderr[-4000:]}"


def stored(hub: EventHubServer, channel: str, count: int) -> list[Any]:
    """The data of all events of a channel; the last one was published just now."""
    with SyncHub(hub.url) as client:
        client.publish(channel, {"end": True})
        with closing(client.follow(channel, since="earliest")) as items:
            found = [each.data for each in islice(items, count + 1) if isinstance(each, Event)]
    assert found[-1] == {"end": True}, "there are more"
    return found[:-1]


def plain(project: Project, hub: EventHubServer) -> None:
    """The lines of the README."""
    (lines,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    script = project.directory / "script.py"
    script.write_text(lines.replace("localhost:8000", f"127.0.0.1:{hub.port}"))
    with project.start(script) as process:
        wait_for(process, "'text': 'oi'")
        process.kill()


def prefork(project: Project, hub: EventHubServer, jobs: int, kills: int) -> None:
    """Each job is one event, whoever was killed."""
    project.run(PROJECTS / "prefork.py", hub.url, jobs, kills)
    assert sorted(each["job"] for each in stored(hub, "jobs.done", jobs)) == list(range(jobs))


def follower(project: Project, hub: EventHubServer, kills: int) -> None:
    """A process that follows with a cursor and is killed: it skips nothing."""
    out, channel = project.directory / "out", "orders.killed"
    arguments = ("-c", WORKER, hub.url, "ehk_none", project.directory / "cursor", out)
    with SyncHub(hub.url) as client:
        for number in range(kills):
            client.publish_many(channel, range(number * 100, number * 100 + 100))
            with project.start(*arguments) as process:
                half = partial(operator.lt, number * 100 + 50)
                eventually("half", lambda: len(lines(out)), half)
                process.kill()
        with project.start(*arguments) as process:
            last = kills * 100 - 1
            eventually("all", lambda: lines(out), lambda seen: last in seen)
            process.kill()
    found = lines(out)
    assert list(dict.fromkeys(found)) == list(range(kills * 100))
    assert len(found) <= kills * 101, "only what was in work comes again"


def lines(out: Path) -> list[int]:
    text = out.read_text() if out.exists() else ""
    return [json.loads(each)[1] for each in text.split("\n")[:-1]]


def service(project: Project, hub: EventHubServer) -> None:
    """A FastAPI service keeps its orders while the hub is killed."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/orders"
    arguments = ("-m", "uvicorn", "--app-dir", PROJECTS, "--port", port, "service:app")
    with project.start(*arguments, HUB=hub.url) as process:
        try:
            eventually(
                "the service",
                lambda: http.get(url).status_code,
                not_yet=(OSError, httpx.TransportError),
            )
            for number in range(60):
                if number == 30:
                    hub.kill()
                    hub.launch()
                order = {"number": number, "total": "1.50"}
                assert http.post(url, json=order, timeout=SECONDS).status_code == 201
            eventually(
                "all orders",
                lambda: {each["number"] for each in http.get(url).json()},
                lambda seen: seen == set(range(60)),
            )
        finally:
            process.terminate()


def main() -> None:
    """All projects under each Python."""
    for version in sys.argv[1:] or VERSIONS:
        python = find(version)
        if python is None:
            print(f"Python {version}: not found")  # noqa: T201
            continue
        begin = time.monotonic()
        with tempfile.TemporaryDirectory() as name:
            project = Project(Path(name), python)
            project.install(project.wheel(), "fastapi", "uvicorn", "mypy")
            with EventHubServer(Path(name), CONFIG) as hub:
                plain(project, hub)
                prefork(project, hub, jobs=200, kills=20)
                follower(project, hub, kills=10)
                service(project, hub)
            if version != "3.10":  # assert_type is newer
                project.run("-m", "mypy", "--strict", PROJECTS / "typed.py")
        took = time.monotonic() - begin
        print(f"Python {version}: all well in {took:.0f} s", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
