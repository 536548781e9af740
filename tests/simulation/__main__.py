"""Runs seeds: `--seed 7` prints one run, `--seeds 1000` looks for runs that break a promise."""

import argparse
import sys
import time
import traceback
from functools import partial

from tests.simulation.quiet import quieten
from tests.simulation.world import World

say = partial(print, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="run this one, and print what happens")
    parser.add_argument("--seeds", type=int, default=1000, help="how many to run")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    arguments = parser.parse_args()
    quieten()
    if arguments.seed is not None:
        return replay(arguments.seed)
    return explore(range(arguments.first, arguments.first + arguments.seeds))


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


def explore(seeds: range) -> int:
    begin, failed = time.process_time(), {}
    for seed in seeds:
        try:
            World(seed).run()
        except Exception as error:
            failed[seed] = f"{type(error).__name__}: {error}"
            say(f"seed {seed}: {failed[seed]}")
    seconds = time.process_time() - begin
    say(f"{len(seeds)} seeds, {len(failed)} failed, {seconds:.1f} s of CPU time")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
