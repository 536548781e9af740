"""The JavaScript client at work, and its accounts: every acknowledged event compared with what each
follower got.
"""

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from eventhub_client import Hub
from tests.harness.credentials import SECRET
from tests.harness.eventually import async_eventually
from tests.integration.client_books import Books, books_of
from tests.integration.client_trial import CHANNELS, END, TIMEOUT

PROGRAM = Path(__file__).with_suffix(".mjs")


class _Process:
    """One process of Node, whose lines are read as they come."""

    def __init__(self, *arguments: str) -> None:
        self._arguments = arguments
        self.lines: list[list[Any]] = []

    async def start(self) -> None:
        self._node = await asyncio.create_subprocess_exec(
            "node", str(PROGRAM), *self._arguments,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self._node.stdout is not None
        async for line in self._node.stdout:
            if line.endswith(b"\n"):
                self.lines.append(json.loads(line))

    def say(self, command: str) -> None:
        assert self._node.stdin is not None
        self._node.stdin.write(f"{command}\n".encode())

    def signal(self, number: signal.Signals) -> None:
        os.kill(self._node.pid, number)

    async def kill(self) -> None:
        self._node.kill()
        await self._node.wait()
        await self._reading


class JavaScriptTrial:
    """Publishers and followers through one address."""

    def __init__(self, url: str, directory: Path, key: str) -> None:
        self.url, self.key = url, key
        self.faults = self.kills = 0
        self._clients = _Process(url, SECRET.decode())
        self._worker = _Process(url, SECRET.decode(), str(directory))

    async def run(self, harm: Callable[["JavaScriptTrial"], Awaitable[None]]) -> Books:
        """Work while harm is done. Then everything must have arrived."""
        await self._clients.start()
        await self._worker.start()
        try:
            await self.more(20)
            await harm(self)
            await self.more(20)
            self._clients.say("end")
            await self._until("the publishers to end", lambda: ["over"] in self._clients.lines)
            async with Hub(self.url, key=self.key) as hub:
                for channel in CHANNELS:
                    await hub.publish(channel, END, timeout=TIMEOUT)
            await self._until("all followers to have all", self._has_all)
        finally:
            await self._clients.kill()
            await self._worker.kill()
        return self.books()

    async def more(self, count: int) -> None:
        """Until so many more events are acknowledged."""
        goal = len(self._acknowledged()) + count
        await self._until(f"{count} more", lambda: len(self._acknowledged()) >= goal)

    async def restart_worker(self) -> None:
        """kill -9 of a process that follows with a storage, and a new one."""
        await self._worker.kill()
        self.kills += 1
        await self._worker.start()

    def end_tokens(self) -> None:
        """The next token of each process ends soon."""
        for process in (self._clients, self._worker):
            process.say("soon")

    async def jump(self, seconds: int) -> None:
        """The clock of the clients is so much ahead."""
        self._clients.say(f"jump {seconds * 1000}")
        await self.more(20)
        self._clients.say("jump 0")

    async def freeze(self, seconds: float) -> None:
        """Neither process runs, as a frozen tab; what is sent to them waits."""
        for process in (self._clients, self._worker):
            process.signal(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        for process in (self._clients, self._worker):
            process.signal(signal.SIGCONT)

    def books(self) -> Books:
        """Of everything so far."""
        followers: dict[str, list[tuple[str, str]]] = {}
        gaps = 0
        for kind, name, channel, *data in self._told():
            assert kind != "error", (name, channel, data)
            gaps += kind == "gap"
            if kind == "event":
                followers.setdefault(name, []).append((channel, data[0]))
        return books_of(self._acknowledged(), followers, gaps, faults=self.faults, kills=self.kills)

    def _told(self) -> list[list[Any]]:
        lines = [*self._clients.lines, *self._worker.lines]
        return [line for line in lines if line[0] in ("event", "gap", "error")]

    def _acknowledged(self) -> set[tuple[str, str]]:
        return {(line[1], line[2]) for line in self._clients.lines if line[0] == "stored"}

    def _has_all(self) -> bool:
        ends = [line for line in self._told() if line[3] == END]
        wanted = {
            (name, channel)
            for name in ("names", "pattern", "loops", "worker")
            for channel in CHANNELS
        }
        return {(line[1], line[2]) for line in ends} >= wanted

    @staticmethod
    async def _until(what: str, holds: Callable[[], bool]) -> None:
        await async_eventually(what, holds, bool, seconds=TIMEOUT)
