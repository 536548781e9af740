"""`python -m tests.bench`: measure, and print tables. Load goes to 127.0.0.1 alone, and every run
has a deadline.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.bench import machine, report
from tests.bench.cases import CASES
from tests.bench.runner import Runner
from tests.bench.tools import build


def main() -> None:
    """Measure, or print earlier measurements."""
    options = _options()
    if options.markdown:
        return _say(report.markdown(json.loads(options.markdown.read_text())))
    cases = [case for case in CASES if case.name == options.only] or [
        case for case in CASES if case.name.startswith(options.only)
    ]
    if not cases:
        raise SystemExit(
            f"--only is {options.only!r}; "
            f"expected the beginning of one of {', '.join(case.name for case in CASES)}"
        )
    results: dict[str, Any] = {"machine": machine.describe(), "cases": {}}
    if options.json and options.json.exists():
        results = {**results, "cases": json.loads(options.json.read_text())["cases"]}
    with tempfile.TemporaryDirectory() as directory:
        runner = Runner(
            build(Path(directory)),
            *(
                (1, 1, 0.0)
                if options.quick
                else (options.rounds, options.attempts, options.patience)
            ),
        )
        for case in cases:
            results["cases"][case.name] = runner.run(case.quick() if options.quick else case)
            _say(report.section(results["cases"][case.name]) + "\n\n")
            if options.json:
                options.json.write_text(json.dumps(results, indent=1) + "\n")


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short run of each variant")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each variant (5)")
    parser.add_argument(
        "--attempts", type=int, default=4, help="tries for each run to find the machine calm (4)"
    )
    parser.add_argument(
        "--patience", type=float, default=10, help="seconds to wait for that before each (10)"
    )
    parser.add_argument(
        "--only",
        metavar="CASE",
        default="",
        help="the case of this name, otherwise those that begin so: "
        + ", ".join(case.name for case in CASES),
    )
    parser.add_argument(
        "--json",
        metavar="FILE",
        type=Path,
        help="write the results there; cases it has already are replaced",
    )
    parser.add_argument(
        "--markdown",
        metavar="FILE",
        type=Path,
        help="measure nothing, print the tables of such a file",
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
