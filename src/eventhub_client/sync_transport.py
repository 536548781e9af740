"""The client without an event loop. Each method blocks, and no coroutine ever waits."""

import os
import queue
import ssl
import threading
import time
from collections.abc import Coroutine, Mapping
from contextlib import ExitStack, suppress
from typing import Any

import httpx
from websockets.sync.client import connect

from eventhub_client.steps import Answer, Reply, Request, Silence, Unreachable
from eventhub_client.tls_socket import SafeConnection
from eventhub_client.transport import run
from eventhub_client.wire import (
    FAILED,
    TRANSIENT,
    answer_of,
    closed_of,
    message_of,
    options,
    unreachable,
)


class SyncSocket:
    """A WebSocket."""

    def __init__(self, url: str, headers: Mapping[str, str], tls: ssl.SSLContext | None) -> None:
        self._context = ExitStack()  # of the library: without one, it warns
        self._connection = self._context.enter_context(
            connect(
                url,
                additional_headers=headers,
                create_connection=SafeConnection,
                **options(tls),
            )
        )
        self._waiting: queue.SimpleQueue[str | None] | None = None

    async def receive(self, seconds: float) -> Reply:
        try:
            return message_of(self._connection.recv(timeout=seconds))
        except TimeoutError:
            return Silence()
        except FAILED as failure:
            return closed_of(failure)

    async def send(self, text: str) -> None:
        with suppress(*FAILED):
            self._connection.send(text)

    def send_soon(self, text: str) -> None:
        if self._waiting is None:
            self._waiting = queue.SimpleQueue()
            threading.Thread(target=self._send_all, args=(self._waiting,), daemon=True).start()
        self._waiting.put(text)

    async def close(self) -> None:
        if self._waiting is not None:
            self._waiting.put(None)
        self._context.close()

    def _send_all(self, waiting: "queue.SimpleQueue[str | None]") -> None:
        while (text := waiting.get()) is not None:
            with suppress(*FAILED):
                self._connection.send(text)


class SyncTransport:
    """httpx and websockets. Each process opens its own connections."""

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        self._tls = tls
        self._clients: dict[int, httpx.Client] = {}
        """By process. Those of the parent are kept: closing them would write to its sockets."""

    async def request(
        self, url: str, request: Request, headers: Mapping[str, str]
    ) -> Answer | Unreachable:
        process = os.getpid()
        if process not in self._clients:
            self._clients.setdefault(process, httpx.Client(verify=self._tls or True))
        try:
            return answer_of(
                self._clients[process].request(
                    request.method,
                    url,
                    content=request.body,
                    headers=headers,
                    timeout=request.seconds,
                )
            )
        except TRANSIENT as failure:
            return unreachable(failure)

    async def open(self, url: str, headers: Mapping[str, str]) -> SyncSocket:
        return SyncSocket(url, headers, self._tls)

    async def close(self) -> None:
        client = self._clients.pop(os.getpid(), None)
        if client is not None:
            client.close()


class BlockingLock:
    """A lock of threads, with the methods of a condition."""

    def __init__(self) -> None:
        self._condition = threading.Condition(threading.Lock())

    async def __aenter__(self) -> None:
        self._condition.acquire()

    async def __aexit__(self, *error: object) -> None:
        self._condition.release()

    async def wait(self) -> None:
        self._condition.wait()

    def notify_all(self) -> None:
        self._condition.notify_all()


class SyncRuntime:
    """Threads. A lock that another thread held during a fork is never used by the child."""

    def __init__(self) -> None:
        self._locks: dict[int, BlockingLock] = {}

    async def sleep(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251  # that is what it is for

    def alone(self) -> BlockingLock:
        return self._locks.setdefault(os.getpid(), BlockingLock())

    def condition(self) -> BlockingLock:
        return BlockingLock()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        threading.Thread(target=run, args=(work,), daemon=True).start()
