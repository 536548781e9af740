"""`python -m tests.fuzz.variations --runs N`: variations of the lane's corpus, without coverage.

Without instrumentation, an execution takes a fraction of the time, so that a million take minutes.
An input whose outcome is new is varied itself from then on. `--keep` adds those of a new kind to
the corpus.
"""

import argparse
import hashlib
import logging
import random
import sys
import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

import structlog

from tests.fuzz.lane import Outcome, compared
from tests.fuzz.targets import CORPUS, corpus

PIECES = (
    b"\x00", b"\xff", b"\x7f", b'"', b"\\", b"{", b"[", b"]", b"\n", b"\r", b"null", b"1e999",
    b"\\ud800", b"-0", b"@", b",", b"\xf0\x9f",
)  # fmt: skip
LENGTH = 2048
POOL = 5000
"""Most inputs that are varied."""
ANSWERS = 4
"""Inputs with more answers than this are not varied: they take longer and find no more."""


@dataclass(slots=True)
class Report:
    """`found`: inputs with a new outcome. `kinds`: those of a new kind, which are fewer."""

    runs: int = 0
    found: list[bytes] = field(default_factory=list)
    kinds: list[bytes] = field(default_factory=list)


def varied(inputs: Sequence[bytes], dice: random.Random) -> bytes:
    """One of the inputs, changed in up to four places."""
    data = bytearray(dice.choice(inputs))
    for _ in range(dice.randint(1, 4)):
        at = dice.randint(0, len(data))
        match dice.randrange(5):
            case 0 if at < len(data):
                data[at] ^= 1 << dice.randrange(8)
            case 1:
                del data[at : at + dice.randint(1, 16)]
            case 2:
                data[at:at] = data[at : at + dice.randint(1, 64)]
            case 3:
                data[at:at] = dice.choice(PIECES)
            case _:
                data[at:] = dice.choice(inputs)[at:]
    return bytes(data)


def explore(runs: int, seed: int, seconds: float) -> Report:
    """Run variations until one of the limits. Raises AssertionError at a difference."""
    report, dice = Report(), random.Random(seed)
    pool, outcomes, kinds = list[bytes](), set[Hashable](), set[Hashable]()
    for data in corpus("lane"):
        outcome = compared(data)
        outcomes.add(_all_of(outcome))
        kinds.add(_kind_of(outcome))
        if len(outcome[0]) <= ANSWERS:
            pool.append(data)
    end = time.monotonic() + seconds
    while report.runs < runs and time.monotonic() < end:
        data = varied(pool, dice)[:LENGTH]
        outcome = compared(data)
        report.runs += 1
        if len(pool) >= POOL or len(outcome[0]) > ANSWERS:
            continue
        if (all_of := _all_of(outcome)) not in outcomes:
            outcomes.add(all_of)
            pool.append(data)
            report.found.append(data)
            if (kind := _kind_of(outcome)) not in kinds:
                kinds.add(kind)
                report.kinds.append(data)
    return report


def _all_of(outcome: Outcome) -> Hashable:
    statuses, stored = outcome
    return tuple(statuses), tuple(map(len, stored))


def _kind_of(outcome: Outcome) -> Hashable:
    statuses, stored = outcome
    return frozenset(statuses), len(statuses) > 1, bool(stored)


def main() -> None:
    """Explore, and say how many executions there were."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.variations", description=__doc__)
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=1200.0, help="and no longer than this")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="add inputs of new kinds to the corpus")
    asked = parser.parse_args()
    quiet = structlog.make_filtering_bound_logger(logging.CRITICAL)
    structlog.configure(wrapper_class=quiet)  # nodes log what they refuse
    report = explore(asked.runs, asked.seed, asked.seconds)
    for data in report.kinds if asked.keep else ():
        name = hashlib.sha256(data).hexdigest()[:40]
        (CORPUS / "lane" / name).write_bytes(data)
    sys.stdout.write(
        f"{report.runs:,} executions with seed {asked.seed} and no difference; "
        f"{len(report.found):,} new outcomes, {len(report.kinds):,} of a new kind\n"
    )


if __name__ == "__main__":
    main()
