"""An honest publisher and an honest subscriber beside an attack: every event arrives, once, in
order, and how long it took.
"""

import json
import threading
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from tests.harness.clients import SECONDS, WsClient
from tests.harness.eventhub import EventHubServer

PAUSE = 0.01
"""Seconds between events."""


class Witness:
    """Publishes numbers to one channel and reads them there, from its entry to its exit, which says
    what was lost.
    """

    def __init__(self, hub: EventHubServer, channel: str = "witness") -> None:
        self.hub = hub
        self.channel = channel
        self.delays: list[float] = []
        """From publishing to reading, in seconds."""
        self._client = WsClient(f"{hub.ws_url}?channel={channel}")
        self._begun = threading.Event()
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._authentication, args=(work,))
            for work in (self._publish, self._read)
        ]

    def _authentication(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as failure:  # of a thread: it is raised at the exit
            self._failure = self._failure or failure
            self._stop.set()
            self._begun.set()

    def _publish(self) -> None:
        with httpx.Client(verify=False, base_url=self.hub.url, timeout=SECONDS) as http:
            for number in count():
                last = self._stop.wait(PAUSE)
                event = {"number": number, "at": time.monotonic(), "last": last}
                assert (
                    http.post(f"/v1/channels/{self.channel}", content=json.dumps(event)).status_code
                    == 201
                )
                if last:
                    return

    def _read(self) -> None:
        last = False
        while not last:
            event = self._client.until("event")["data"]
            assert event["number"] == len(self.delays), "an event is missing, or came twice"
            self.delays.append(time.monotonic() - event["at"])
            self._begun.set()
            last = event["last"]

    def __enter__(self) -> Self:
        self._client.until("subscribed")
        for thread in self._threads:
            thread.start()
        self._begun.wait(SECONDS)  # an attack shall find it at work
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._client.connection.close()
        if self._failure is not None:
            raise self._failure


def resident(hub: EventHubServer) -> float:
    """The server's memory in MiB: what is in RAM."""
    assert hub.process is not None
    pages = int(Path(f"/proc/{hub.process.pid}/statm").read_text().split()[1])
    return pages * 4096 / 2**20
