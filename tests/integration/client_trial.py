"""Both Python clients at work, and their accounts: every acknowledged event compared with what each
follower got.
"""

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import aclosing, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eventhub_client import Event, FileCursor, Gap, Hub, Loaded, Receipt
from eventhub_client.sync import SyncHub
from tests.harness.credentials import token
from tests.harness.eventually import async_eventually
from tests.integration.client_books import Books, books_of

CHANNELS = ("orders.eu", "orders.us")
END = "end"
SOON, LATE = 3, 3600
"""Seconds that tokens last."""
TIMEOUT = 300.0
"""Seconds that a publish may take on a busy machine."""
CLOCK = time.time
"""That of the login service, which does not jump."""
GRANTS = {"subscribe": [">"], "publish": [">"]}

WORKER = """
import json, os, sys
from eventhub_client import Event, FileCursor
from eventhub_client.sync import Hub
url, key, cursor, out = sys.argv[1:]
file = os.open(out, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
for item in Hub(url, key=key).follow("orders.>", since="earliest", cursor=FileCursor(cursor)):
    found = [item.channel, item.data] if isinstance(item, Event) else ["gap", str(item)]
    os.write(file, json.dumps(found).encode() + b"\\n")
"""


@dataclass
class Ledger:
    """What was acknowledged, and what each follower got: `channel` and data, in order."""

    acknowledged: set[tuple[str, str]] = field(default_factory=set)
    seen: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    gaps: int = 0

    def took(self, follower: str, item: object) -> bool:
        """Note an item. Whether the end of each channel has come."""
        found = self.seen.setdefault(follower, [])
        if isinstance(item, Event):
            found.append((item.channel, item.data))
        elif isinstance(item, Gap):
            self.gaps += 1
        return sum(data == END for _, data in found) == len(CHANNELS)

    def stored(self, channel: str, data: object, outcome: object) -> None:
        assert isinstance(outcome, Receipt), outcome
        self.acknowledged.add((channel, str(data)))


class Login:
    """The token function of one client: a token that ends soon, now and then."""

    def __init__(self, *, soon: bool) -> None:
        self.soon = soon
        """Whether the next token ends soon. The one after it does not, however slow the machine."""
        self.asked = 0

    def __call__(self) -> str:
        seconds = SOON if self.soon else LATE
        self.soon = False
        self.asked += 1
        return token(channels=GRANTS, exp=int(CLOCK()) + seconds)

    async def later(self) -> str:
        """The same as an asynchronous function."""
        await asyncio.sleep(0)
        return self()


