"""A handler of `logging`, and a processor of structlog, that send records to a channel.

They never block the application.
Records wait in a bounded queue, and a daemon thread sends them in batches. A record that does not
fit is dropped and counted; the next batch has a record that says how many were.
"""

import logging
import math
import os
import queue
import sys
import threading
import time
import traceback
import uuid
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from eventhub_client.errors import HubError, Problem, Unavailable, error
from eventhub_client.payloads import Encoded
from eventhub_client.records import dropped_notice, event_of_fields, event_of_record
from eventhub_client.sync import SyncHub

BATCH = 500
LINGER = 0.2
"""Seconds that a batch waits for more records."""
ATTEMPT_SECONDS = 30.0
"""Then the same batch is tried again."""
PAUSE = 1.0
"""Seconds after a batch that was refused as a whole."""
THREAD = "eventhub-logging"
"""The name of each thread that sends. Its records keep the name when another thread handles them,
as with QueueListener.
"""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What may wait, and how long the end of the program waits for it."""

    records: int = 10_000
    bytes: int = 8 << 20
    exit_seconds: float = 5.0


class Handler(logging.Handler):
    """Sends records to a channel with the payload `log`, such as `logs.api`.

    A formatter is not used: level, logger, time and traceback have fields of their own.
    """

    def __init__(
        self,
        url: str,
        channel: str,
        *,
        token: str | Callable[[], str] | None = None,
        key: str | None = None,
        bounds: Bounds = Bounds(),  # frozen
    ) -> None:
        super().__init__()
        self._hub = _LogHub(url, token=token, key=key)
        self._channel = channel
        self._bounds = bounds
        self._sender: _Sender | None = None
        self._process = 0
        self._closed = False

    def filter(self, record: logging.LogRecord) -> Any:
        """Not what sending itself logs, by any handler: two would send each other's for ever.

        This is asked before the handler's lock is taken.
        """
        return False if THREAD in (record.threadName, _thread()) else super().filter(record)

    def emit(self, record: logging.LogRecord) -> None:
        if self._closed:
            return
        try:
            self._running().put(event_of_record(record))
        except Exception:
            self.handleError(record)

    def take(self, event: Callable[[], bytes]) -> None:
        """An event of the payload `log`, as JSON, from another kind of logger."""
        if _thread() == THREAD:
            return
        self.acquire()  # a lock that logging makes anew after a fork
        try:
            if not self._closed:
                self._running().put(event())
        except Exception:
            if logging.raiseExceptions:
                traceback.print_exc()
        finally:
            self.release()

    def flush(self) -> None:
        """Wait until all records are sent, at most for `exit_seconds`."""
        if self._sender is not None and self._process == os.getpid():
            self._sender.flush(self._bounds.exit_seconds)

    def close(self) -> None:
        """Send what waits, as `flush` does, end the thread, and say how many were not sent."""
        if not self._closed:
            self._closed = True
            self.flush()
            if self._sender is not None and self._process == os.getpid():
                self._sender.end()
        super().close()

    def _running(self) -> "_Sender":
        """The thread of this process: after a fork, the records of the parent are the parent's."""
        if self._sender is None or self._process != os.getpid():
            self._process = os.getpid()
            self._sender = _Sender(self._hub, self._channel, self._bounds)
            self._sender.start()
        return self._sender


