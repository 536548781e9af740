"""`eventhub ship` against a real server."""

import os
import time
from pathlib import Path

from tests.integration.commands import LASTING, Follow, Start, home, program, run, stored

__all__ = ["home", "program"]


class Log:
    """app.log, to which numbered lines are written."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "app.log"
        self._written = self._renamed = 0

    def write(self, count: int) -> list[object]:
        """Write lines. Returns what all lines so far are as events."""
        with self.path.open("a") as file:
            for number in range(self._written, self._written + count):
                file.write(f'{{"n":{number}}}\n')
        self._written += count
        return [{"n": number} for number in range(self._written)]

    def rename(self) -> None:
        self._renamed += 1
        old = self.path.rename(self.path.with_name(f"app.log.{self._renamed}"))
        os.utime(old, ns=(0, time.time_ns() + self._renamed))  # no two at the same time


def test_ship_sends_each_line_once_through_kills_of_both_sides_and_rotation(
    start: Start, program: Follow, tmp_path: Path
) -> None:
    hub, log = start(LASTING), Log(tmp_path)
    ship = ("ship", str(log.path), "logs.a")
    expected = log.write(100)
    shipper = program(hub, *ship)
    assert stored(hub, "logs.a", 100) == expected
    shipper.kill()
    for _ in range(2):  # renamed twice while nobody reads
        log.write(200)
        log.rename()
    log.write(100)
    shipper = program(hub, *ship)
    stored(hub, "logs.a", 200)
    hub.kill()
    log.write(100)
    shipper.kill()  # perhaps with a batch that is stored, and perhaps not
    shipper = program(hub, *ship)
    expected = log.write(100)
    hub.start()
    assert stored(hub, "logs.a", len(expected)) == expected
    shipper.kill()
    assert run(hub, *ship, "--once").exit_code == 0
    run(hub, "pub", "logs.a", '"end"')
    assert stored(hub, "logs.a", len(expected) + 1)[-1] == "end"


def test_ship_counts_lines_that_are_refused_and_sends_the_others(
    start: Start, tmp_path: Path
) -> None:
    hub, path = start("channels: {logs: {payload: log}}"), tmp_path / "app.log"
    path.write_text('plain\n{"level":"nonsense"}\n{"level":"info","message":"json"}\n')
    rejects = tmp_path / "rejects"
    result = run(hub, "ship", str(path), "logs.a", "--once", "--rejects", str(rejects))
    assert result.exit_code == 1
    assert "more of them are only counted" in result.stderr
    assert rejects.read_text() == '{"level":"nonsense"}\n'
    messages = [each["message"] for each in stored(hub, "logs.a", 2) if isinstance(each, dict)]
    assert messages == ["plain", "json"]
