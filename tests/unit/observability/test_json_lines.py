"""observability/json_lines.py: the order of lines, and when they are written."""

import asyncio
import io
import json
import logging
from typing import Any

import pytest

from eventhub.observability import json_lines
from eventhub.observability.json_lines import JsonLines
from tests.harness.loop import in_loop


class Output(io.StringIO):
    """Counts its writes, and fails while it is `full`."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0
        self.full = False

    def write(self, text: str) -> int:
        if self.full:
            raise BlockingIOError("full")
        self.writes += 1
        return super().write(text)

    @property
    def lines(self) -> list[Any]:
        return [
            json.loads(line)["n"] if line.startswith("{") else line
            for line in self.getvalue().splitlines()
        ]


def record(text: str) -> logging.LogRecord:
    return logging.LogRecord("eventhub", logging.INFO, "", 1, text, (), None)


@in_loop
async def test_the_lines_of_a_turn_are_one_write_at_its_end() -> None:
    output = Output()
    lines = JsonLines(output)
    for number in range(3):
        lines.add(f'"n": {number}', "eventhub")
    assert output.writes == 0
    await asyncio.sleep(0)
    assert (output.lines, output.writes) == ([0, 1, 2], 1)
    lines.add('"n": 3', "eventhub")
    await asyncio.sleep(0)
    assert (output.lines, output.writes) == ([0, 1, 2, 3], 2)


@in_loop
async def test_a_record_is_written_behind_the_lines_before_it() -> None:
    output = Output()
    lines = JsonLines(output)
    lines.add('"n": 1', "eventhub")
    lines.handle(record("a fault"))
    lines.add('"n": 2', "eventhub")
    await asyncio.sleep(0)
    assert output.lines == [1, "a fault", 2]


@in_loop
async def test_no_more_lines_wait_than_are_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_lines, "WAITING", 4)
    output = Output()
    lines = JsonLines(output)
    for number in range(7):
        lines.add(f'"n": {number}', "eventhub")
    assert output.lines == [0, 1, 2, 3, 4]
    await asyncio.sleep(0)
    assert output.lines == [0, 1, 2, 3, 4, 5, 6]


def test_without_a_loop_a_line_is_written_at_once() -> None:
    output = Output()
    JsonLines(output).add('"n": 1', "eventhub")
    assert output.lines == [1]


@in_loop
async def test_lines_that_wait_when_the_process_ends_are_written() -> None:
    output = Output()
    lines = JsonLines(output)
    lines.add('"n": 1', "eventhub")
    lines.flush()  # as `logging.shutdown` does
    assert output.lines == [1]


@in_loop
async def test_lines_that_cannot_be_written_are_dropped_and_later_ones_are_not() -> None:
    output, faults = Output(), list[Any]()
    asyncio.get_running_loop().set_exception_handler(lambda _, fault: faults.append(fault))
    lines = JsonLines(output)
    output.full = True
    lines.add('"n": 1', "eventhub")
    await asyncio.sleep(0)
    output.full = False
    lines.add('"n": 2', "eventhub")
    await asyncio.sleep(0)
    assert (output.lines, faults) == ([2], [])
