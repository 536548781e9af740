"""Events that refer to another one: eventhub_client/publishing.py, publisher.py and outbox.py."""

import asyncio
import json
from collections.abc import Mapping

import pytest

from eventhub_client.async_transport import AsyncRuntime
from eventhub_client.attempts import Rules
from eventhub_client.client import Client
from eventhub_client.errors import HubError, Refused
from eventhub_client.outbox import WAITING, OnRefused
from eventhub_client.publisher import Publisher
from eventhub_client.publishing import Delivery, publish_one
from eventhub_client.steps import Answer, Request
from eventhub_client.transport import Socket
from tests.unit.client.shells import Time, answered

STORED = {"id": "k-9", "time": "2026-11-22T20:06:00.123Z"}


def request(data: object, relation: str, **more: str) -> Request:
    delivery = Delivery(refers="k-1", relation=relation, key="same", **more)  # type: ignore[arg-type]  # names of fields
    steps = publish_one("a.b", data, delivery, Rules(clock=Time()))
    _, (sent,) = answered(steps, Time(), lambda _: Answer(201, STORED))
    assert isinstance(sent, Request)
    return sent


@pytest.mark.parametrize("relation", ["edit", "reaction"])
def test_an_event_says_in_its_address_what_it_refers_to(relation: str) -> None:
    sent = request({"n": 1}, relation, if_match="k-1")
    assert (sent.method, sent.body) == ("POST", b'{"n":1}')
    assert sent.path == f"/v1/channels/a.b?refers=k-1&relation={relation}"
    assert (sent.headers["idempotency-key"], sent.headers["if-match"]) == ("same", '"k-1"')


def test_an_event_is_deleted_by_its_id() -> None:
    sent = request(None, "delete")
    assert (sent.method, sent.path, sent.body) == ("DELETE", "/v1/channels/a.b?id=k-1", b"")
    assert sent.headers["idempotency-key"] == "same"


def test_an_array_that_refers_to_an_event_is_one_event() -> None:
    sent = request([1, 2], "edit")
    assert (sent.body, sent.headers["ce-id"]) == (b"[1,2]", sent.headers["idempotency-key"])
    assert "ce-id" not in request({"n": 1}, "edit").headers


@pytest.mark.parametrize(
    ("refers", "relation"), [("k-1", None), (None, "edit"), ("k-1", "like"), ("", "edit")]
)
def test_a_reference_is_an_id_and_a_relation(refers: str | None, relation: str | None) -> None:
    with pytest.raises(ValueError, match=r"refers=.*expected"):
        Delivery(refers=refers, relation=relation)


def test_a_deletion_has_no_data() -> None:
    with pytest.raises(ValueError, match="expected None"):
        request({"n": 1}, "delete")


class Log:
    """A server that takes requests, one at a time, and refuses what refers to k-0."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, object]] = []

    async def request(self, url: str, request: Request, headers: Mapping[str, str]) -> Answer:
        body = json.loads(request.body) if request.body else None
        self.taken.append((url.removeprefix("http://hub/v1/channels/a.b"), body))
        if "refers=k-0" in url:
            return Answer(404, {"code": "not_found"})
        if url.endswith("a.b"):
            assert isinstance(body, list)
            return Answer(207, {"results": [STORED] * len(body)})
        return Answer(201, STORED)

    async def open(self, url: str, headers: Mapping[str, str]) -> Socket:
        raise AssertionError

    async def close(self) -> None: ...


async def stream(log: Log, refers: str, on_refused: OnRefused | None = None) -> int:
    client = Client("http://hub", None, None, log, AsyncRuntime())
    async with Publisher(client, "a.b", WAITING, 30, on_refused) as out:
        await out.send(1)
        await out.send(2)
        await out.send(20, refers=refers, relation="edit")
        await out.send(None, refers="k-1", relation="delete")
        await out.send(3)
    return out.stored


def test_a_stream_keeps_the_order_around_an_event_that_refers_to_another() -> None:
    log = Log()
    assert asyncio.run(stream(log, "k-2")) == 5
    assert log.taken == [
        ("", [1, 2]),
        ("?refers=k-2&relation=edit", 20),
        ("?id=k-1", None),
        ("", [3]),
    ]


def test_a_refused_edit_ends_a_stream_or_is_given_to_the_function() -> None:
    found = list[tuple[object, Refused]]()
    stored = asyncio.run(stream(Log(), "k-0", lambda data, error: found.append((data, error))))
    assert (stored, [data for data, _ in found]) == (4, [20])
    with pytest.raises(HubError, match="not_found"):
        asyncio.run(stream(Log(), "k-0"))


def test_a_stream_refuses_a_reference_that_is_none() -> None:
    async def send() -> None:
        client = Client("http://hub", None, None, Log(), AsyncRuntime())
        async with Publisher(client, "a.b", WAITING, 30, None) as out:
            with pytest.raises(ValueError, match="expected both"):
                await out.send(1, refers="k-1")
            with pytest.raises(ValueError, match="expected None"):
                await out.send(1, refers="k-1", relation="delete")

    asyncio.run(send())
