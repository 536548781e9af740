"""Gathers the metrics of all workers, so that a scrape of any worker returns them all.

A worker asks another with a datagram to its mailbox. The datagram carries one end of a stream for
the answer. All sockets are inherited from the supervisor, so there is nothing in the file system to
protect or to clean up.
"""

import asyncio
import json
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from eventhub.observability.metrics import Dump, Metrics, exposition

ANSWER_SECONDS = 1.0
"""A worker that takes longer is left out and counted as unreachable."""


@dataclass(frozen=True, slots=True)
class WorkerSocket:
    """One worker's mailbox. The kernel bounds it; a worker with a full mailbox is unreachable."""

    put: socket.socket
    take: socket.socket

    @classmethod
    def open(cls) -> Self:
        """Open an empty mailbox."""
        put, take = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        for sock in (put, take):
            sock.settimeout(0)
        return cls(put, take)


class WorkerMetrics:
    """All workers, as seen by worker number `own`."""

    def __init__(self, own: int, mailboxes: Sequence[WorkerSocket], metrics: Metrics) -> None:
        self._own = own
        self._mailboxes = mailboxes
        self._metrics = metrics
        self._scrape: asyncio.Task[bytes] | None = None

    async def run(self) -> None:
        """Answer questions of other workers until cancelled."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as tasks:
            mailbox = self._mailboxes[self._own].take
            loop.add_reader(mailbox, self._asked, mailbox, tasks)
            try:
                await loop.create_future()
            finally:
                loop.remove_reader(mailbox)

    async def scrape(self) -> bytes:
        """Return the metrics of all workers in the Prometheus text format.

        Concurrent calls share one scrape.
        """
        if self._scrape is None:
            self._scrape = asyncio.create_task(self._scraped())
            self._scrape.add_done_callback(self._over)
        return await asyncio.shield(self._scrape)

    def _over(self, scrape: asyncio.Task[bytes]) -> None:
        self._scrape = None
        if not scrape.cancelled():
            scrape.exception()  # the callers have it, or have gone

    async def _scraped(self) -> bytes:
        others = [number for number in range(len(self._mailboxes)) if number != self._own]
        answers = await asyncio.gather(*map(self._ask, others))
        dumps = {self._own: await self._metrics.dump()} | {
            number: dump for number, dump in zip(others, answers, strict=True) if dump is not None
        }
        return await exposition(
            dict(sorted(dumps.items())), unreachable=len(self._mailboxes) - len(dumps)
        )

    async def _ask(self, number: int) -> Dump | None:
        # ValueError: the other worker ended in the middle of its answer.
        with suppress(OSError, TimeoutError, ValueError):
            ours, theirs = socket.socketpair()
            with ours:
                with theirs:
                    socket.send_fds(self._mailboxes[number].put, [b"?"], [theirs.fileno()])
                async with asyncio.timeout(ANSWER_SECONDS):
                    answer: Dump = json.loads(await _all(ours))
                    return answer
        return None

    def _asked(self, mailbox: socket.socket, tasks: asyncio.TaskGroup) -> None:
        with suppress(BlockingIOError):
            for fd in socket.recv_fds(mailbox, 1, 1)[1]:
                answer = self._answer(socket.socket(fileno=fd))
                tasks.create_task(
                    self._metrics.faults.contained("siblings", answer, lambda _: None)
                )

    async def _answer(self, asker: socket.socket) -> None:
        asker.settimeout(0)
        with asker, suppress(OSError, TimeoutError):  # it has ended, or stopped waiting
            async with asyncio.timeout(ANSWER_SECONDS):
                await asyncio.get_running_loop().sock_sendall(
                    asker, json.dumps(await self._metrics.dump()).encode()
                )


async def _all(sock: socket.socket) -> bytes:
    """Read until the end of the stream."""
    sock.settimeout(0)
    data = bytearray()
    while part := await asyncio.get_running_loop().sock_recv(sock, 65536):
        data += part
    return bytes(data)
