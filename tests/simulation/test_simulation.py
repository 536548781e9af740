"""Runs of many nodes under faults, each decided by its seed (RESULTS.md).

With those of patterns and of states they are 430, and a thousand with those of `make proofs`.
"""

import os
import subprocess
import sys

import pytest

from tests.simulation.world import World

SEEDS = 50
"""Of a group. `make proofs` has 8 more groups."""
GROUPS = [*range(6), *(pytest.param(group, marks=pytest.mark.proof) for group in range(6, 14))]


@pytest.mark.parametrize("group", GROUPS)
def test_every_promise_is_kept_whatever_fails(group: int) -> None:
    for seed in range(group * SEEDS, (group + 1) * SEEDS):
        try:
            World(seed).run()
        except Exception as error:
            error.add_note(f"replay it: python -m tests.simulation --seed {seed}")
            raise


def test_a_seed_replays_exactly() -> None:
    runs = [World(7) for _ in range(2)]
    for world in runs:
        world.run()
    assert runs[0].lines() == runs[1].lines()


def test_a_seed_replays_exactly_in_a_process_with_other_hashes() -> None:
    here = World(11)
    here.run()
    for hashes in ("0", "3"):
        command = [sys.executable, "-m", "tests.simulation", "--seed", "11"]
        elsewhere = subprocess.run(
            command,
            env={**os.environ, "PYTHONHASHSEED": hashes},
            capture_output=True,
            text=True,
            check=True,
        )
        assert elsewhere.stdout.splitlines()[-1].endswith(here.hash())
