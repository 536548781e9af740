"""`python -m tests.bench.scale`: measure what things cost, fit a model to it, and write
docs/scale.md. `--page` measures nothing and writes the page from what is stored.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.bench import machine
from tests.bench.scale import page, results, several, single
from tests.bench.scale.measure import Measure, Sample
from tests.bench.tools import build

Experiment = Callable[[Measure], Iterator[Sample]]
ONCE: tuple[Experiment, ...] = (
    single.own_channels,
    single.channels,
    single.history,
    several.workers,
    several.redis_memory,
    several.on_redis,
    several.on_nats,
)
"""Memory does not depend on what else the machine does. Nodes have rounds of their own."""
IN_ROUNDS: tuple[Experiment, ...] = (
    single.connections,
    single.deliveries,
    single.rates,
    single.requests,
)


def main() -> None:
    """Measure, store, write the page, and say how well the model predicts."""
    options = _options()
    if not options.page:
        begun = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
        with tempfile.TemporaryDirectory() as directory:
            measure = Measure(build(Path(directory)).load, options.rounds)
            samples = list(_measured(measure, options.only))
        results.write(machine.describe(), begun, samples)
    found = results.read()
    page.PAGE.write_text(page.render(found), encoding="utf-8")
    wrong = [p for p in found.predictions() if abs(p.error) > results.TOLERANCE]
    for one in found.predictions():
        _say(f"{one.cost} at {one.size}: {one.error:+.0%}{' WRONG' * (one in wrong)}")
    if wrong:
        raise SystemExit(f"{len(wrong)} predictions are wrong by more than a third")


def _measured(measure: Measure, only: str) -> Iterator[Sample]:
    for experiment in (*IN_ROUNDS * measure.rounds, *ONCE):
        if experiment.__name__.startswith(only):
            begin = time.perf_counter()
            yield from _attempted(experiment, measure)
            _say(f"{experiment.__name__} took {time.perf_counter() - begin:.0f} s")


def _attempted(experiment: Experiment, measure: Measure) -> list[Sample]:
    """All samples of an experiment. One that a busy machine has broken is begun once more."""
    try:
        return list(experiment(measure))
    except (AssertionError, subprocess.CalledProcessError) as failure:
        _say(f"{experiment.__name__} is begun again: {failure}")
        return list(experiment(measure))


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.scale", description=__doc__)
    parser.add_argument("--rounds", type=int, default=2, help="readings of each CPU time (2)")
    parser.add_argument("--only", default="", help="experiments whose names begin so")
    parser.add_argument("--page", action="store_true", help="write the page, measure nothing")
    return parser.parse_args()


if __name__ == "__main__":
    main()
