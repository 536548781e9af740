"""The Python client's state, deletions, presence, publishers and loading, with a real server."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import aclosing, closing
from itertools import islice

import pytest

from eventhub_client import (
    Conflict,
    Deletion,
    Event,
    Hub,
    InvalidEvent,
    Loaded,
    Member,
    Membership,
    Presence,
    Waiting,
)
from eventhub_client.sync import SyncHub
from tests.harness.eventhub import EventHubServer

Channel = Callable[[str], str]
CONFIG = """
channels:
  orders: {key: /id, history: {events: 3, latest: true}}
  notes: {payload: json, history: {events: 3000}}
  chat: {payload: chat, presence: true}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventHubServer]:
    with EventHubServer(tmp_path_factory.mktemp("server"), CONFIG) as server:
        yield server


@pytest.fixture
def client(server: EventHubServer) -> Iterator[SyncHub]:
    with SyncHub(server.url) as client:
        yield client


def order(number: int, status: str) -> dict[str, object]:
    return {"id": number, "status": status}


def test_a_state_has_the_newest_of_each_key_and_goes_on_as_a_log(
    client: SyncHub, channel: Channel
) -> None:
    name = channel("orders")
    client.publish_many(name, [order(1, "new"), order(2, "new"), order(1, "paid")])
    client.delete(name, "2")
    state = client.state(name)
    assert {key: event.data["status"] for key, event in state.events.items()} == {"1": "paid"}
    last = client.publish(name, order(3, "new"))
    with closing(client.follow(name, since=state.position)) as items:
        following = next(items)
    assert isinstance(following, Event)
    assert (following.id, following.key) == (last.id, "3")


def test_a_follower_of_a_state_gets_the_keys_and_then_deletions(
    client: SyncHub, channel: Channel
) -> None:
    name = channel("orders")
    for number in range(6):  # more than the log retains
        client.publish(name, order(number % 2, str(number)))
    with closing(client.follow(name, since="state")) as items:
        found = [each.data for each in islice(items, 2) if isinstance(each, Event)]
        assert found == [order(0, "4"), order(1, "5")]
        receipt = client.delete(name, "1")
        deletion = next(items)
    assert isinstance(deletion, Deletion)
    assert (deletion.key, deletion.id) == ("1", receipt.id)


def test_of_publishers_that_expect_the_same_event_one_succeeds(
    client: SyncHub, channel: Channel
) -> None:
    name = channel("orders")
    first = client.publish(name, order(1, "new"), if_none_match=True)
    with pytest.raises(Conflict) as caught:
        client.publish(name, order(1, "again"), if_none_match=True)
    assert caught.value.id == first.id
    second = client.publish(name, order(1, "paid"), if_match=first.id)
    with pytest.raises(Conflict):
        client.delete(name, "1", if_match=first.id)
    client.delete(name, "1", if_match=second.id)
    assert client.state(name).events == {}


def test_a_publisher_stores_many_events_in_their_order(client: SyncHub, channel: Channel) -> None:
    name = channel("notes")
    with client.publisher(name, waiting=Waiting(events=100)) as out:
        for number in range(1500):
            out.send(number)
    assert out.stored == 1500
    with closing(client.follow(name, since="earliest", model=int)) as items:
        found = [each.data for each in islice(items, 1500) if isinstance(each, Event)]
    assert found == list(range(1500))


def test_a_publisher_in_a_loop_tells_what_was_refused(
    server: EventHubServer, channel: Channel
) -> None:
    name, refused = channel("chat"), list[object]()

    async def main() -> int:
        async with Hub(server.url) as hub:
            take = hub.publisher(name, on_refused=lambda data, error: refused.append(data))
            async with take as out:
                for text in ("one", 2, "three"):
                    await out.send({"sender": "ana", "text": text})
            with pytest.raises(InvalidEvent):
                async with hub.publisher(name) as out:
                    await out.send({"sender": "ana", "text": 4})
            return take.stored

    assert asyncio.run(main()) == 2
    assert refused == [{"sender": "ana", "text": 2}]


def test_members_see_each_other_and_their_updates(
    server: EventHubServer, client: SyncHub, channel: Channel
) -> None:
    name, ana, rui = channel("chat"), Membership("ana", {"at": 1}), Membership("rui")

    async def main() -> None:
        async with (
            Hub(server.url) as hub,
            aclosing(hub.follow(name, member=ana, presence=True)) as of_ana,
        ):

            async def until(*members: Member) -> None:
                async for item in of_ana:
                    assert isinstance(item, Presence)
                    if item.members == members:
                        return

            await until(Member("ana", {"at": 1}))
            with closing(client.follow(name, member=rui, presence=True)) as of_rui:
                await asyncio.to_thread(next, of_rui)
                await until(Member("ana", {"at": 1}), Member("rui"))
                rui.update({"at": 2})
                await until(Member("ana", {"at": 1}), Member("rui", {"at": 2}))
                ana.update(None)
                await until(Member("ana"), Member("rui", {"at": 2}))
                listed = await hub.presence(name)
                assert listed == [Member("ana"), Member("rui", {"at": 2})]
            await until(Member("ana"))

    asyncio.run(main())


def test_a_membership_of_threads_is_updated_while_its_follower_waits(
    client: SyncHub, channel: Channel
) -> None:
    name, ana = channel("chat"), Membership("ana")
    with closing(client.follow(name, member=ana, presence=True)) as items:
        next(items)
        threading.Timer(0.01, ana.update, [{"at": 1}]).start()
        for item in items:
            assert isinstance(item, Presence)
            if item.members == (Member("ana", {"at": 1}),):
                break


def test_state_of_a_database_is_followed_from_its_position_and_loaded_again_after_a_gap(
    client: SyncHub, channel: Channel
) -> None:
    name = channel("orders")
    rows = {1: "new"}
    client.publish(name, order(1, "new"))

    def load(position: str) -> Loaded[dict[int, str]]:
        client.publish(name, order(2, position))  # while it loads
        return Loaded(dict(rows), position)

    with closing(client.load_then_follow(name, load)) as items:
        loaded, event = islice(items, 2)
    assert isinstance(loaded, Loaded)
    assert loaded.state == {1: "new"}
    assert isinstance(event, Event)
    assert event.data == order(2, loaded.position)
    old = loaded.position
    client.publish_many(name, [order(3, "x")] * 5)  # `old` is no longer retained
    positions = iter([old, client.state(name).position])
    again_and_again = client.load_then_follow(name, lambda at: Loaded(at, next(positions)))
    with closing(again_and_again) as found:
        first, again = islice(found, 2)
    assert isinstance(first, Loaded)
    assert isinstance(again, Loaded)
    assert first.position != again.position
