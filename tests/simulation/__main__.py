"""Runs seeds: `--seed 7` prints one run, `--seeds 1000` looks for runs that break a promise."""

import argparse
import os
import sys
import time
import traceback
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from tests.simulation.quiet import quieten
from tests.simulation.world import World

PROGRESS = 10_000
"""Seeds after which a line is printed."""
say = partial(print, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="run this one, and print what happens")
    parser.add_argument("--seeds", type=int, default=1000, help="how many to run")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    arguments = parser.parse_args()
    quieten()
    if arguments.seed is not None:
        return replay(arguments.seed)
    first = arguments.first
    return explore(range(first, first + arguments.seeds), arguments.jobs)


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


def fault_of(seed: int) -> str:
    """What goes wrong in a run, or nothing."""
    try:
        World(seed).run()
    except Exception as error:
        return f"seed {seed}: {type(error).__name__}: {error}"
    return ""


if __name__ == "__main__":
    sys.exit(main())
