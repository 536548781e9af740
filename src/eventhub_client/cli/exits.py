"""How a command ends: its exit code, and one line on standard error instead of a traceback.

The codes are in docs/command-line.md. A reader of the output that has gone is no error.
"""

import functools
import logging
import os
import sys
from collections.abc import Callable
from typing import NoReturn, ParamSpec

import typer

from eventhub_client.errors import HubError, InvalidData, Unavailable

REFUSED = 1
USAGE = 2
UNAVAILABLE = 3
COMMAND_FAILED = 4
INTERRUPTED = 130

Parameters = ParamSpec("Parameters")


def say(text: str) -> None:
    """A line on standard error."""
    typer.echo(f"eventhub: {text}", err=True)


def fail(text: str, code: int = USAGE) -> NoReturn:
    """Say what is wrong and exit."""
    say(text)
    raise typer.Exit(code)


def command(function: Callable[Parameters, None]) -> Callable[Parameters, None]:
    """A command whose errors end it with a line and a code of the table above."""

    @functools.wraps(function)
    def run(*arguments: Parameters.args, **options: Parameters.kwargs) -> None:
        _say_what_the_client_logs()
        try:
            function(*arguments, **options)
            sys.stdout.flush()
        except BrokenPipeError:
            # The interpreter flushes once more at its end, and must not fail again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None
        except Unavailable as error:
            fail(str(error), UNAVAILABLE)
        except InvalidData as error:
            fail(error.message, REFUSED)
        except HubError as error:
            fail(str(error), REFUSED)
        except (OSError, ValueError) as error:
            fail(str(error))

    return run


class _Lines(logging.Handler):
    """What the client logs, as lines on standard error; the same one after another only once."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._last = ""

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if text != self._last:
            self._last = text
            say(text)


def _say_what_the_client_logs() -> None:
    log = logging.getLogger("eventhub_client")
    if not log.handlers:
        log.addHandler(_Lines())
        log.propagate = False
