"""Calls that may not end, such as those that wait for a peer. A thread of the loop's executor would be waited for when the process ends."""

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


def run_in_daemon_thread(call: Callable[[], T], name: str) -> "Future[T]":
    """Call it in a daemon thread. Whoever stops waiting for the future leaves the thread behind; it is done when the call has ended."""
    answer: Future[T] = Future()
    answer.set_running_or_notify_cancel()  # from now on nobody cancels it
    Thread(target=_run, args=(call, answer), name=name, daemon=True).start()
    return answer


def _run(call: Callable[[], T], answer: "Future[T]") -> None:
    try:
        answer.set_result(call())
    except BaseException as error:  # as an executor does: it is for whoever waits
        answer.set_exception(error)
    finally:
        del (
            answer
        )  # the error has this frame: a cycle, and what it holds would stay open until it is found
