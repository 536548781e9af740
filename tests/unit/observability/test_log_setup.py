"""logs.py: lines of JSON where nobody looks, a console where somebody does, and one stream for all
loggers.
"""

import io
import json
import logging
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Literal

import pytest
import structlog

from eventhub.config.sections import Level, LogSettings
from eventhub.observability import log_setup

LOGGERS = ("uvicorn", "uvicorn.error", "eventhub")


@pytest.fixture(autouse=True)
def _apart() -> Iterator[None]:
    """Logging as it was afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    others = [
        (log, log.handlers, log.propagate, log.level, log.disabled)
        for log in map(logging.getLogger, LOGGERS)
    ]
    yield
    root.handlers, root.level = handlers, level
    for log, kept, propagate, log_level, disabled in others:
        log.handlers, log.propagate, log.level, log.disabled = kept, propagate, log_level, disabled
    structlog.reset_defaults()


class Terminal(io.StringIO):
    """A stream that somebody looks at."""

    def isatty(self) -> bool:
        return True


Output = io.StringIO


def configured(
    monkeypatch: pytest.MonkeyPatch, output: Output, settings: LogSettings | None = None
) -> Output:
    monkeypatch.setattr(sys, "stdout", output)
    log_setup.configure(settings or LogSettings())
    return output


def lines(output: Output) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.getvalue().splitlines()]


def log(name: str = "eventhub.test") -> Any:
    return structlog.get_logger(name)


def test_where_nobody_looks_a_fact_is_a_line_of_json(monkeypatch: pytest.MonkeyPatch) -> None:
    output = configured(monkeypatch, Output())
    log().info("listening", url="http://x", channels=["chat"], port=8000)
    (line,) = lines(output)
    moment = datetime.fromisoformat(line.pop("timestamp"))
    assert line == {
        "event": "listening", "url": "http://x", "channels": ["chat"], "port": 8000,
        "level": "info", "logger": "eventhub.test",
    }  # fmt: skip
    assert moment.utcoffset() == timedelta(0)


@pytest.mark.parametrize("value", ["a\nb", '"', "\x1b[31m", "é🦊"])
def test_what_a_stranger_wrote_cannot_begin_a_line_of_its_own(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    output = configured(monkeypatch, Output())
    log().info("seen", value=value)
    (line,) = lines(output)
    assert line["value"] == value


def test_a_value_that_is_not_json_is_shown_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    output = configured(monkeypatch, Output())
    log().info("seen", value=b"x", other=Output)
    (line,) = lines(output)
    assert line["value"] == "b'x'"


def test_on_a_terminal_a_fact_is_coloured_text(monkeypatch: pytest.MonkeyPatch) -> None:
    output = configured(monkeypatch, Terminal())
    log().info("listening", port=8000)
    text = output.getvalue()
    assert "listening" in text
    assert "8000" in text
    assert "\x1b[" in text
    assert not text.startswith("{")


@pytest.mark.parametrize("output", [Output, Terminal])
@pytest.mark.parametrize("form", ["json", "console"])
def test_the_format_can_be_chosen(
    monkeypatch: pytest.MonkeyPatch, output: type[Output], form: Literal["json", "console"]
) -> None:
    stream = configured(monkeypatch, output(), LogSettings(format=form))
    log().info("listening")
    text = stream.getvalue()
    assert text.startswith("{") == (form == "json")
    assert ("\x1b[" in text) == (form == "console" and output is Terminal), (
        "colours are for terminals"
    )


LEVELS: list[tuple[Level, int]] = [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)]


def speak() -> None:
    for name in ("debug", "info", "warning", "error"):
        getattr(log(), name)("own")
        getattr(logging.getLogger("library"), name)("foreign")


@pytest.mark.parametrize(("level", "shown"), LEVELS)
def test_what_is_below_the_level_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, level: Level, shown: int
) -> None:
    output = configured(monkeypatch, Output(), LogSettings(level=level))
    speak()
    events = [line["event"] for line in lines(output)]
    assert events.count("own") == shown
    assert events.count("foreign") == min(shown, 3), "at debug libraries would show payloads"
    assert log_setup.level() == level


def test_the_level_is_changed_while_loggers_are_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    output = configured(monkeypatch, Output(), LogSettings(level="error"))
    kept = structlog.get_logger("eventhub.kept")
    kept.error("first")
    log_setup.set_level("debug")
    kept.debug("second")
    log_setup.set_level("warning")
    kept.info("never")
    logging.getLogger("library").info("never")
    logging.getLogger("library").warning("third")
    assert [line["event"] for line in lines(output)] == ["first", "second", "third"]
    assert log_setup.level() == "warning"


def test_lines_of_libraries_look_like_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    output = configured(monkeypatch, Output())
    logging.getLogger("some.library").warning("took %d ms", 5)
    (line,) = lines(output)
    assert {key: line[key] for key in ("event", "level", "logger")} == {
        "event": "took 5 ms", "level": "warning", "logger": "some.library",
    }  # fmt: skip
    assert "timestamp" in line


def test_an_exception_is_a_field_of_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    output = configured(monkeypatch, Output())
    try:
        raise ValueError("no")
    except ValueError:
        log().exception("failed")
        logging.getLogger("library").exception("failed")
    for line in lines(output):
        assert line["event"] == "failed"
        assert line["exception"].startswith("Traceback")
        assert line["exception"].endswith("ValueError: no")


@pytest.mark.parametrize("output", [Output, Terminal])
@pytest.mark.parametrize("form", ["json", "console"])
def test_an_exception_never_shows_the_values_of_variables(
    monkeypatch: pytest.MonkeyPatch, output: type[Output], form: Literal["json", "console"]
) -> None:
    stream = configured(monkeypatch, output(), LogSettings(format=form))
    password = "s3cr" + "et"
    try:
        raise ValueError(f"the password has {len(password)} characters")
    except ValueError:
        log().exception("failed")
        logging.getLogger("library").exception("failed")
    assert "6 characters" in stream.getvalue()
    assert password not in stream.getvalue()


def test_context_of_a_task_is_on_every_line(monkeypatch: pytest.MonkeyPatch) -> None:
    output = configured(monkeypatch, Output())
    with structlog.contextvars.bound_contextvars(session="s1"):
        log().info("own")
        logging.getLogger("library").info("foreign")
    assert [line["session"] for line in lines(output)] == ["s1", "s1"]


def test_uvicorn_says_only_what_is_worth_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    output = configured(monkeypatch, Output())
    for name in LOGGERS[:2]:
        logging.getLogger(name).addHandler(logging.StreamHandler(io.StringIO()))
    log_setup.configure(LogSettings())
    logging.getLogger("uvicorn.error").info("Started server process")
    logging.getLogger("uvicorn.error").warning("Invalid request")
    assert [(line["event"], line["logger"]) for line in lines(output)] == [
        ("Invalid request", "uvicorn.error")
    ]


def test_uvicorn_follows_a_level_above_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    output = configured(monkeypatch, Output(), LogSettings(level="error"))
    logging.getLogger("uvicorn.error").warning("Invalid request")
    assert lines(output) == []


def test_setting_up_again_replaces_what_was_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    first = configured(monkeypatch, Output())
    second = configured(monkeypatch, Output())
    log().info("once")
    assert (len(lines(first)), len(lines(second))) == (0, 1)
    assert len(logging.getLogger().handlers) == 1
