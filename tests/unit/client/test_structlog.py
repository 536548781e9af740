"""eventhub_client/logging.py: the processor of structlog, with structlog itself."""

import json
import logging
import os
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
import structlog

from eventhub_client.logging import Bounds, StructlogProcessor
from eventhub_client.records import EVENT_BYTES, event_of_fields
from tests.unit.client.log_hub import SECONDS, FakeHub

Processor = tuple[StructlogProcessor, FakeHub]


@pytest.fixture(name="processor")
def processor_fixture() -> Iterator[Processor]:
    bounds = Bounds(records=10, exit_seconds=SECONDS)
    processor, hub = StructlogProcessor("http://localhost:1", "logs.a", bounds=bounds), FakeHub()
    processor._handler._hub = hub  # type: ignore[assignment]
    yield processor, hub
    hub.gate.set()
    processor.close()


def logger(*processors: Any) -> Any:
    return structlog.wrap_logger(
        structlog.ReturnLogger(), processors=[*processors, structlog.processors.JSONRenderer()]
    )


def sent(method: str, **event: Any) -> dict[str, Any]:
    found = json.loads(event_of_fields(method, event))
    assert isinstance(found, dict)
    return found


def test_a_copy_is_sent_and_the_event_goes_on(processor: Processor) -> None:
    take, hub = processor
    log = logger(
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso"),
        take,
    )
    rendered = json.loads(log.warning("slow", seconds=1.5, nan=float("nan")))
    take.flush()
    ((event,),) = hub.batches
    time = event.pop("time")
    assert event == {
        "level": "warning",
        "message": "slow",
        "fields": {"seconds": 1.5, "nan": "nan"},
    }
    assert rendered["timestamp"][:23] == time[:23]


def test_what_does_not_fit_is_dropped_and_said_and_the_application_never_waits(
    processor: Processor,
) -> None:
    take, hub = processor
    log = logger(take)
    hub.gate.clear()
    log.info("first")
    assert hub.entered.wait(SECONDS)
    for number in range(100):
        log.info(str(number))
    hub.gate.set()
    take.flush()
    assert [each for each in hub.messages if each.isdecimal()] == list(map(str, range(10)))
    assert hub.batches[-1][-1]["fields"] == {"dropped": 90}


def test_what_sending_logs_itself_is_not_sent(processor: Processor) -> None:
    take, hub = processor
    hub.logs = logging.Logger("httpx")
    log = logger(take)

    class Twice(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            log.info(record.getMessage())

    hub.logs.addHandler(Twice())
    log.info("once")
    take.flush()
    take.flush()
    assert hub.messages == ["once"]


def test_events_that_wait_at_the_end_are_counted_on_stderr(
    capsys: pytest.CaptureFixture[str],
) -> None:
    bounds = Bounds(exit_seconds=0.01)
    take, hub = StructlogProcessor("http://localhost:1", "logs.a", bounds=bounds), FakeHub()
    take._handler._hub = hub  # type: ignore[assignment]
    hub.gate.clear()
    logger(take).info("first")
    take.close()
    hub.gate.set()
    told = "eventhub_client.logging: logs.a: 1 record was not sent: no answer for 0.01 s\n"
    assert capsys.readouterr().err == told


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_after_a_fork_each_process_sends_its_own(processor: Processor) -> None:
    take, hub = processor
    log = logger(take)
    log.info("parent")
    take.flush()
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        try:
            hub.batches.clear()
            log.info("child")
            take.flush()
            os.write(writing, json.dumps(hub.messages).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert json.loads(os.read(reading, 1000)) == ["child"]
    os.close(reading)
    os.close(writing)
    assert hub.messages == ["parent"]


@pytest.mark.parametrize(
    ("method", "level", "kept"),
    [
        ("info", None, "info"),
        ("warn", None, "warning"),
        ("exception", None, "error"),
        ("msg", "CRITICAL", "critical"),
        ("msg", "fatal", "critical"),
        ("msg", "strange", "info"),
    ],
)
def test_each_level_is_one_of_the_payload(method: str, level: str | None, kept: str) -> None:
    given = {} if level is None else {"level": level}
    assert sent(method, event="x", **given)["level"] == kept


def test_an_exception_is_a_field_in_each_form_that_structlog_has() -> None:
    try:
        raise KeyError("lost")
    except KeyError as error:
        forms: tuple[Any, ...] = (True, error, (type(error), error, error.__traceback__))
        for form in forms:
            assert "KeyError: 'lost'" in sent("error", exc_info=form)["fields"]["exception"]
    assert sent("error", exception="formatted")["fields"] == {"exception": "formatted"}
    assert "fields" not in sent("error", exc_info=False)
    assert "fields" not in sent("error", exc_info=True), "there is none"


@pytest.mark.parametrize(
    "timestamp", ["2026-11-22T20:06:00.123456Z", "2026-11-22T21:06:00.123+01:00", 1795377960.123]
)
def test_a_timestamp_is_kept(timestamp: object) -> None:
    assert sent("info", event="x", timestamp=timestamp)["time"] == "2026-11-22T20:06:00.123Z"


@pytest.mark.parametrize("timestamp", [None, "12:00", "2026-11-22T20:06:00", float("nan"), 1e300])
def test_another_timestamp_is_replaced_by_now(timestamp: object) -> None:
    found = sent("info", event="x", timestamp=timestamp)["time"]
    assert datetime.fromisoformat(found).tzinfo is not None


class Broken:
    def __str__(self) -> str:
        raise RuntimeError

    __repr__ = __str__


def test_whatever_an_event_holds_it_becomes_bounded_json() -> None:
    circle: list[object] = []
    circle.append(circle)
    values = {"event": Broken(), "logger": Broken(), "circle": circle, "large": "x" * 10**6}
    event = sent("info", **values, deep={1: Broken()}, many=list(range(10**5)), _record="left out")
    assert event["message"] == "<Broken without a representation>"
    assert "_record" not in event["fields"]
    assert len(json.dumps(event)) <= EVENT_BYTES + 100