class StructlogProcessor:
    """A processor of structlog: it sends a copy of each event and passes the event on.

    Put it before the renderer. What the processors before it have added becomes fields.
    """

    def __init__(
        self,
        url: str,
        channel: str,
        *,
        token: str | Callable[[], str] | None = None,
        key: str | None = None,
        bounds: Bounds = Bounds(),  # frozen
    ) -> None:
        self._handler = Handler(url, channel, token=token, key=key, bounds=bounds)

    def __call__(
        self, logger: Any, name: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """`name` is the method of the logger, such as `info`."""
        self._handler.take(lambda: event_of_fields(name, event))
        return event

    def flush(self) -> None:
        """As `Handler.flush`."""
        self._handler.flush()

    def close(self) -> None:
        """As `Handler.close`. The end of the program does it, too."""
        self._handler.close()


class _LogHub(SyncHub):
    @property
    def trouble(self) -> Problem | None:
        """Why the newest request was in vain: a call that repeats it has not told it yet."""
        return self._client.trouble


class _Sender(threading.Thread):
    """The queue and its thread.

    SimpleQueue may be put into from a signal handler and a finalizer, and never blocks. The threads
    that log write `_accepted`, `_put` and `_overflowed`, under the handler's lock; this thread the
    others.
    """

    def __init__(self, hub: _LogHub, channel: str, bounds: Bounds) -> None:
        super().__init__(name="eventhub-logging", daemon=True)
        self._hub, self._channel, self._bounds = hub, channel, bounds
        self._queue: queue.SimpleQueue[bytes | threading.Event | None] = queue.SimpleQueue()
        self._accepted = self._taken = 0  # bytes
        self._put = self._settled = 0  # records
        self._overflowed = self._refused = self._reported = 0  # records
        self._complaints: dict[str, str] = {}
        self._late = -math.inf
        self._ending = False

    def put(self, event: bytes) -> None:
        waiting = self._accepted - self._taken
        if self._queue.qsize() >= self._bounds.records or waiting + len(event) > self._bounds.bytes:
            self._overflowed += 1
            return
        self._accepted += len(event)
        self._put += 1
        self._queue.put(event)

    def flush(self, seconds: float) -> None:
        """Wait. At the end of a program `flush` and `close` wait once, if it was in vain."""
        if not self._ending and time.monotonic() - self._late > PAUSE:
            sent = threading.Event()
            self._queue.put(sent)
            if not sent.wait(seconds):
                self._late = time.monotonic()

    def end(self) -> None:
        """No further attempt is made. What was not sent is said once."""
        waiting, dropped = self._put - self._settled, self._dropped
        self._ending = True
        self._queue.put(None)
        if waiting:
            trouble = self._hub.trouble
            reason = (
                str(error(trouble)) if trouble else f"no answer for {self._bounds.exit_seconds:g} s"
            )
        elif self._refused:
            reason = [*self._complaints.values()][-1]
        else:
            reason = "the queue was full"
        if lost := waiting + dropped:
            what = "1 record was" if lost == 1 else f"{lost} records were"
            self._say(f"{what} not sent: {reason}")

    @property
    def _dropped(self) -> int:
        """Records that are lost, which no record has told."""
        return self._overflowed + self._refused - self._reported

    def run(self) -> None:
        last: bytes | threading.Event | None = b""
        while last is not None and not self._ending:
            batch, last = self._batch()
            try:
                self._send(batch)
            except Exception as failure:  # a token function, or a fault of ours: logging goes on
                self._refuse(len(batch), repr(failure), type(failure).__name__)
            self._taken += sum(map(len, batch))
            self._settled += len(batch)
            if isinstance(last, threading.Event):
                last.set()

    def _batch(self) -> tuple[list[bytes], bytes | threading.Event | None]:
        """The next records, and what ended the batch: a flush, the end, or nothing."""
        item = self._queue.get()
        batch, until = list[bytes](), time.monotonic() + LINGER
        while isinstance(item, bytes):
            batch.append(item)
            if len(batch) == BATCH:
                return batch, b""
            try:
                item = self._queue.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                return batch, b""
        return batch, item

    def _send(self, batch: list[bytes]) -> None:
        dropped = self._dropped
        if not batch and not dropped:
            return
        notice = [dropped_notice(dropped, time.time())] if dropped else []
        events, key = [Encoded(each) for each in [*batch, *notice]], uuid.uuid4().hex
        while True:
            outcomes = self._hub.publish_many(
                self._channel, events, key=key, timeout=ATTEMPT_SECONDS
            )
            if not any(isinstance(each, Unavailable) for each in outcomes):
                break
            if self._ending:
                return
            time.sleep(PAUSE)
        errors = [each for each in outcomes if isinstance(each, HubError)]
        if not (notice and isinstance(outcomes[-1], HubError)):
            self._reported += dropped
        if errors:
            refused = sum(isinstance(each, HubError) for each in outcomes[: len(batch)])
            self._refuse(refused, str(errors[0]), errors[0].code)
            if len(errors) == len(outcomes):
                time.sleep(PAUSE)

    def _refuse(self, count: int, said: str, kind: str) -> None:
        """Count lost records, and say why once for each kind of reason."""
        self._refused += count
        if kind not in self._complaints:
            self._complaints[kind] = said
            self._say(said)

    def _say(self, text: str) -> None:
        with suppress(Exception):  # there may be no standard error, or it is closed
            sys.stderr.write(f"eventhub_client.logging: {self._channel}: {text}\n")


def _thread() -> str:
    return threading.current_thread().name
