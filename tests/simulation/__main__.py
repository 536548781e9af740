"""Runs seeds: `--seed 7` prints one run, `--seeds 1000` looks for runs that break a promise, and
`--rules` for runs that break one without a rule.
"""

import argparse
import os
import sys
import time
import traceback
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from math import inf

from tests.simulation.feed_rules import FEED_RULES
from tests.simulation.presence_rules import PRESENCE_RULES
from tests.simulation.quiet import quieten
from tests.simulation.world import World

PROGRESS = 10_000
"""Seeds after which a line is printed."""
REPLAY = "python -m tests.simulation --seed"
RULES = [*FEED_RULES, *PRESENCE_RULES]
say = partial(print, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="run this one, and print what happens")
    parser.add_argument("--seeds", type=int, default=1000, help="how many to run")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--minutes", type=float, default=inf, help="begin no more after so many")
    parser.add_argument("--rules", action="store_true", help="find a run that needs each rule")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    arguments = parser.parse_args()
    quieten()
    if arguments.seed is not None:
        return replay(arguments.seed)
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    if arguments.rules:
        return search(seeds, arguments.jobs)
    return explore(seeds, arguments.jobs, arguments.minutes)


def replay(seed: int) -> int:
    world = World(seed)
    failed = False
    try:
        world.run()
    except Exception:
        failed = True
        traceback.print_exc(file=sys.stdout)
    say("\n".join(world.lines()))
    say(f"seed {seed}: {'FAILED' if failed else 'kept'}, {world.loop.steps} steps, {world.hash()}")
    return failed


def explore(seeds: range, jobs: int, minutes: float) -> int:
    """Run seeds in so many processes, in order, until all or the minutes are over."""
    begin, core, run, failed = time.monotonic(), 0.0, 0, 0
    with ProcessPoolExecutor(jobs, initializer=quieten) as processes:
        for seed, (fault, seconds) in zip(
            seeds, processes.map(judge, seeds, chunksize=50), strict=True
        ):
            run, core = run + 1, core + seconds
            if fault:
                failed += 1
                say(f"FAILED seed {seed}: {fault}; replay it: {REPLAY} {seed}")
            if run % PROGRESS == 0:
                say(f"{run} of {len(seeds)} seeds, {core:.0f} s of a core")
            if time.monotonic() - begin > 60 * minutes:
                processes.shutdown(wait=False, cancel_futures=True)
                break
    took, each = time.monotonic() - begin, 1000 * core / max(run, 1)
    say(f"{run} of {len(seeds)} seeds, {failed} failed: {took:.0f} s, {each:.1f} ms of a core each")
    return bool(failed)


def search(seeds: range, jobs: int) -> int:
    """For each rule without a scenario, the first of the seeds that fails without it."""
    rules = [number for number, rule in enumerate(RULES) if isinstance(rule.needed, int)]
    missing = 0
    with ProcessPoolExecutor(jobs, initializer=quieten) as processes:
        found = processes.map(partial(first_fault, seeds), rules)
        for number, seed in zip(rules, found, strict=True):
            name, needed = RULES[number].name, RULES[number].needed
            say(f"{name}: {seed}{'' if seed == needed else f', not {needed}'}")
            missing += seed is None
    return bool(missing)


def first_fault(seeds: range, rule: int) -> int | None:
    """The first run that fails without a rule, which is named by its place in RULES."""
    with RULES[rule].switched_off():
        return next((seed for seed in seeds if "AssertionError" in judge(seed)[0]), None)


def judge(seed: int) -> tuple[str, float]:
    """What goes wrong in a run, if anything, and the seconds of a core that it took."""
    begin, fault = time.process_time(), ""
    try:
        World(seed).run()
    except Exception as error:
        fault = f"{type(error).__name__}: {error}"
    return fault, time.process_time() - begin


if __name__ == "__main__":
    sys.exit(main())
