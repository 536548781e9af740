"""The Python client with a real server: publish, follow, kill -9 and restarts."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from eventhub_client import (
    Event,
    FileCursor,
    Hub,
    Item,
    Receipt,
    Refused,
    Signal,
    UnknownChannel,
)
from eventhub_client.sync import SyncHub
from tests.harness.eventhub import EventHubServer
from tests.harness.eventually import SECONDS

Start = Callable[..., EventHubServer]
SQLITE = "broker: sqlite:///events.db\nchannels: {orders: {payload: json}, logs: {payload: json}}"
SIGNALS = """
broker: memory://
channels: {orders: {payload: json, signals: {publish: [producer]}}, logs: {payload: json}}
"""
CHANNELS = ("orders.eu", "logs.api")
KILLS = 3


def test_plain_calls_publish_and_follow(start: Start) -> None:
    hub = start(SQLITE)
    with SyncHub(hub.url) as client:
        first = client.publish("orders.eu", {"number": 1})
        outcomes = client.publish_many("orders.eu", [{"number": 2}, {"number": 3}])
        assert all(isinstance(each, Receipt) for each in outcomes)
        items = client.follow("orders.eu", since="earliest")
        event = next(items)
        assert isinstance(event, Event)
        assert (event.id, event.data, event.time) == (first.id, {"number": 1}, first.time)
        second, third = next(items), next(items)
        assert isinstance(second, Event)
        assert isinstance(third, Event)
        assert (second.data, third.data) == ({"number": 2}, {"number": 3})


def test_a_filter_selects_events_and_the_cursor_moves_over_the_others(
    start: Start, tmp_path: Path
) -> None:
    hub = start(SQLITE)
    cursor = FileCursor(tmp_path / "cursor")
    with SyncHub(hub.url) as client:
        client.publish_many("orders.eu", range(300))
        items = client.follow("orders.eu", since="earliest", cursor=cursor, where="data % 299 == 1")
        first = next(items)
        assert isinstance(first, Event)
        assert first.data == 1
        with pytest.raises(Refused, match="column"):
            next(client.follow("orders.eu", where="data >"))
        last = client.publish("orders.eu", 300)
        again = next(items)
        assert isinstance(again, Event)
        assert again.id == last.id
        stored = int(cursor.load()["orders.eu"].rpartition("-")[2])
        assert stored > int(first.id.rpartition("-")[2]), "a position came between them"


def test_a_filter_holds_for_all_channels_of_the_call(start: Start) -> None:
    hub = start(SQLITE)

    async def run() -> set[tuple[str, int]]:
        async with Hub(hub.url) as client:
            for channel in CHANNELS:
                await client.publish_many(channel, [1, 2])
            follow = client.follow(*CHANNELS, model=int, since="earliest", where="data == 2")
            async with aclosing(follow) as items:
                found = [await anext(items) for _ in CHANNELS]
        return {(each.channel, each.data) for each in found if isinstance(each, Event)}

    assert asyncio.run(run()) == {(channel, 2) for channel in CHANNELS}


def test_plain_calls_send_signals_and_follow_them(start: Start) -> None:
    hub = start(SIGNALS)
    with SyncHub(hub.url) as client:
        items = client.follow("orders.eu", since="earliest", signals=True)
        client.publish("orders.eu", 1)
        assert isinstance(next(items), Event), "it is live from now on, or in a moment"
        arrived = None
        while not isinstance(arrived, Signal):
            client.signal("orders.eu", ["typing"], attributes={"subject": "s"})
            client.publish("orders.eu", 2)
            arrived = next(items)
        assert (arrived.channel, arrived.data) == ("orders.eu", ["typing"])
        assert arrived.attributes == {"subject": "s"}
        with pytest.raises(Refused, match="takes signals from nobody"):
            client.signal("logs.api", 1)


def test_a_follower_that_does_not_ask_for_signals_gets_none(start: Start) -> None:
    hub = start(SIGNALS)

    async def main() -> None:
        async with Hub(hub.url) as client, aclosing(client.follow("orders.eu")) as items:
            first = asyncio.ensure_future(anext(items))
            got: list[object] = []
            number = 0
            while not first.done():  # it is not there yet
                number += 1
                await client.signal("orders.eu", "no")
                await client.publish("orders.eu", number)
            got.append(await first)
            await client.signal("orders.eu", "no")
            await client.publish("orders.eu", "last")
            async for item in items:
                assert isinstance(item, Event)
                got.append(item.data)
                if item.data == "last":
                    break
            assert "no" not in got

    asyncio.run(main())


def test_a_channel_that_does_not_exist_is_raised(start: Start) -> None:
    hub = start(SQLITE)
    client = SyncHub(hub.url)
    with pytest.raises(UnknownChannel, match="unknown_channel"):
        client.publish("unknown.a", 1)
    with pytest.raises(UnknownChannel, match="unknown_channel"):
        next(iter(client.follow("unknown.a")))
    client.close()


class Publisher(threading.Thread):
    """Publishes numbers to each channel until it is told to end."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url
        self._over = threading.Event()
        self._published = 0
        self._failure: Exception | None = None

    def run(self) -> None:
        try:
            with SyncHub(self._url) as client:
                while not self._over.is_set():
                    for channel in CHANNELS:
                        client.publish(channel, self._published, timeout=SECONDS)
                    self._published += 1
        except Exception as failure:
            self._failure = failure

    def end(self) -> int:
        """How many numbers each channel was acknowledged."""
        self._over.set()
        self.join()
        assert self._failure is None, self._failure
        return self._published


