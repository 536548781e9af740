"""eventhub_client/logging.py: bounded, counted, and never in the way of the application."""

import io
import logging
import logging.handlers
import os
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from eventhub_client.errors import Forbidden, Problem, Unavailable
from eventhub_client.logging import BATCH, PAUSE, Bounds, Handler
from eventhub_client.publishing import Outcome
from eventhub_client.records import event_of_record
from tests.unit.client.log_hub import RECEIPT, SECONDS, FakeHub


class Logs:
    """A logger with a handler whose hub is a fake."""

    def __init__(self, bounds: Bounds) -> None:
        self.hub = FakeHub()
        self.handler = Handler("http://localhost:1", "logs.a", bounds=bounds)
        self.handler._hub = self.hub  # type: ignore[assignment]
        self.logger = logging.Logger("app")
        self.logger.addHandler(self.handler)

    def block(self) -> None:
        """The thread is within publishing, with one record."""
        self.hub.gate.clear()
        self.logger.info("first")
        assert self.hub.entered.wait(SECONDS)


@pytest.fixture
def make() -> Iterator[Callable[..., Logs]]:
    made: list[Logs] = []

    def build(**bounds: Any) -> Logs:
        made.append(Logs(Bounds(**{"exit_seconds": SECONDS, **bounds})))
        return made[-1]

    yield build
    for each in made:
        each.hub.gate.set()
        each.handler.close()


def test_records_arrive_in_order_and_in_batches(make: Callable[..., Logs]) -> None:
    logs = make()
    logs.block()
    for number in range(BATCH + 1):
        logs.logger.info("%d", number)
    logs.hub.gate.set()
    logs.handler.flush()
    assert logs.hub.messages == ["first", *map(str, range(BATCH + 1))]
    assert max(map(len, logs.hub.batches)) == BATCH


SIZE = len(event_of_record(logging.LogRecord("app", 20, "", 1, "10", (), None)))
"""Bytes of a record whose message is a number of two digits."""


@pytest.mark.parametrize("bounds", [{"records": 10}, {"bytes": 12 * SIZE}])
def test_what_does_not_fit_is_dropped_and_the_next_batch_says_how_many(
    make: Callable[..., Logs], bounds: dict[str, int]
) -> None:
    logs = make(**bounds)
    logs.block()
    for number in range(10, 100):
        logs.logger.info("%d", number)
    logs.hub.gate.set()
    logs.handler.flush()
    kept = [each for each in logs.hub.messages if each.isdecimal()]
    assert kept == [str(number) for number in range(10, 10 + len(kept))]
    assert len(kept) == 10  # in bytes, the record that is being sent counts, and is longer
    assert logs.hub.batches[-1][-1]["fields"] == {"dropped": 80}
    logs.logger.info("room again")
    logs.handler.flush()
    assert logs.hub.messages[-1] == "room again"  # and no second notice


def test_logging_never_waits_for_the_hub(make: Callable[..., Logs]) -> None:
    logs = make()
    logs.block()
    logs.logger.info("returns while the hub does not answer")
    assert logs.hub.batches == []


def test_what_sending_itself_logs_is_not_sent(make: Callable[..., Logs]) -> None:
    logs = make()
    logs.hub.logs = logs.logger
    logs.logger.info("one")
    logs.handler.flush()
    logs.handler.flush()
    assert logs.hub.messages == ["one"]


def test_handlers_do_not_send_what_the_sending_of_another_logs(make: Callable[..., Logs]) -> None:
    first, second = make(), make()
    first.logger.addHandler(second.handler)
    first.hub.logs = second.hub.logs = first.logger
    first.logger.info("one")
    for each in (first, second, first, second):
        each.handler.flush()
    assert first.hub.messages == second.hub.messages == ["one"]


def test_what_sending_logs_is_not_sent_by_the_thread_of_a_queue_listener(
    make: Callable[..., Logs],
) -> None:
    logs, waiting = make(), queue.SimpleQueue[Any]()
    listener = logging.handlers.QueueListener(waiting, logs.handler)
    logs.hub.logs = logging.Logger("httpx")
    logs.hub.logs.addHandler(logging.handlers.QueueHandler(waiting))
    logs.logger.info("one")
    logs.handler.flush()
    listener.start()
    listener.stop()
    logs.handler.flush()
    assert logs.hub.messages == ["one"]


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [(None, "no answer for 0.01 s"), (Problem("unreachable", "x", 503), "unreachable: x")],
)
def test_records_that_wait_at_the_end_are_counted_on_stderr(
    make: Callable[..., Logs],
    capsys: pytest.CaptureFixture[str],
    trouble: Problem | None,
    reason: str,
) -> None:
    logs = make(exit_seconds=0.01, records=2)
    logs.block()
    logs.hub.trouble = trouble
    for each in ("waits", "waits", "does not fit"):
        logs.logger.info(each)
    logs.handler.close()
    logs.handler.close()
    told = f"eventhub_client.logging: logs.a: 4 records were not sent: {reason}\n"
    assert capsys.readouterr().err == told
    logs.hub.gate.set()
    assert logs.handler._sender is not None
    logs.handler._sender.join(SECONDS)
    assert logs.hub.messages == ["first"], "what was given up is not sent later"


