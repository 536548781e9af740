"""Whether somebody still reads the standard output."""

import os
import select
import signal
import stat
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def ends_with_its_reader() -> Iterator[None]:
    """Raise BrokenPipeError when the reader of a pipe has gone, also while nothing is printed."""
    try:
        output = sys.stdout.fileno()
        is_pipe = stat.S_ISFIFO(os.fstat(output).st_mode)
    except (OSError, ValueError):  # there is none
        is_pipe = False
    if not is_pipe or threading.current_thread() is not threading.main_thread():
        yield
        return
    gone = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        if gone.is_set():  # a connection that breaks while it is written to sends the signal, too
            raise KeyboardInterrupt  # no error of a connection, which the client would mend

    # SIGPIPE and not SIGINT: a shell starts its background jobs with SIGINT ignored.
    before = signal.signal(signal.SIGPIPE, end)
    threading.Thread(target=_watch, args=(output, gone), daemon=True).start()
    try:
        yield
    except KeyboardInterrupt:
        if gone.is_set():
            raise BrokenPipeError from None
        raise
    finally:
        signal.signal(signal.SIGPIPE, before)


def _watch(output: int, gone: threading.Event) -> None:
    poll = select.poll()
    poll.register(output, 0)  # an error is always reported
    poll.poll()
    gone.set()
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGPIPE)
