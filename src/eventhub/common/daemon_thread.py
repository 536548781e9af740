"""Calls that may never return, for example because they wait for a peer.

They run in daemon threads: a process that ends waits for the threads of the loop's executor.
"""

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


def run_in_daemon_thread(call: Callable[[], T], name: str) -> "Future[T]":
    """Call `call` in a daemon thread. The future is done when the call returns.

    A caller that stops waiting leaves the thread behind.
    """
    answer: Future[T] = Future()
    answer.set_running_or_notify_cancel()  # it can no longer be cancelled
    Thread(target=_run, args=(call, answer), name=name, daemon=True).start()
    return answer


def _run(call: Callable[[], T], answer: "Future[T]") -> None:
    try:
        answer.set_result(call())
    except BaseException as error:  # given to the waiting caller, as an executor does
        answer.set_exception(error)
    finally:
        # The error refers to this frame: without this, a cycle would keep its objects open.
        del answer