def test_refused_records_that_no_record_tells_are_counted_at_the_end(
    make: Callable[..., Logs],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("eventhub_client.logging.PAUSE", 0.0)
    logs = make()
    refused = Forbidden(Problem("forbidden", "no grant", 403))
    logs.hub.outcomes = lambda count: [refused] * count
    logs.logger.info("one")
    logs.handler.close()
    told = capsys.readouterr().err.splitlines()
    assert told[1:] == [
        "eventhub_client.logging: logs.a: 1 record was not sent: forbidden: no grant"
    ]


@pytest.mark.parametrize("stderr", [None, "closed"])
def test_the_end_raises_nothing_without_a_standard_error(
    make: Callable[..., Logs], monkeypatch: pytest.MonkeyPatch, stderr: str | None
) -> None:
    logs = make(exit_seconds=0.01)
    logs.block()
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr("sys.stderr", None if stderr is None else closed)
    logs.handler.close()
    assert logs.handler._closed


def test_nothing_is_said_at_the_end_when_all_was_sent(
    make: Callable[..., Logs], capsys: pytest.CaptureFixture[str]
) -> None:
    logs = make()
    logs.logger.info("one")
    logs.handler.close()
    assert capsys.readouterr().err == ""


def test_a_flush_ends_although_the_hub_does_not_answer(make: Callable[..., Logs]) -> None:
    logs = make(exit_seconds=0.01)
    logs.block()
    logs.handler.flush()
    logs.handler.close()
    assert logs.hub.batches == []


def test_a_batch_without_an_answer_is_repeated_with_its_key(
    make: Callable[..., Logs], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eventhub_client.logging.PAUSE", 0.0)
    logs = make()
    lost = Unavailable(Problem("unreachable", "", 503))

    def first_lost(count: int) -> list[Outcome]:
        return [lost] * count if len(logs.hub.keys) == 1 else [RECEIPT] * count

    logs.hub.outcomes = first_lost
    logs.logger.info("one")
    logs.handler.flush()
    assert logs.hub.batches[0] == logs.hub.batches[1]
    assert logs.hub.keys[0] == logs.hub.keys[1]


def test_refused_records_are_counted_and_told_once_on_stderr(
    make: Callable[..., Logs],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert PAUSE > 0
    monkeypatch.setattr("eventhub_client.logging.PAUSE", 0.0)
    logs = make()
    refused = Forbidden(Problem("forbidden", "no grant", 403))
    logs.hub.outcomes = lambda count: [refused] * count
    for message in ("one", "two"):
        logs.logger.info(message)
        logs.handler.flush()
    assert capsys.readouterr().err == "eventhub_client.logging: logs.a: forbidden: no grant\n"
    logs.hub.outcomes = lambda count: [RECEIPT] * count
    logs.logger.info("three")
    logs.handler.flush()
    assert logs.hub.batches[-1][-1]["fields"] == {"dropped": 2}


def test_a_fault_within_sending_does_not_end_it(
    make: Callable[..., Logs], capsys: pytest.CaptureFixture[str]
) -> None:
    logs = make()

    def fault(count: int) -> list[Outcome]:
        raise RuntimeError("a token function")

    logs.hub.outcomes = fault
    logs.logger.info("one")
    logs.handler.flush()
    logs.hub.outcomes = lambda count: [RECEIPT] * count
    logs.logger.info("two")
    logs.handler.flush()
    assert "a token function" in capsys.readouterr().err
    assert logs.hub.batches[-1][-1]["fields"] == {"dropped": 1}


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_child_process_sends_its_own_records_and_not_its_parent_s(
    make: Callable[..., Logs],
) -> None:
    logs = make()
    logs.block()
    logs.logger.info("of the parent")
    child = os.fork()
    if child == 0:
        try:
            logs.hub.gate = threading.Event()
            logs.hub.gate.set()
            logs.logger.info("of the child")
            logs.handler.flush()
            os._exit(0 if logs.hub.messages == ["of the child"] else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    logs.hub.gate.set()
    logs.handler.flush()
    assert logs.hub.messages == ["first", "of the parent"]


def test_a_closed_handler_takes_no_more(make: Callable[..., Logs]) -> None:
    logs = make()
    logs.logger.info("one")
    logs.handler.close()
    logs.logger.info("two")
    logs.handler.flush()
    assert logs.hub.messages == ["one"]


def test_a_formatter_such_as_that_of_basic_config_leaves_the_message_alone(
    make: Callable[..., Logs],
) -> None:
    logs = make()
    logs.handler.setFormatter(logging.Formatter("%(levelname)s:%(name)s:%(message)s"))
    logs.logger.info("one")
    logs.handler.flush()
    assert logs.hub.messages == ["one"]
