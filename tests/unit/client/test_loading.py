"""eventhub_client/loading.py: the application's own state, then events, with a fake server."""

import asyncio
import json
from collections import deque
from collections.abc import Mapping
from typing import Any

import pytest

from eventhub_client.attempts import LONGEST_ATTEMPT, Rules
from eventhub_client.client import Client
from eventhub_client.errors import HubError
from eventhub_client.items import Deletion, Event, Loaded
from eventhub_client.loading import Load, Loading
from eventhub_client.steps import Answer, Message, Received, Reply, Request, Unreachable
from eventhub_client.sync_transport import SyncRuntime
from eventhub_client.transport import run
from tests.unit.client.shells import HELLO, Time, event


class Quick(SyncRuntime):
    """Nothing takes time."""

    def __init__(self) -> None:
        super().__init__()
        self.slept: list[float] = []
        self.clock = Time()

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock.now += seconds


class Server:
    """Its channel is at `position`. Each connection gets the messages of one list."""

    def __init__(self, position: str, *connections: list[Message]) -> None:
        self.position = position
        self.troubles: list[Answer | Unreachable] = []
        self.sent: list[Message] = []
        self.opened: list[Socket] = []
        self._connections = deque(connections)

    async def request(
        self, url: str, request: Request, headers: Mapping[str, str]
    ) -> Answer | Unreachable:
        assert request.path == "/v1/channels/a.b?since=latest&limit=1"
        if self.troubles:
            return self.troubles.pop()
        return Answer(200, {"position": self.position})

    async def open(self, url: str, headers: Mapping[str, str]) -> "Socket":
        self.opened.append(Socket(self, [HELLO, *map(Received, self._connections.popleft())]))
        return self.opened[-1]

    async def close(self) -> None: ...


class Socket:
    def __init__(self, server: Server, messages: list[Received]) -> None:
        self._server = server
        self._messages = deque(messages)
        self.is_open = True

    async def receive(self, seconds: float) -> Reply:
        return self._messages.popleft()

    async def send(self, text: str) -> None:
        self._server.sent.append(json.loads(text))

    def send_soon(self, text: str) -> None:
        raise AssertionError

    async def close(self) -> None:
        self.is_open = False


GAP = {"type": "gap", "channel": "a.b", "position": "k-9", "reason": "expired"}


def loading(server: Server, load: Load[Any], runtime: Quick | None = None) -> Loading:
    runtime = runtime or Quick()
    client = Client("http://hub", None, None, server, runtime)
    client.rules = Rules(clock=runtime.clock, random=lambda: 1.0)
    return Loading(client, "a.b", load, None, "data > 1")


def test_the_position_is_read_before_the_state_is_loaded_and_events_come_from_there() -> None:
    server = Server("k-3", [event("k-4")])

    def load(position: str) -> Loaded[str]:
        server.position = "k-4"  # something is published while it loads
        return Loaded(f"rows at {position}", position)

    items = loading(server, load)
    assert run(items.next()) == Loaded("rows at k-3", "k-3")
    found = run(items.next())
    assert isinstance(found, Event)
    assert found.id == "k-4"
    (subscribe,) = server.sent
    assert (subscribe["since"], subscribe["where"]) == ("k-3", "data > 1")


def test_a_database_that_stores_its_position_says_it() -> None:
    server = Server("k-9", [{**event("k-2"), "data": None, "deleted": "x"}])
    items = loading(server, lambda position: Loaded(["row"], "k-1"))
    assert run(items.next()) == Loaded(["row"], "k-1")
    assert isinstance(run(items.next()), Deletion)
    assert server.sent[0]["since"] == "k-1"


def test_after_a_gap_the_state_is_loaded_again() -> None:
    server, runtime = Server("k-3", [event("k-4"), GAP], [event("k-10")]), Quick()
    items = loading(server, lambda position: Loaded(1, position), runtime)
    found = [run(items.next()) for _ in range(2)]
    server.position = "k-9"
    found += [run(items.next()) for _ in range(2)]
    assert [each.position if isinstance(each, Loaded) else each.id for each in found] == [
        "k-3",
        "k-4",
        "k-9",
        "k-10",
    ]
    assert runtime.slept == [1.0], "a database that stays behind is not asked without a pause"
    assert [each.is_open for each in server.opened] == [False, True]


def test_a_gap_long_after_another_is_no_reason_to_wait_longer() -> None:
    server, runtime = Server("k-3", [GAP], [event("k-10"), GAP], []), Quick()
    items = loading(server, lambda position: Loaded(1, position), runtime)
    for _ in range(3):
        run(items.next())
    runtime.clock.now += 100.0
    run(items.next())
    assert runtime.slept == [1.0, 1.0]


def test_the_end_closes_the_connection_and_another_item_begins_anew() -> None:
    server = Server("k-3", [event("k-4")], [])
    items = loading(server, lambda position: Loaded(1, position))
    run(items.next())
    run(items.next())
    run(items.close())
    assert not server.opened[0].is_open
    assert run(items.next()) == Loaded(1, "k-3")


def test_a_state_may_be_loaded_by_a_coroutine() -> None:
    async def load(position: str) -> Loaded[int]:
        await asyncio.sleep(0)
        return Loaded(1, position)

    assert asyncio.run(loading(Server("k-3"), load).next()) == Loaded(1, "k-3")


def test_a_server_that_is_away_is_asked_again_until_it_answers() -> None:
    server = Server("k-3")
    server.troubles, runtime = [Answer(404, {"code": "x"})], Quick()
    with pytest.raises(HubError):
        run(loading(server, lambda position: Loaded(1, position), runtime).next())
    server.troubles = [Unreachable("refused")] * 40
    found = run(loading(server, lambda position: Loaded(1, position), runtime).next())
    assert found == Loaded(1, "k-3")
    assert sum(runtime.slept) > LONGEST_ATTEMPT, "also after the attempts of one call"


def test_a_state_without_a_position_is_refused() -> None:
    with pytest.raises(TypeError, match="received a list from `load`; expected Loaded"):
        run(loading(Server("k-3"), lambda position: []).next())  # type: ignore[arg-type, return-value]


def test_an_error_of_the_application_is_raised() -> None:
    def load(position: str) -> Loaded[None]:
        raise KeyError(position)

    with pytest.raises(KeyError):
        run(loading(Server("k-3"), load).next())
