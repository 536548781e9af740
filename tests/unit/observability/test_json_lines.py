"""observability/json_lines.py: lines of text between records."""

import io
import json
import logging
import threading
from datetime import datetime
from pathlib import Path

import pytest
from structlog.contextvars import bound_contextvars

from eventhub.observability.json_lines import JsonLines


class Output(io.StringIO):
    """What was flushed."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = ""

    def flush(self) -> None:
        super().flush()
        self.seen = self.getvalue()


def record(text: str) -> logging.LogRecord:
    return logging.LogRecord("eventhub", logging.INFO, "", 1, text, (), None)


def test_each_line_is_written_at_once_in_the_order_of_the_calls() -> None:
    """The line of a request is there before its answer."""
    output = Output()
    lines = JsonLines(output)
    lines.add('"n": 1', "eventhub")
    (line,) = output.seen.splitlines()
    assert (json.loads(line)["n"], json.loads(line)["logger"]) == (1, "eventhub")
    lines.handle(record("a fault"))
    lines.add('"n": 2', "eventhub")
    assert [line[:6] for line in output.seen.splitlines()] == ['{"n": ', "a faul", '{"n": ']


def test_a_line_has_what_is_bound_to_the_request_and_its_time_in_utc() -> None:
    output = Output()
    with bound_contextvars(request="r-1", path=Path("a")):
        JsonLines(output).add('"n": 1', "eventhub")
    line = json.loads(output.seen)
    assert (line["request"], line["level"]) == ("r-1", "info")
    assert line["path"].endswith("Path('a')")
    assert line["timestamp"].endswith("Z")
    assert datetime.fromisoformat(line["timestamp"]).tzinfo is not None


def test_a_line_waits_while_a_thread_writes_a_record() -> None:
    output, added = Output(), threading.Event()
    lines = JsonLines(output)

    def add() -> None:
        lines.add('"n": 1', "eventhub")
        added.set()

    with lines.lock or threading.RLock():
        thread = threading.Thread(target=add)
        thread.start()
        assert not added.wait(0.05)
        assert output.seen == ""
    thread.join()
    assert output.seen


def test_what_the_stream_raises_leaves_the_lock_free() -> None:
    output = Output()
    lines = JsonLines(output)
    output.close()
    with pytest.raises(ValueError, match="closed"):
        lines.add('"n": 1', "eventhub")
    thread = threading.Thread(target=lines.acquire, daemon=True)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()
