"""The workers of one machine to one another: each answers with its metrics, so that a scrape of any one gives those of all.

A question is a datagram in the sibling's mailbox. It carries the way to answer: one end of a stream of its own. All of it is inherited from
the supervisor and nothing is in the file system, so there is nothing to protect, to find or to clean up.
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
"""A sibling that takes longer is left out, and counted."""


@dataclass(frozen=True, slots=True)
class WorkerSocket:
    """Where one worker is asked. The kernel bounds it; who finds it full counts the worker as unreachable."""

    put: socket.socket
    take: socket.socket

    @classmethod
    def open(cls) -> Self:
        """An empty one."""
        put, take = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        for sock in (put, take):
            sock.settimeout(0)
        return cls(put, take)


class WorkerMetrics:
    """All workers, seen from number `own`."""

    def __init__(self, own: int, mailboxes: Sequence[WorkerSocket], metrics: Metrics) -> None:
        self._own = own
        self._mailboxes = mailboxes
        self._metrics = metrics
        self._scrape: asyncio.Task[bytes] | None = None

    async def run(self) -> None:
        """Answer until cancelled."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as tasks:
            mailbox = self._mailboxes[self._own].take
            loop.add_reader(mailbox, self._asked, mailbox, tasks)
            try:
                await loop.create_future()
            finally:
                loop.remove_reader(mailbox)

    async def scrape(self) -> bytes:
        """The metrics of all, in the Prometheus text format. Whoever asks while one is under way gets that."""
        if self._scrape is None:
            self._scrape = asyncio.create_task(self._scraped())
            self._scrape.add_done_callback(self._over)
        return await asyncio.shield(self._scrape)

    def _over(self, scrape: asyncio.Task[bytes]) -> None:
        self._scrape = None
        if not scrape.cancelled():
            scrape.exception()  # whoever asked has it, or has gone

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
        with suppress(
            OSError, TimeoutError, ValueError
        ):  # ValueError: it ended in the middle of its answer
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
        with asker, suppress(OSError, TimeoutError):  # it is no longer there, or waits no longer
            async with asyncio.timeout(ANSWER_SECONDS):
                await asyncio.get_running_loop().sock_sendall(
                    asker, json.dumps(await self._metrics.dump()).encode()
                )


async def _all(sock: socket.socket) -> bytes:
    """What comes until it ends."""
    sock.settimeout(0)
    data = bytearray()
    while part := await asyncio.get_running_loop().sock_recv(sock, 65536):
        data += part
    return bytes(data)
