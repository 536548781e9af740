"""Reads ahead of the network: a thread reads, and what is there becomes a batch."""

import threading
from collections.abc import Iterator
from queue import Empty, Queue
from typing import Generic, TypeVar

T = TypeVar("T")
BOUND = 2000
"""Items that are read ahead of what is sent. A source that is faster waits."""


class ReadAhead(Generic[T]):
    """Batches of a source that may be slow, such as standard input."""

    def __init__(self, source: Iterator[T]) -> None:
        self._items: Queue[T | _End] = Queue(BOUND)
        self._end: _End | None = None
        threading.Thread(target=self._read, args=(source,), daemon=True).start()

    def batch(self, size: int) -> list[T]:
        """Waits for one item, and takes at most `size` of those that are there. Empty: the end.

        Raises what the source raised, after all that was read before it.
        """
        found: list[T] = []
        while len(found) < size and self._end is None:
            try:
                item = self._items.get(block=not found)
            except Empty:
                break
            if isinstance(item, _End):
                self._end = item
            else:
                found.append(item)
        if not found and self._end is not None and self._end.error is not None:
            raise self._end.error
        return found

    def _read(self, source: Iterator[T]) -> None:
        error = None
        try:
            for item in source:
                self._items.put(item)
        except Exception as failure:  # the reader of the batches raises it
            error = failure
        self._items.put(_End(error))


class _End:
    def __init__(self, error: Exception | None) -> None:
        self.error = error
