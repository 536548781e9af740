"""Autobahn's fuzzing client against EventHub's own WebSocket protocol.

`python -m tests.conformance.autobahn` runs `LONG` (about five minutes) and prints the table of
RESULTS.md; `make test` runs `SHORT`.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from tests.harness.eventhub import EventHubServer

ROOT = Path(__file__).parents[2] / ".autobahn"
PYTHON = ROOT / "usr/bin/python2.7"
CONFIG = (
    "{compression: true, limits: {event_bytes: 16777216, body_bytes: 16777216, commands: 1000000}}"
)
GROUPS = {
    "1": "Framing", "2": "Pings and pongs", "3": "Reserved bits", "4": "Opcodes",
    "5": "Fragmentation", "6": "UTF-8",
    "7": "Closing", "9": "Limits, to 16 MiB", "10": "Auto-fragmentation",
    "12": "permessage-deflate, payloads",
    "13": "permessage-deflate, parameters",
}  # fmt: skip
SIZES = [*range(1, 9), *range(11, 14)]
"""Of the eighteen cases in each part of 12 and 13, those whose thousand messages have at most 32
KiB each. The others take minutes.
"""
LONG = [
    *(f"{group}.*" for group in ("1", "2", "3", "4", "5", "6", "7", "9", "10")),
    *(f"12.{part}.{size}" for part in range(1, 6) for size in SIZES),
    *(f"13.{part}.{size}" for part in range(1, 8) for size in SIZES),
]
SHORT = [
    *(f"{group}.*" for group in ("1", "2", "3", "4", "5", "6", "7", "10")),
    *("9.1.1", "9.2.1", "9.3.3", "9.4.9", "9.5.6", "9.7.1", "9.8.1"),
    *(
        "12.1.1",
        "12.1.5",
        "12.2.1",
        "13.1.1",
        "13.1.5",
        "13.2.1",
        "13.3.1",
        "13.4.1",
        "13.5.1",
        "13.6.1",
        "13.7.1",
    ),
]
INFORMATIONAL = {"7.1.6", "7.13.1", "7.13.2"}
"""Where the suite only looks: whether what came before a close frame is answered, and close codes
that no RFC defines.
"""
DECLINED = ("13.3.", "13.4.", "13.5.", "13.6.")
"""Where all that the client offers limits the window of the server, which shares its frames with
clients that did not ask for that.
"""

PATIENT = """\
from autobahntestsuite.fuzzing import FuzzingProtocol as one
kill, close = one.killAfter, one.closeAfter
one.killAfter = lambda self, seconds: kill(self, 10 * seconds)
one.closeAfter = lambda self, seconds: close(self, 2 * seconds)"""
"""A second, after which Autobahn gives a case up or ends it, may be too short on a busy machine."""


class Verdict(NamedTuple):
    """Autobahn's verdict on a case: its behaviour, how it closed, and the milliseconds it took."""

    behavior: str
    close: str
    duration: int

    def expected(self, case: str) -> bool:
        if case in INFORMATIONAL:
            return (self.behavior, self.close) == ("INFORMATIONAL", "INFORMATIONAL")
        return (self.behavior, self.close) == (
            "UNIMPLEMENTED" if case.startswith(DECLINED) else "OK",
            "OK",
        )


def judge(directory: Path, cases: Sequence[str], seconds: float) -> dict[str, Verdict]:
    """Verdicts by case; `*` in a case stands for any. Files go to `directory`."""
    with EventHubServer(directory, CONFIG, lane="echo") as server:
        specification = {
            "outdir": str(directory / "reports"),
            "servers": [{"agent": "eventhub", "url": server.ws_url}],
            "cases": cases,
        }
        (directory / "spec.json").write_text(json.dumps(specification))
        (libraries,) = ROOT.glob("usr/lib/*-linux-gnu")
        wstest = f"{PATIENT}; from autobahntestsuite.wstest import run; run()"
        command = [
            str(PYTHON),
            "-W",
            "ignore",
            "-c",
            wstest,
            "-m",
            "fuzzingclient",
            "-s",
            "spec.json",
        ]
        environment = {"LD_LIBRARY_PATH": str(libraries), "PATH": os.environ["PATH"]}
        done = subprocess.run(
            command,
            cwd=directory,
            env=environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    found = json.loads((directory / "reports/index.json").read_text())["eventhub"]
    return {
        case: Verdict(each["behavior"], each["behaviorClose"], each["duration"])
        for case, each in found.items()
    }


def table(verdicts: dict[str, Verdict]) -> str:
    """A Markdown table, with a line for each group."""
    lines = [
        "| group | cases | OK | informational | declined | otherwise | seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    for group, name in GROUPS.items():
        own = {case: verdict for case, verdict in verdicts.items() if case.split(".")[0] == group}
        kinds = Counter(
            verdict.behavior if verdict.expected(case) else "otherwise"
            for case, verdict in own.items()
        )
        counts = [kinds[kind] for kind in ("OK", "INFORMATIONAL", "UNIMPLEMENTED", "otherwise")]
        seconds = sum(verdict.duration for verdict in own.values()) / 1000
        lines.append(
            f"| {group} {name} | {len(own)} | {' | '.join(map(str, counts))} | {seconds:.1f} |"
        )
    return "\n".join(lines)


def main() -> None:
    with TemporaryDirectory() as directory:
        verdicts = judge(Path(directory), LONG, seconds=3600)
    print(table(verdicts))  # noqa: T201
    unexpected = {case: verdict for case, verdict in verdicts.items() if not verdict.expected(case)}
    for case, verdict in unexpected.items():
        print(case, *verdict)  # noqa: T201
    sys.exit(bool(unexpected))


if __name__ == "__main__":
    main()
