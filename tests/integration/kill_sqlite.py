"""kill -9 against the SQLite broker: `python -m tests.integration.kill_sqlite --kills 50`.

A child process publishes from many tasks and prints each attempt and each acknowledgement. It is
killed at a random moment. Then the database is opened again: every acknowledged event must be
there, once, in order. Every other attempt is repeated with its key.
"""

import argparse
import asyncio
import itertools
import os
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from eventhub.brokers.sqlite import SqliteBroker
from eventhub.events.channel_types import Retention
from eventhub.events.event import Earliest, Event, NewEvent, Receipt

TASKS = 16
CHANNELS = ["kept.a", "kept.b", "kept.c", "short.a"]
SHORT = 1000


def retention(channel: str) -> Retention:
    return Retention(SHORT if channel.startswith("short") else 10**9, None)


def now() -> int:
    return time.time_ns() // 1_000_000


def event(channel: str, key: str) -> NewEvent:
    return NewEvent(channel, f'"{key}{"." * (len(key) * 37 % 500)}"'.encode(), now(), None, key)


def open_broker(path: Path) -> SqliteBroker:
    return SqliteBroker(path, retention, now)


async def publish_for_ever(path: Path, prefix: str) -> None:
    """The child process."""
    broker = open_broker(path)
    numbers = itertools.count()

    async def publisher() -> None:
        while True:
            channel = random.choice(CHANNELS)
            keys = [f"{prefix}-{next(numbers)}" for _ in range(random.choice((1, 1, 5, 50)))]
            say(f"? {channel} {key}" for key in keys)
            receipts = await broker.publish([event(channel, key) for key in keys])
            say(
                f"! {channel} {key} {r.position}"
                for key, r in zip(keys, receipts, strict=True)
                if isinstance(r, Receipt)
            )

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(
            broker.run(
                lambda event: None, lambda channel: None, lambda message: None, lambda channel: None
            )
        )
        for _ in range(TASKS):
            tasks.create_task(publisher())


def say(lines: Iterable[str]) -> None:
    os.write(1, "".join(f"{line}\n" for line in lines).encode())


@dataclass
class Proof:
    """Compares what the children printed with what the database holds."""

    path: Path
    tried: dict[str, str] = field(default_factory=dict)  # channel by key
    acknowledged: dict[str, tuple[str, str]] = field(default_factory=dict)  # channel and id by key
    kills: int = 0
    unanswered: int = 0
    stored_unanswered: int = 0
    deduplicated: int = 0
    seconds: list[float] = field(default_factory=list)

    def kill(self, seconds: float) -> None:
        """Let a child publish, and kill it."""
        command = [
            sys.executable,
            "-m",
            "tests.integration.kill_sqlite",
            "--child",
            str(self.path),
            f"k{self.kills}",
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            text = os.read(child.stdout.fileno(), 65536)  # it has begun
            assert text, "the child ended by itself"
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                text += os.read(child.stdout.fileno(), 1 << 20)
            child.kill()
            text += child.stdout.read()
        self.kills += 1
        for line in text.decode().split("\n")[:-1]:  # what follows the last newline is half a line
            match line.split(" "):
                case ["?", channel, key]:
                    self.tried[key] = channel
                case ["!", channel, key, position]:
                    self.acknowledged[key] = (channel, position)

    async def check(self) -> None:
        """Open the database again, and compare."""
        begin = time.perf_counter()
        broker = open_broker(self.path)
        self.seconds.append(time.perf_counter() - begin)
        task = asyncio.create_task(
            broker.run(
                lambda event: None, lambda channel: None, lambda message: None, lambda channel: None
            )
        )
        try:
            connection = sqlite3.connect(self.path)
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            connection.close()
            logs = {channel: await self._log(broker, channel) for channel in CHANNELS}
            self._compare(logs)
            await self._repeat(broker, logs)
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _log(self, broker: SqliteBroker, channel: str) -> dict[str, Event]:
        """Every event by its key.

        Checks that each occurs once, names the one before it, and that offsets are consecutive but
        for the jump at each opening.
        """
        events: dict[str, Event] = {}
        jumps = 0
        piece = await broker.history(channel, Earliest(), 1000)
        previous = piece.start.offset
        while piece.events:
            for event in piece.events:
                assert event.previous == previous
                jumps += event.offset != previous + 1
                previous = event.offset
                key = event.data.decode().strip('".')
                assert key not in events, "stored twice"
                events[key] = event
            piece = await broker.history(channel, piece.reached, 1000)
        assert previous == piece.end.offset
        assert jumps <= 2 * self.kills + 1  # a child's and this process's openings
        return events

    def _compare(self, logs: dict[str, dict[str, Event]]) -> None:
        first = min((event.offset for event in logs["short.a"].values()), default=0)
        assert len(logs["short.a"]) <= SHORT
        for key, (channel, position) in self.acknowledged.items():
            found = logs[channel].get(key)
            if found is None:
                assert channel == "short.a", (
                    f"{key} was acknowledged as {position} and is not there"
                )
                assert int(position.partition("-")[2]) < first, (
                    f"{key} was acknowledged as {position} and is not there"
                )
            else:
                assert (str(found.position), found.data) == (position, event(channel, key).data)

    async def _repeat(self, broker: SqliteBroker, logs: dict[str, dict[str, Event]]) -> None:
        """Publish again with the same keys: stored events must not be stored again, the others must
        be stored now.
        """
        unanswered = [key for key in self.tried if key not in self.acknowledged]
        self.unanswered += len(unanswered)
        recent = list(self.acknowledged)[-500:]
        for key in unanswered + recent:
            channel = self.tried[key]
            (receipt,) = await broker.publish([event(channel, key)])
            assert isinstance(receipt, Receipt)
            stored = logs[channel].get(key)
            assert channel == "short.a" or receipt.replayed == (stored is not None)
            if stored is not None:
                assert receipt.position == stored.position
            if key in self.acknowledged:
                assert receipt.replayed
                assert str(receipt.position) == self.acknowledged[key][1]
                self.deduplicated += 1
            else:
                self.stored_unanswered += receipt.replayed
                self.acknowledged[key] = (channel, str(receipt.position))


def prove(path: Path, kills: int) -> Proof:
    """Run it. Raises AssertionError."""
    proof = Proof(path)
    for _ in range(kills):
        proof.kill(random.uniform(0.02, 0.4))
        asyncio.run(proof.check())
    asyncio.run(proof.check())  # what the last repetitions stored
    return proof


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--child", nargs=2, metavar=("PATH", "PREFIX"))
    arguments = parser.parse_args()
    if arguments.child:
        return asyncio.run(publish_for_ever(Path(arguments.child[0]), arguments.child[1]))
    with TemporaryDirectory() as directory:
        proof = prove(Path(directory) / "events.db", arguments.kills)
        print(  # noqa: T201
            f"{proof.kills} kills: {len(proof.acknowledged)} events, all there, once and in order. "
            f"{proof.unanswered} were under way when a kill came; "
            f"{proof.stored_unanswered} of them had been stored, the others were not, "
            f"and with its key each is there once. {proof.deduplicated} acknowledged events were "
            "published again: none was stored again. "
            f"Opening took {max(proof.seconds) * 1000:.0f} ms at most, "
            f"{sum(proof.seconds) / len(proof.seconds) * 1000:.0f} ms on average."
        )


if __name__ == "__main__":
    main()
