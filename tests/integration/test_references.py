"""Edits, deletions and reactions: over each way to publish, for each way to read."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from eventhub.auth.keys import hash_key
from tests.harness.clients import WsClient, http
from tests.harness.credentials import SECRET, token
from tests.harness.eventhub import EventHubServer

Channel = Callable[[str], str]
BACKEND = "ehk_backend-0123456789"
CONFIG = f"""
auth:
  keys: [{{name: backend, hash: "{hash_key(BACKEND)}", publish: ['>'], moderate: ['chat.>']}}]
  tokens: {{keys: [{{algorithm: HS256, secret: "{SECRET.decode()}"}}]}}
channels:
  chat:
    payload: chat
    publish: [client, producer]
    anonymous: [subscribe, publish]
    signals: {{publish: [client, producer]}}
  orders: {{payload: json, key: /id, publish: [client, producer], anonymous: [subscribe, publish]}}
  iot: {{payload: reading, publish: [producer], anonymous: [subscribe, publish]}}
"""
BACKEND_HEADERS = {"Authorization": f"Bearer {BACKEND}"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventHubServer]:
    with EventHubServer(tmp_path_factory.mktemp("server"), CONFIG) as server:
        yield server


def of(name: str) -> dict[str, str]:
    grants = {"subscribe": [">"], "publish": [">"]}
    credential = token("HS256", sub=name, exp=time.time() + 600, channels=grants)
    return {"Authorization": f"Bearer {credential}"}


def say(
    server: EventHubServer, channel: str, text: str, headers: dict[str, str], **query: str
) -> Any:
    body = {"sender": "x", "text": text}
    url = f"{server.url}/v1/channels/{channel}"
    return http.post(url, json=body, headers=headers, params=query)


def shown(event: dict[str, Any]) -> tuple[Any, ...]:
    text = event["data"] and event["data"]["text"]
    return text, event.get("by"), event.get("refers"), event.get("relation")


def test_every_reader_sees_what_refers_to_what(server: EventHubServer, channel: Channel) -> None:
    name, ana, rui = channel("chat"), of("ana"), of("rui")
    first = say(server, name, "helo", ana).json()["id"]
    url = f"{server.url}/v1/channels/{name}"
    with WsClient(f"{server.ws_url}?channel={name}") as reader:
        assert say(server, name, "hello", ana, refers=first, relation="edit").status_code == 201
        like = say(server, name, "+1", rui, refers=first, relation="reaction").json()["id"]
        assert http.delete(url, params={"id": like}, headers=rui).status_code == 200
        with WsClient(server.ws_url, additional_headers=ana) as client:
            client.send(
                type="publish", ref=1, channel=name, refers=first, relation="delete", key="once"
            )
            client.until("published")
        live = [reader.until("event") for _ in range(4)]
    expected = [
        ("hello", "ana", first, "edit"),
        ("+1", "rui", first, "reaction"),
        (None, "rui", like, "delete"),
        (None, "ana", first, "delete"),
    ]
    assert [shown(event) for event in live] == expected
    page = http.get(url).json()["events"]
    assert [shown(event) for event in page] == [("helo", "ana", None, None), *expected]
    filtered = http.get(url, params={"where": f'refers == "{first}" && relation != "reaction"'})
    assert [shown(event)[3] for event in filtered.json()["events"]] == ["edit", "delete"]
    with http.stream("GET", f"{url}/ndjson", params={"since": "earliest"}) as stream:
        lines = stream.iter_lines()
        events = [json.loads(next(lines)) for _ in range(6)][1:]
    assert [shown(event) for event in events] == [("helo", "ana", None, None), *expected]


def test_only_the_author_and_moderators_edit_and_delete(
    server: EventHubServer, channel: Channel
) -> None:
    name = channel("chat")
    ids = {
        "ana": say(server, name, "a", of("ana")).json()["id"],
        "": say(server, name, "nobody's", {}).json()["id"],
    }
    url = f"{server.url}/v1/channels/{name}"
    for headers, target, status in (
        (of("rui"), "ana", 403),
        ({}, "ana", 403),
        (of("rui"), "", 403),
        ({}, "", 403),
        (of("ana"), "ana", 201),
        (BACKEND_HEADERS, "ana", 201),
        (BACKEND_HEADERS, "", 201),
    ):
        edit = say(server, name, "b", headers, refers=ids[target], relation="edit")
        deletion = http.delete(url, params={"id": ids[target]}, headers=headers)
        deleted = 200 if status == 201 else status
        assert (edit.status_code, deletion.status_code) == (status, deleted), (headers, target)
    reaction = say(server, name, "+1", {}, refers=ids["ana"], relation="reaction")
    assert reaction.status_code == 201


def test_a_repeated_edit_is_stored_once(server: EventHubServer, channel: Channel) -> None:
    name, ana = channel("chat"), of("ana")
    first = say(server, name, "helo", ana).json()["id"]
    once = {**ana, "Idempotency-Key": "k"}
    answers = [say(server, name, "hello", once, refers=first, relation="edit") for _ in range(3)]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert answers[-1].headers["Idempotent-Replayed"] == "true"


def test_types_with_keys_and_types_of_producers(server: EventHubServer, channel: Channel) -> None:
    orders, iot = channel("orders"), channel("iot")
    post = f"{server.url}/v1/channels/"
    first = http.post(post + orders, json={"id": 17, "n": 1}, headers=of("ana")).json()["id"]
    edit = {"refers": first, "relation": "edit"}
    http.post(post + orders, json={"id": 17, "n": 2}, headers=of("ana"), params=edit)
    state = http.get(post + orders, params={"since": "state"}).json()["events"]
    assert [(event["data"], event["key"], event["refers"]) for event in state] == [
        ({"id": 17, "n": 2}, "17", first)
    ]
    refused = http.delete(post + orders, params={"id": first}, headers=of("ana"))
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_request")
    reading = http.post(post + iot, json={"value": 1}, headers=of("t")).json()["id"]
    assert http.delete(post + iot, params={"id": reading}, headers=of("t")).status_code == 200


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ("refers={id}", 400, "refers is given without relation"),
        ("relation=edit", 400, "relation is given without refers"),
        ("refers={id}&relation=like", 400, "expected edit or delete or reaction"),
        ("refers={id}&relation=delete", 400, "DELETE /v1/channels/"),
        ("refers=x&relation=edit", 400, "expected the id of an event"),
        ("refers={id}&refers={id}&relation=edit", 400, "more than once"),
        ("refers={id}&relation=edit&signal=true", 400, "does not go with signal"),
        ("refers=nolog-1&relation=edit", 404, "that the log of"),
    ],
)
def test_a_bad_reference_is_explained(
    server: EventHubServer, channel: Channel, query: str, status: int, words: str
) -> None:
    name, ana = channel("chat"), of("ana")
    first = say(server, name, "a", ana).json()["id"]
    url = f"{server.url}/v1/channels/{name}?{query.format(id=first)}"
    answer = http.post(url, json={"sender": "x", "text": "b"}, headers=ana)
    assert answer.status_code == status
    assert words in answer.json()["detail"]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        (
            {"refers": "x", "relation": "edit", "data": 1},
            "invalid_request",
        ),
        ({"refers": "e-1", "relation": "delete", "data": 1}, "invalid_frame"),
        ({"refers": "e-1", "relation": "delete", "deleted": "k"}, "invalid_frame"),
        ({"refers": "e-1", "relation": "delete", "if_match": "none"}, "invalid_frame"),
        ({"refers": "e-1", "relation": "edit", "deleted": "k"}, "invalid_frame"),
        ({"refers": "e-1", "relation": "edit"}, "invalid_frame"),
        ({"refers": 1, "relation": "edit", "data": 1}, "invalid_frame"),
        ({"refers": "e-1", "relation": "edit", "data": {"sender": "x"}}, "invalid_event"),
        ({"refers": "e-1", "relation": "reaction", "data": 1, "signal": True}, "invalid_frame"),
        ({"refers": "e-1", "relation": "delete"}, "not_found"),
        ({"attributes": {"refers": "e-1"}, "data": 1}, "invalid_frame"),
    ],
)
def test_a_bad_reference_over_a_websocket_has_its_code(
    server: EventHubServer, channel: Channel, fields: dict[str, Any], code: str
) -> None:
    with WsClient(server.ws_url, additional_headers=of("ana")) as client:
        client.send(type="publish", ref=1, channel=channel("chat"), **fields)
        assert client.until("error")["code"] == code


def test_several_events_have_no_reference(server: EventHubServer, channel: Channel) -> None:
    name, ana = channel("chat"), of("ana")
    first = say(server, name, "a", ana).json()["id"]
    url = f"{server.url}/v1/channels/{name}?refers={first}&relation=edit"
    for body, media_type in (("[1]", "application/json"), ("1\n", "application/x-ndjson")):
        answer = http.post(url, content=body, headers={**ana, "Content-Type": media_type})
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    item = {"channel": name, "data": {"sender": "x", "text": "b"}, "refers": first}
    answer = http.post(f"{server.url}/v1/events", json=[item], headers=ana)
    assert answer.json()["results"][0]["error"]["code"] == "invalid_request"


@pytest.mark.parametrize("query", ["", "key=a&id=e-1", "id=", "id=x"])
def test_a_deletion_names_either_a_key_or_an_event(
    server: EventHubServer, channel: Channel, query: str
) -> None:
    answer = http.delete(f"{server.url}/v1/channels/{channel('chat')}?{query}", headers=of("ana"))
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