async def in_thread(work: Callable[[], None]) -> None:
    """In a thread that does not outlive the program, if it never ends."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def end(failure: Exception | None) -> None:
        if failure is None:
            ended.set_result(None)
        else:
            ended.set_exception(failure)

    def run() -> None:
        failure = None
        try:
            work()
        except Exception as error:
            failure = error
        loop.call_soon_threadsafe(end, failure)

    threading.Thread(target=run, daemon=True).start()
    await ended


class Trial:
    """Publishers and followers through one address."""

    def __init__(self, url: str, directory: Path, key: str) -> None:
        self.url, self.directory, self.key = url, directory, key
        self.ledger = Ledger()
        self.faults = self.kills = 0
        self.over = threading.Event()
        self.logins: list[Login] = []
        self._worker: subprocess.Popen[bytes] | None = None

    async def run(self, harm: Callable[["Trial"], Awaitable[None]]) -> Books:
        """Work while harm is done. Then everything must have arrived."""
        self.start_worker()
        followers = [asyncio.create_task(work) for work in self._followers()]
        publishers = [asyncio.create_task(work) for work in self._publishers()]
        try:
            await self.more(20)
            await harm(self)
            await self.more(20)
            self.over.set()
            await asyncio.gather(*publishers)
            async with Hub(self.url, key=self.key) as hub:
                for channel in CHANNELS:
                    await hub.publish(channel, END, timeout=TIMEOUT)
            await asyncio.wait_for(asyncio.gather(*followers), TIMEOUT)
            await self._worker_has_all()
        finally:
            self.over.set()
            self._kill_worker()
        return self.books()

    async def more(self, count: int) -> None:
        """Until so many more events are acknowledged."""
        goal = len(self.ledger.acknowledged) + count
        await async_eventually(
            f"{count} more to be acknowledged",
            lambda: len(self.ledger.acknowledged),
            lambda seen: seen >= goal,
            seconds=TIMEOUT,
        )

    def _login(self) -> Login:
        self.logins.append(Login(soon=True))
        return self.logins[-1]

    def start_worker(self) -> None:
        """A process that follows with a cursor."""
        files = (self.directory / "worker.cursor", self.directory / "worker.out")
        self._worker = subprocess.Popen(
            [sys.executable, "-c", WORKER, self.url, self.key, *map(str, files)],
            stderr=subprocess.DEVNULL,
        )

    def restart_worker(self) -> None:
        """kill -9, and a new one."""
        self._kill_worker()
        self.kills += 1
        self.start_worker()

    def _kill_worker(self) -> None:
        if self._worker is not None:
            self._worker.kill()
            self._worker.wait()

    # Followers

    def _followers(self) -> Iterable[Coroutine[Any, Any, None]]:
        cursor = FileCursor(self.directory / "async.cursor")
        return (
            self._follow("async, names", CHANNELS, cursor=cursor),
            self._follow("async, pattern", ("orders.*",)),
            in_thread(self._follow_plainly),
            *(self._load(channel) for channel in CHANNELS),
        )

    async def _follow(self, name: str, channels: tuple[str, ...], **options: Any) -> None:
        async with (
            Hub(self.url, token=self._login().later) as hub,
            aclosing(hub.follow(*channels, since="earliest", **options)) as items,
        ):
            async for item in items:
                if self.ledger.took(name, item):
                    return

    def _follow_plainly(self) -> None:
        cursor = FileCursor(self.directory / "sync.cursor")
        hub = SyncHub(self.url, token=self._login())
        with closing(hub.follow("orders.>", since="earliest", cursor=cursor)) as items:
            for item in items:
                if self.ledger.took("plain, pattern", item):
                    return

    async def _load(self, channel: str) -> None:
        """A database that is empty at the beginning of the channel."""
        name = "async, loaded"
        async with (
            Hub(self.url, token=self._login().later) as hub,
            aclosing(hub.load_then_follow(channel, lambda at: Loaded(None, "earliest"))) as items,
        ):
            loads = 0
            async for item in items:
                loads += isinstance(item, Loaded)
                self.ledger.gaps += loads > 1
                self.ledger.took(name, item)
                if isinstance(item, Event) and item.data == END:
                    return

    async def _worker_has_all(self) -> None:
        ends = {(channel, END) for channel in CHANNELS}
        await async_eventually(
            "the worker to have all",
            self._worker_lines,
            lambda seen: ends <= set(seen),
            seconds=TIMEOUT,
        )

    def _worker_lines(self) -> list[tuple[str, str]]:
        out = self.directory / "worker.out"
        text = out.read_text() if out.exists() else ""
        return [
            (each[0], each[1]) for each in map(json.loads, text.rpartition("\n")[0].splitlines())
        ]

    # Publishers

    def _publishers(self) -> Iterable[Coroutine[Any, Any, None]]:
        return (
            self._publish(),
            self._stream(),
            in_thread(self._publish_plainly),
            in_thread(self._stream_plainly),
        )

    async def _publish(self) -> None:
        async with Hub(self.url, token=self._login().later) as hub:
            number = 0
            while not self.over.is_set():
                channel, data = CHANNELS[number % 2], f"one {number}"
                self.ledger.stored(channel, data, await hub.publish(channel, data, timeout=TIMEOUT))
                number += 1
                await asyncio.sleep(0.01)

    async def _stream(self) -> None:
        async with Hub(self.url, token=self._login().later) as hub:
            number = 0
            async with hub.publisher(CHANNELS[0], timeout=TIMEOUT) as out:
                while not self.over.is_set():
                    sent = [f"stream {number + each}" for each in range(3)]
                    for data in sent:
                        await out.send(data)
                    await out.flush()
                    self.ledger.acknowledged |= {(CHANNELS[0], data) for data in sent}
                    number += 3
                    await asyncio.sleep(0.02)

    def _publish_plainly(self) -> None:
        with SyncHub(self.url, token=self._login()) as hub:
            number = 0
            while not self.over.wait(0.02):
                channel = CHANNELS[number % 2]
                sent = [f"many {number}.{each}" for each in range(3)]
                for data, outcome in zip(
                    sent, hub.publish_many(channel, sent, timeout=TIMEOUT), strict=True
                ):
                    self.ledger.stored(channel, data, outcome)
                number += 1

    def _stream_plainly(self) -> None:
        with SyncHub(self.url, token=self._login()) as hub:
            number = 0
            with hub.publisher(CHANNELS[1], timeout=TIMEOUT) as out:
                while not self.over.wait(0.02):
                    out.send(f"plain {number}")
                    out.flush()
                    self.ledger.acknowledged.add((CHANNELS[1], f"plain {number}"))
                    number += 1

    # Accounts

    def books(self) -> Books:
        """Of everything so far."""
        followers = {**self.ledger.seen, "worker": self._worker_lines()}
        gaps = self.ledger.gaps + sum(each[0] == "gap" for each in followers["worker"])
        return books_of(
            self.ledger.acknowledged, followers, gaps, faults=self.faults, kills=self.kills
        )
