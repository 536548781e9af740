"""Sets up logging: our logs and those of libraries, as JSON lines or, on a terminal, in colours."""

import logging
import sys
from typing import Any, cast

import structlog

from eventhub.config.sections import Level, LogSettings
from eventhub.observability.json_lines import JsonLines

OURS = "eventhub"
"""Parent of all loggers of this project."""


def configure(settings: LogSettings) -> None:
    """Set up logging for this process."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    console = settings.format == "console" or (settings.format == "auto" and sys.stdout.isatty())
    if console:
        renderers: list[Any] = [
            structlog.dev.ConsoleRenderer(
                colors=sys.stdout.isatty(), exception_formatter=structlog.dev.plain_traceback
            )
        ]
    else:
        renderers = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
    )
    handler = logging.StreamHandler(sys.stdout) if console else JsonLines(sys.stdout)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).handlers = []
        logging.getLogger(name).propagate = True
    set_level(settings.level)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def set_level(level: Level) -> None:
    """Set the level from now on.

    Libraries stay at info or above: at debug some of them log payloads and credentials.
    """
    ours = logging.getLevelNamesMapping()[level.upper()]
    logging.getLogger(OURS).setLevel(ours)
    logging.getLogger().setLevel(max(logging.INFO, ours))
    # EventHub itself logs the facts that uvicorn logs at info.
    logging.getLogger("uvicorn.error").setLevel(max(logging.WARNING, ours))


def level() -> Level:
    """Return the current level."""
    return cast(Level, logging.getLevelName(logging.getLogger(OURS).getEffectiveLevel()).lower())


def json_lines() -> JsonLines | None:
    """Where logs go, if that is nothing but lines of JSON."""
    handlers = logging.getLogger().handlers
    only = handlers[0] if len(handlers) == 1 else None
    return only if isinstance(only, JsonLines) else None


def printable(text: str) -> str:
    """Return a client's text for a log line, with control characters escaped."""
    return text if text.isprintable() else text.encode("unicode_escape").decode()
