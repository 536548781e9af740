"""Coverage-guided fuzzing: `python -m tests.fuzz [TARGET …] --runs N`.

Each target has a process, because libFuzzer ends its own. New inputs go to a temporary directory:
people add those that found a fault to the corpus.
"""

import argparse
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

SECONDS = 3600
LENGTH = 2048
DONE = re.compile(r"#(\d+)\s+DONE\s+cov: (\d+) ft: (\d+) corp: (\d+)/\S+.*exec/s: (\d+)")
RUNS = {
    "frames": 100_000, "commands": 80_000, "bodies": 150_000, "streams": 40_000, "words": 400_000,
    "handshake": 150_000, "encoders": 100_000, "credentials": 100_000, "key_sets": 50_000,
    "queries": 50_000, "lane": 20_000,
}  # fmt: skip
"""Executions by target. Named here, because what the targets test must not be imported before it is
instrumented.
"""


def fuzz(name: str, options: list[str]) -> None:
    """Never returns."""
    atheris: Any = import_module("atheris")  # which has no types, and is not there for Python 3.12
    with atheris.instrument_imports(include=["eventhub"]):
        targets = import_module("tests.fuzz.targets").TARGETS
    atheris.Setup([sys.argv[0], *options], targets[name])
    atheris.Fuzz()


def run(name: str, runs: int, found: Path) -> str:
    """Fuzz a target; a line of RESULTS.md's table. Raises SystemExit where something is wrong."""
    corpus = Path(__file__).parent / "corpus" / name
    options = [
        f"-runs={runs}",
        "-seed=1",
        f"-max_len={LENGTH}",
        "-timeout=10",
        "-rss_limit_mb=1024",
        f"-artifact_prefix={found}/",
    ]
    log = _child(name, [*options, str(found), str(corpus)])
    figures = DONE.search(log)
    assert figures is not None, log[-2000:]
    counts = " | ".join(f"{int(figures[n]):,}" for n in (1, 5, 2, 3))
    return f"| {name} | {counts} | {len(list(corpus.iterdir()))} |"


def _child(name: str, options: list[str]) -> str:
    command = [sys.executable, "-m", "tests.fuzz", "--child", name, *options]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS, check=False
    )
    log = done.stdout.decode(errors="replace")
    if done.returncode != 0:
        sys.exit(f"{name}: {log[-6000:]}")
    return log


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        fuzz(sys.argv[2], sys.argv[3:])
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "targets", nargs="*", default=list(RUNS), metavar="TARGET", help=", ".join(RUNS)
    )
    parser.add_argument("--runs", type=int, help="executions of each target")
    asked = parser.parse_args()
    print(  # noqa: T201
        "| target | executions | a second | edges | features | corpus |\n|---|---|---|---|---|---|"
    )
    for name in asked.targets:
        with TemporaryDirectory() as found:
            print(run(name, asked.runs or RUNS[name], Path(found)), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