Seen = dict[str, list[int]]


async def take(items: AsyncIterator[Item[int]], seen: Seen, goal: int) -> None:
    """Consume until each channel has brought so many events."""
    while min(map(len, seen.values())) < goal:
        item = await anext(items)
        assert isinstance(item, Event), item
        seen[item.channel].append(item.data)


async def follow_through_kills(hub: EventHubServer, publisher: Publisher, path: Path) -> Seen:
    """Each follower lives through a kill -9 of the server; the next begins at its cursor."""
    seen: Seen = {channel: [] for channel in CHANNELS}
    for last in (*[False] * KILLS, True):
        cursor = FileCursor(path)
        async with (
            Hub(hub.url) as client,
            aclosing(client.follow(*CHANNELS, model=int, since="earliest", cursor=cursor)) as items,
        ):
            if last:
                await take(items, seen, await asyncio.to_thread(publisher.end))
                break
            await take(items, seen, max(map(len, seen.values())) + 10)
            await asyncio.to_thread(hub.kill)
            await asyncio.to_thread(hub.start)
            await take(items, seen, max(map(len, seen.values())) + 10)
            await anext(items)  # what was taken is consumed now; this one is not
    return seen


def test_each_acknowledged_event_comes_once_per_cursor_through_kills_of_both_sides(
    start: Start, tmp_path: Path
) -> None:
    hub = start(SQLITE)
    publisher = Publisher(hub.url)
    publisher.start()
    try:
        seen = asyncio.run(follow_through_kills(hub, publisher, tmp_path / "cursor.json"))
    finally:
        published = publisher.end()
    assert seen == {channel: list(range(published)) for channel in CHANNELS}


def test_a_pattern_brings_channels_that_are_born_while_the_follower_or_the_server_is_away(
    start: Start, tmp_path: Path
) -> None:
    hub = start(SQLITE)
    path = tmp_path / "cursor"
    with SyncHub(hub.url) as client:

        def take(items: Iterator[Item[str]], count: int) -> list[tuple[str, str]]:
            found = [next(items) for _ in range(count)]
            return [(each.channel, each.data) for each in found if isinstance(each, Event)]

        client.publish("orders.a", "before")
        items = client.follow("orders.>", model=str, since="earliest", cursor=FileCursor(path))
        assert take(items, 1) == [("orders.a", "before")]
        client.publish("orders.b", "born")
        assert take(items, 1) == [("orders.b", "born")]
        hub.kill()
        hub.start()
        client.publish("orders.c", "born after a kill")
        client.publish("orders.a", "more")
        found = take(items, 2)
        assert sorted(found) == [("orders.a", "more"), ("orders.c", "born after a kill")]
        del items  # the last item was not consumed
        client.publish("orders.d", "born while nobody follows")
        again = client.follow("orders.>", model=str, cursor=FileCursor(path))
        assert sorted(take(again, 2)) == sorted(
            [found[-1], ("orders.d", "born while nobody follows")]
        )


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_hub_that_was_used_before_a_fork_is_usable_on_both_sides(start: Start) -> None:
    hub = start(SQLITE)
    with SyncHub(hub.url) as client:
        client.publish("orders.eu", "before")
        child = os.fork()
        if child == 0:
            try:
                client.publish("orders.eu", "child")
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        client.publish("orders.eu", "parent")
        items = client.follow("orders.eu", since="earliest")
        found = [item.data for item in (next(items) for _ in range(3)) if isinstance(item, Event)]
    assert found == ["before", "child", "parent"]


LOGGING = """
import logging
from eventhub_client.logging import Bounds, Handler
bounds = Bounds(exit_seconds={seconds})
logging.basicConfig(level="DEBUG", handlers=[Handler("{url}", "logs.api", bounds=bounds)])
for number in range({count}):
    logging.info("%d", number, extra={{"value": float("nan")}})
"""


def test_the_records_of_a_program_that_ends_at_once_are_stored_in_order(start: Start) -> None:
    hub, count = start("channels: {logs: {payload: log}}"), 700
    script = LOGGING.format(url=hub.url, count=count, seconds=SECONDS)
    subprocess.run([sys.executable, "-c", script], check=True, timeout=SECONDS)
    with SyncHub(hub.url) as client:
        items = client.follow("logs.api", since="earliest")
        found = [
            item.data for item in (next(items) for _ in range(count)) if isinstance(item, Event)
        ]
    assert [each["message"] for each in found] == [str(number) for number in range(count)]
    assert found[0]["fields"] == {"value": "nan"}
