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

from tests.simulation.feed_rules import FEED_RULES
from tests.simulation.presence_rules import PRESENCE_RULES
from tests.simulation.quiet import quieten
from tests.simulation.world import World

PROGRESS = 10_000
"""Seeds after which a line is printed."""
RULES = [*FEED_RULES, *PRESENCE_RULES]
say = partial(print, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="run this one, and print what happens")
    parser.add_argument("--seeds", type=int, default=1000, help="how many to run")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--rules", action="store_true", help="find a run that needs each rule")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    arguments = parser.parse_args()
    quieten()
    if arguments.seed is not None:
        return replay(arguments.seed)
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    if arguments.rules:
        return search(seeds, arguments.jobs)
    return explore(seeds, arguments.jobs)


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


def explore(seeds: range, jobs: int) -> int:
    """Run seeds in so many processes."""
    begin, failed = time.monotonic(), 0
    with ProcessPoolExecutor(jobs, initializer=quieten) as processes:
        for number, fault in enumerate(processes.map(fault_of, seeds, chunksize=50), 1):
            if fault:
                failed += 1
                say(fault)
            if number % PROGRESS == 0:
                say(f"{number} of {len(seeds)} seeds, {time.monotonic() - begin:.0f} s")
    say(f"{len(seeds)} seeds, {failed} failed, {time.monotonic() - begin:.0f} s")
    return bool(failed)


def search(seeds: range, jobs: int) -> int:
    """For each rule, the first of the seeds that fails without it."""
    needed = 0
    with ProcessPoolExecutor(jobs, initializer=quieten) as processes:
        found = processes.map(partial(first_fault, seeds), range(len(RULES)))
        for rule, seed in zip(RULES, found, strict=True):
            say(f"{rule.name}: {seed}{'' if seed == rule.seed else f', not {rule.seed}'}")
            needed += seed is not None
    say(f"{needed} of {len(RULES)} rules are needed")
    return needed < len(RULES)


def first_fault(seeds: range, rule: int) -> int | None:
    """The first run that fails without a rule, which is named by its place in RULES."""
    with RULES[rule].switched_off():
        return next((seed for seed in seeds if "AssertionError" in fault_of(seed)), None)


def fault_of(seed: int) -> str:
    """What goes wrong in a run, or nothing."""
    try:
        World(seed).run()
    except Exception as error:
        return f"seed {seed}: {type(error).__name__}: {error}"
    return ""


if __name__ == "__main__":
    sys.exit(main())
