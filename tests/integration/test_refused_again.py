"""Refused events are mended and published again."""

from tests.harness.clients import WsClient, http
from tests.harness.eventhub import EventHubServer
from tests.integration.refused_server import (  # noqa: F401
    GOOD,
    Channel,
    address,
    again,
    client_of,
    events,
    listed,
    of,
    post,
    server_fixture,
)


def test_a_mended_event_is_published_once_by_another_author_and_leaves_the_list(
    server: EventHubServer, channel: Channel
) -> None:
    name = channel("iot")
    headers = {"ce-source": "/h%C3%A4ll 2", "ce-subject": "s", "ce-id": "7"}
    post(server, name, b'{"sensor":"t1","value":"21,5"}', **headers)
    (entry,) = listed(server, name, 1)
    still = again(server, entry)
    assert (still.status_code, still.json()["code"]) == (422, "invalid_event")
    assert again(server, entry, GOOD, by="operator").status_code == 403, "it may not publish"
    assert len(listed(server, name, 1)) == 1, "no entry of an entry"
    stored = again(server, entry, GOOD, **{"ce-subject": "mended"})
    assert stored.status_code == 201
    attributes = {"source": "/häll 2", "subject": "mended", "id": "7"}
    assert events(server, name) == [{"data": GOOD, "by": "repair", "attributes": attributes}]
    assert again(server, entry, GOOD).status_code == 404
    assert http.delete(address(server, entry), headers=of("repair")).status_code == 404


def test_an_array_is_published_whole_or_stays(server: EventHubServer, channel: Channel) -> None:
    name = channel("iot")
    post(server, name, b'[{"value":1},{"value":2}')
    (entry,) = listed(server, name, 1)
    assert again(server, entry, [{"value": 1}, {"value": "x"}]).status_code == 207
    assert len(listed(server, name, 1)) == 1
    assert again(server, entry, [{"value": 1}, {"value": 2}]).status_code == 201
    assert [each["data"]["value"] for each in events(server, name)] == [1, 2], "1 is stored once"


def test_a_payload_that_was_cut_needs_a_whole_one(server: EventHubServer, channel: Channel) -> None:
    name = channel("iot")
    post(server, name, b'{"value":"' + b"x" * 2000 + b'"}')
    (entry,) = listed(server, name, 1)
    assert again(server, entry).json()["code"] == "invalid_request"
    assert again(server, entry, GOOD).status_code == 201


def test_what_the_publisher_asked_for_holds_for_the_mended_event(
    server: EventHubServer, channel: Channel
) -> None:
    edited, once = channel("iot"), channel("once")
    first = post(server, edited, b'{"value":1}').json()["id"]
    url = f"{server.url}/v1/channels/{edited}?refers={first}&relation=edit"
    assert http.post(url, content=b'{"value":"x"}', headers=of("producer")).status_code == 422
    (edit,) = listed(server, edited, 1)
    assert again(server, edit, {"value": 2}).status_code == 403, "an edit is its author's"
    assert post(server, once, b'{"sensor":"t1"}', **{"If-None-Match": "*"}).status_code == 422
    assert post(server, once, b'{"sensor":"t1","value":1}').status_code == 201
    (new,) = listed(server, once, 1)
    assert new["options"] == {"if_match": "none"}
    assert again(server, new, GOOD).status_code == 412
    newest = http.get(f"{server.url}/v1/channels/{once}", headers=of("producer")).json()["head"]
    assert again(server, new, GOOD, **{"If-Match": f'"{newest}"'}).status_code == 201


def test_a_type_that_takes_events_from_clients_alone_checks_the_sender(
    server: EventHubServer, channel: Channel
) -> None:
    name = channel("talk")
    with WsClient(server.ws_url) as client:
        client.send(type="auth", token=client_of("ana"))
        client.until("authenticated")
        client.send(type="publish", channel=name, data={"sender": "eve", "text": "hi"})
        client.until("error")
    (entry,) = listed(server, name, 1)
    assert again(server, entry, {"sender": "ana", "text": "hi"}).status_code == 422
    assert again(server, entry, {"sender": "repair", "text": "hi"}).status_code == 201


def test_pages_go_back_in_time_and_a_restart_keeps_them(
    server: EventHubServer, channel: Channel
) -> None:
    name = channel("once")
    for number in range(5):
        post(server, name, b'{"value":"%d"}' % number)
    found = listed(server, name, 5)
    assert http.delete(address(server, found[3]), headers=of("repair")).status_code == 204
    server.restart()
    pages: list[list[str]] = []
    before: dict[str, str] = {}
    while True:
        query = {"channel": name, "limit": "3", **before}
        page = http.get(f"{server.url}/v1/refused", params=query, headers=of("repair")).json()
        pages.append([each["id"] for each in page["refused"]])
        if page["next"] is None:
            break
        before = {"before": page["next"]}
    assert pages == [[found[4]["id"], found[2]["id"], found[1]["id"]], [found[0]["id"]]]
    assert [each["payload"] for each in listed(server, name, 4)][:1] == ['{"value":"0"}']
