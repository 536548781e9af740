"""A TCP proxy that cuts, stalls, swallows and half-closes."""

import asyncio
import socket
from contextlib import suppress
from types import TracebackType


class Proxy:
    """From a free port to `target`, on 127.0.0.1. `stall` takes bytes no further until `heal`."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._flow = asyncio.Event()
        self._flow.set()
        self._swallowing = False

    async def start(self) -> None:
        """Accept; also done on entering."""
        self._server = await asyncio.start_server(self._accept, sock=self._socket)

    async def __aenter__(self) -> "Proxy":
        if self._server is None:
            await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.heal()
        self.cut()
        await asyncio.gather(*self._tasks)

    def cut(self) -> None:
        """End all connections at once."""
        for writer in list(self._writers):
            writer.transport.abort()

    def stall(self) -> None:
        """Pass nothing on, and end nothing."""
        self._flow.clear()

    def swallow(self) -> None:
        """Take all that is sent, and pass none of it on."""
        self._swallowing = True

    def half_close(self) -> None:
        """Say to each end that the other will send nothing more."""
        for writer in list(self._writers):
            with suppress(OSError, RuntimeError):
                writer.write_eof()

    def heal(self) -> None:
        """Go on, with what was held up first."""
        self._flow.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with suppress(OSError):
            there, back = await asyncio.open_connection("127.0.0.1", self._target)
            self._writers |= {writer, back}
            await asyncio.gather(self._pass(reader, back), self._pass(there, writer))
        self._writers.discard(writer)
        writer.transport.abort()  # which nobody has done where the target is away
        self._tasks.discard(task)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, RuntimeError):  # RuntimeError: written to after a half close
            while data := await reader.read(65536):
                await self._flow.wait()
                if self._swallowing:
                    continue
                writer.write(data)
                await writer.drain()
        self._writers.discard(writer)
        writer.transport.abort()
