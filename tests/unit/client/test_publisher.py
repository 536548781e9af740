"""eventhub_client/publisher.py and outbox.py: bounds, order and errors, with a fake server."""

import asyncio
import json
import threading
from collections.abc import Callable, Mapping

import pytest

from eventhub_client.async_transport import AsyncRuntime
from eventhub_client.attempts import Rules
from eventhub_client.client import Client
from eventhub_client.errors import InvalidEvent, Refused, Unavailable
from eventhub_client.outbox import OnRefused, Waiting
from eventhub_client.publisher import Publisher
from eventhub_client.steps import Answer, Request, Unreachable
from eventhub_client.sync_publisher import SyncPublisher
from eventhub_client.sync_transport import SyncRuntime
from eventhub_client.transport import Runtime, Socket

TIME = "2026-11-22T20:06:00.123Z"
FAULT = {"error": {"code": "invalid_event", "message": "no"}}


def stored(body: bytes) -> Answer:
    """What is "bad" is refused."""
    events = json.loads(body)
    results = [FAULT if each == "bad" else {"id": "k-1", "time": TIME} for each in events]
    return Answer(207, {"results": results})


class Server:
    """Takes batches, one at a time."""

    def __init__(self, answer: Callable[[bytes], Answer | Unreachable] = stored) -> None:
        self._answer = answer
        self.batches: list[list[object]] = []

    async def request(
        self, url: str, request: Request, headers: Mapping[str, str]
    ) -> Answer | Unreachable:
        self.batches.append(json.loads(request.body))
        return self._answer(request.body)

    async def open(self, url: str, headers: Mapping[str, str]) -> Socket:
        raise AssertionError

    async def close(self) -> None: ...


def publisher(
    server: Server, runtime: Runtime, waiting: int = 1000, on_refused: OnRefused | None = None
) -> Publisher:
    client = Client("http://hub", None, None, server, runtime)
    client.rules = Rules(random=lambda: 1.0)  # a second: longer than the timeout
    return Publisher(client, "a.b", Waiting(waiting), 0.001, on_refused)


def send_all(server: Server, events: list[object], on_refused: OnRefused | None = None) -> int:
    async def main() -> int:
        async with publisher(server, AsyncRuntime(), on_refused=on_refused) as out:
            for each in events:
                await out.send(each)
        return out.stored

    return asyncio.run(main())


def test_events_go_out_in_their_order_and_all_are_stored_at_the_end() -> None:
    server = Server()
    events: list[object] = list(range(2500))
    assert send_all(server, events) == 2500
    assert [each for batch in server.batches for each in batch] == events


def test_send_waits_while_there_is_no_room_and_not_before() -> None:
    async def main() -> None:
        server = Server()
        out = publisher(server, AsyncRuntime(), waiting=3)
        for number in range(3):
            await out.send(number)
        assert server.batches == [], "nothing was waited for"
        await out.send(3)
        assert server.batches == [[0, 1, 2]]
        await out.flush()
        assert server.batches == [[0, 1, 2], [3]]

    asyncio.run(main())


def test_a_refused_event_ends_it_and_is_raised() -> None:
    server = Server()
    with pytest.raises(InvalidEvent):
        send_all(server, ["good", "bad", "good"])

    async def main() -> None:
        out = publisher(Server(), AsyncRuntime())
        await out.send("bad")
        with pytest.raises(InvalidEvent):
            await out.flush()
        with pytest.raises(InvalidEvent):
            await out.send("later")

    asyncio.run(main())


def test_a_refused_event_is_given_to_the_function_and_the_others_are_stored() -> None:
    found: list[tuple[object, str]] = []

    def on_refused(data: object, error: Refused) -> None:
        found.append((data, error.code))

    assert send_all(Server(), ["good", "bad", "good"], on_refused=on_refused) == 2
    assert found == [("bad", "invalid_event")]


def test_one_batch_is_under_way_at_a_time() -> None:
    under_way: list[int] = []

    class Slow(Server):
        async def request(
            self, url: str, request: Request, headers: Mapping[str, str]
        ) -> Answer | Unreachable:
            under_way.append(1)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert under_way == [1]
            under_way.pop()
            return await super().request(url, request, headers)

    async def main() -> int:
        async with publisher(Slow(), AsyncRuntime()) as out:
            for number in range(10):
                await out.send(number)
                await asyncio.sleep(0)
        return out.stored

    assert asyncio.run(main()) == 10


def test_a_sender_that_waits_for_room_gets_the_error() -> None:
    def fault(body: bytes) -> Answer:
        raise RuntimeError("a fault of the transport")

    async def main() -> None:
        client = Client("http://hub", None, None, Server(fault), AsyncRuntime())
        out = Publisher(client, "a.b", Waiting(1000, 5), 0.001, None)
        await out.send("longer than the bound")
        with pytest.raises(RuntimeError, match="a fault"):
            await out.send("x")

    asyncio.run(asyncio.wait_for(main(), 60))


def test_a_timeout_that_no_event_may_have_is_told_at_once() -> None:
    client = Client("http://hub", None, None, Server(), SyncRuntime())
    with pytest.raises(ValueError, match="received timeout=0"):
        Publisher(client, "a.b", Waiting(), 0, None)


def test_a_server_that_is_away_ends_it_and_nothing_is_sent_after() -> None:
    server = Server(lambda body: Unreachable("refused"))
    with pytest.raises(Unavailable, match="refused"):
        send_all(server, list(range(1001)))
    assert len(server.batches) == 1


def test_an_error_of_the_application_is_not_covered_by_one_of_the_publisher() -> None:
    async def main() -> None:
        async with publisher(Server(), AsyncRuntime()) as out:
            await out.send("bad")
            raise KeyError

    with pytest.raises(KeyError):
        asyncio.run(main())


def test_what_is_no_json_is_told_by_send_and_ends_nothing() -> None:
    async def main() -> int:
        async with publisher(Server(), AsyncRuntime()) as out:
            with pytest.raises(ValueError, match="received NaN or Infinity"):
                await out.send(float("nan"))
            await out.send(1)
        with pytest.raises(ValueError, match="within the context"):
            await out.send(2)
        return out.stored

    assert asyncio.run(main()) == 1


def test_without_a_loop_a_thread_sends_and_send_waits_for_room() -> None:
    may_answer = threading.Event()

    def slow(body: bytes) -> Answer:
        may_answer.wait()
        return stored(body)

    server = Server(slow)
    with SyncPublisher(publisher(server, SyncRuntime(), waiting=2)) as out:
        out.send(0)
        out.send(1)
        threading.Timer(0.01, may_answer.set).start()
        out.send(2)
        assert out.stored >= 1, "there was no room before"
        out.flush()
        assert out.stored == 3
    assert [each for batch in server.batches for each in batch] == [0, 1, 2]


def test_without_a_loop_an_error_is_raised_at_the_end() -> None:
    with pytest.raises(InvalidEvent), SyncPublisher(publisher(Server(), SyncRuntime())) as out:
        out.send("bad")


def test_a_publisher_of_another_process_is_refused() -> None:
    out = SyncPublisher(publisher(Server(), SyncRuntime()))
    out._process += 1
    with pytest.raises(RuntimeError, match="opened after the fork"):
        out.send(1)
