"""server/connections/access_log.py: which requests have a line, and what it says."""

import asyncio
import io
import logging
import re
import sys
from typing import Any

import pytest
import structlog
from starlette.types import Message

from eventhub.config.sections import Level, LogSettings
from eventhub.observability import log_setup
from eventhub.server.connections import access_log
from eventhub.server.connections.access_log import AccessLog, note


def written(settings: LogSettings, statuses: list[int], chance: float = 0.5) -> list[int]:
    log = AccessLog(settings, lambda: chance)
    with structlog.testing.capture_logs() as lines:
        for status in statuses:
            log.write("GET", "/", status, "192.0.2.1")
    return [line["status"] for line in lines]


@pytest.mark.parametrize(
    ("on", "share", "statuses"),
    [
        (1, 1.0, [200, 404, 500, 503]),
        (1, 0.51, [200, 404, 500, 503]),
        (1, 0.5, [500, 503]),
        (1, 0.0, [500, 503]),
        (0, 1.0, []),
    ],
)
def test_a_share_of_requests_has_a_line_and_faults_of_ours_always(
    on: int, share: float, statuses: list[int]
) -> None:
    assert (
        written(LogSettings(access=bool(on), access_share=share), [200, 404, 500, 503]) == statuses
    )


def test_a_share_of_all_leaves_none_out_however_the_dice_fall() -> None:
    assert written(LogSettings(access=True), [200], chance=0.999999) == [200]


def test_a_probe_that_finds_all_well_has_no_line_and_any_other_has_one() -> None:
    log = AccessLog(LogSettings(access=True))
    with structlog.testing.capture_logs() as lines:
        for path in ("/livez", "/readyz", "/metrics", "/v1/types"):
            for status in (200, 401, 503):
                log.write("GET", path, status, "192.0.2.1")
    with_a_line = [
        (path, status) for path in ("/livez", "/readyz", "/metrics") for status in (401, 503)
    ]
    assert [(line["path"], line["status"]) for line in lines] == [
        *with_a_line,
        *(("/v1/types", status) for status in (200, 401, 503)),
    ]


def lines(messages: list[Message], scope: dict[str, Any], **known: str) -> list[Any]:
    async def scenario() -> None:
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        watched = AccessLog(LogSettings(access=True)).watch(scope, send)
        note({**scope}, **known)  # what is in between makes scopes of its own
        for message in messages:
            await watched(message)
        assert sent == messages

    with structlog.testing.capture_logs() as found:
        asyncio.run(scenario())
    return found


START, BODY = (
    {"type": "http.response.start", "status": 200},
    {"type": "http.response.body", "body": b""},
)


def test_a_line_is_written_once_when_the_answer_begins_with_what_is_known_by_then() -> None:
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/v1/sse",
        "query_string": b"access_token=secret",
        "client": ("192.0.2.1", 1),
    }
    (line,) = lines([START, BODY, BODY], scope, session="s1", trace_id="t1")
    assert line == {
        "event": "request", "log_level": "info", "method": "GET", "path": "/v1/sse", "status": 200,
        "client": "192.0.2.1", "session": "s1", "trace_id": "t1",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("message", "status"), [("websocket.accept", 101), ("websocket.close", 403)]
)
def test_a_websocket_under_another_server_has_the_status_of_its_handshake(
    message: str, status: int
) -> None:
    scope = {"type": "websocket", "path": "/v1/ws", "client": ("192.0.2.1", 1)}
    (line,) = lines([{"type": message}, {"type": "websocket.close"}], scope)
    assert (line["method"], line["status"], "session" in line) == ("GET", status, False)


def test_without_an_access_log_there_is_nothing_to_note() -> None:
    scope: dict[str, Any] = {"type": "http"}
    note(scope, session="s1")
    assert scope == {"type": "http"}


def output_of(
    monkeypatch: pytest.MonkeyPatch, write: Any, level: Level = "info", **context: Any
) -> str:
    """What a process writes to its log, without the times."""
    output, root = io.StringIO(), logging.getLogger()
    handlers, before = root.handlers, root.level
    monkeypatch.setattr(sys, "stdout", output)
    log_setup.configure(LogSettings(format="json", level=level))
    try:
        with structlog.contextvars.bound_contextvars(**context):
            write()
    finally:
        structlog.reset_defaults()
        root.handlers = handlers
        root.setLevel(before)
        logging.getLogger("eventhub").setLevel(logging.NOTSET)
        logging.getLogger("uvicorn.error").setLevel(logging.NOTSET)
    return re.sub(r"[0-9-]+T[0-9:.]+Z", "time", output.getvalue())


FIELDS: list[tuple[tuple[str, str, int, str], dict[str, Any]]] = [
    (("POST", "/v1/channels/chat.a", 201, "192.0.2.1"), {}),
    (("GET", '/v1/é"\\\n\x1b🦊\ud800', 404, ""), {"session": 's"1', "trace_id": None}),
]


@pytest.mark.parametrize(("line", "known"), FIELDS)
@pytest.mark.parametrize("context", [{}, {"worker": 3}])
def test_a_line_of_json_is_the_line_that_structlog_writes(
    monkeypatch: pytest.MonkeyPatch,
    line: tuple[str, str, int, str],
    known: dict[str, Any],
    context: dict[str, Any],
) -> None:
    log = AccessLog(LogSettings(access=True))

    def ours() -> None:
        log.write(*line, **known)

    def theirs() -> None:
        with monkeypatch.context() as patched:
            patched.setattr(access_log, "json_lines", lambda: None)
            patched.setattr(access_log, "log", structlog.get_logger("eventhub.access"))
            ours()

    text = output_of(monkeypatch, ours, **context)
    assert text == output_of(monkeypatch, theirs, **context)
    assert text.count("\n") == 1
    assert ('"worker": 3' in text) == bool(context)


def test_above_info_nothing_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    log = AccessLog(LogSettings(access=True))
    assert output_of(monkeypatch, lambda: log.write("GET", "/", 200, ""), "warning") == ""
