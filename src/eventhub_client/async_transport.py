"""The client in an event loop."""

import asyncio
import ssl
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect

from eventhub_client.steps import Answer, Reply, Request, Silence, Unreachable
from eventhub_client.wire import (
    FAILED,
    TRANSIENT,
    answer_of,
    closed_of,
    message_of,
    options,
    unreachable,
)

TIMEOUTS = (TimeoutError, asyncio.TimeoutError)
"""One class since Python 3.11."""


class AsyncSocket:
    """A WebSocket."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._sends: set[asyncio.Task[None]] = set()

    async def receive(self, seconds: float) -> Reply:
        try:
            return message_of(await asyncio.wait_for(self._connection.recv(), seconds))
        except TIMEOUTS:
            return Silence()
        except FAILED as failure:
            return closed_of(failure)

    async def send(self, text: str) -> None:
        with suppress(*FAILED):
            await self._connection.send(text)

    def send_soon(self, text: str) -> None:
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._start_send, text)

    async def close(self) -> None:
        await self._connection.close()

    def _start_send(self, text: str) -> None:
        task = asyncio.ensure_future(self.send(text))
        self._sends.add(task)
        task.add_done_callback(self._sends.discard)


class AsyncTransport:
    """httpx and websockets."""

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        self._tls = tls
        self._client: httpx.AsyncClient | None = None

    async def request(
        self, url: str, request: Request, headers: Mapping[str, str]
    ) -> Answer | Unreachable:
        if self._client is None:
            self._client = httpx.AsyncClient(verify=self._tls or True)
        asked = self._client.request(
            request.method, url, content=request.body, headers=headers, timeout=request.seconds
        )
        try:
            return answer_of(await asyncio.wait_for(asked, request.seconds))
        except (*TRANSIENT, *TIMEOUTS) as failure:
            return unreachable(failure)

    async def open(self, url: str, headers: Mapping[str, str]) -> AsyncSocket:
        try:
            return AsyncSocket(await connect(url, additional_headers=headers, **options(self._tls)))
        except asyncio.TimeoutError as failure:
            raise TimeoutError(str(failure)) from failure

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()


class AsyncRuntime:
    """asyncio."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def alone(self) -> asyncio.Lock:
        return self._lock

    def condition(self) -> asyncio.Condition:
        return asyncio.Condition()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
