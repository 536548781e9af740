"""Work beside a test, in a thread."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


@contextmanager
def repeated(
    work: Callable[[], object], pause: float = 0, ignoring: tuple[type[Exception], ...] = ()
) -> Iterator[None]:
    """Again and again, with so many seconds between, until the context ends; then what `work`
    raised is raised.
    """
    over = threading.Event()
    failures: list[Exception] = []

    def run() -> None:
        while not over.is_set() and not failures:
            try:
                with suppress(*ignoring):
                    work()
            except Exception as failure:
                failures.append(failure)
            over.wait(pause)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    if failures:
        raise failures[0]
