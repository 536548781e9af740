"""CloudEvents, packs, notifications and compressed bodies are kept so that they can be mended."""

import gzip
import json
from typing import Any

import pytest

from tests.harness.clients import WsClient, http
from tests.harness.eventhub import EventHubServer
from tests.integration.commands import home, run  # noqa: F401
from tests.integration.refused_server import (  # noqa: F401
    GOOD,
    Channel,
    again,
    client_of,
    events,
    listed,
    of,
    post,
    post_at_once,
    server_fixture,
)
from tests.unit.events.test_foreign_payloads import NOTIFICATION

STRUCTURED = "application/cloudevents+json"
SENML = {"Content-Type": "application/senml+json"}
GZIP = {"Content-Encoding": "gzip"}
BINARY = {"ce-specversion": "1.0", "ce-id": "7", "ce-source": "/s", "ce-type": "t", "ce-shelf": "4"}


def cloudevent(data: Any, **fields: Any) -> dict[str, Any]:
    return {"specversion": "1.0", "id": "7", "source": "/s", "type": "t", **fields, "data": data}


def shown(server: EventHubServer, channel: str) -> list[dict[str, Any]]:
    """The stored events as CloudEvents, with the fields that a publisher sets."""
    headers = {"Accept": STRUCTURED, **of("producer")}
    page = http.get(f"{server.url}/v1/channels/{channel}", headers=headers).json()
    wanted = (*cloudevent(None), "shelf")
    return [
        {name: each[name] for name in wanted if name in each}
        for each in page
        if not each["type"].startswith("eventhub.")
    ]


# CloudEvents


def test_a_mended_cloudevent_in_binary_mode_has_its_attributes(
    server: EventHubServer, channel: Channel
) -> None:
    name = channel("iot")
    headers = {**BINARY, "Content-Type": "application/json"}
    assert post(server, name, b'{"value":"x"}', **headers).status_code == 422
    (entry,) = listed(server, name, 1)
    assert entry["payload"] == '{"value":"x"}'
    assert again(server, entry, GOOD).status_code == 201
    assert shown(server, name) == [cloudevent(GOOD, shelf="4")]


@pytest.mark.parametrize("batch", [False, True])
def test_a_mended_structured_cloudevent_replaces_the_one_that_was_kept(
    server: EventHubServer, channel: Channel, *, batch: bool
) -> None:
    name = channel("iot")
    bad, good = cloudevent({"value": "x"}, shelf=4), cloudevent(GOOD, shelf=5)
    body = json.dumps([bad] if batch else bad).encode()
    kind = "application/cloudevents-batch+json" if batch else STRUCTURED
    assert post(server, name, body, **{"Content-Type": kind}).status_code in (207, 422)
    (entry,) = listed(server, name, 1)
    assert json.loads(entry["payload"]) == bad
    assert again(server, entry).status_code == 422, "as it was received"
    assert again(server, entry, good).status_code == 201
    assert shown(server, name) == [good]


def test_cloudevents_of_a_websocket_are_kept_whole(
    server: EventHubServer, channel: Channel
) -> None:
    name = channel("iot")
    sent = [
        cloudevent({"value": "x"}, shelf=4, eventhubchannel=name),
        {**cloudevent(GOOD, eventhubchannel=name), "source": ""},
    ]
    with WsClient(server.ws_url, subprotocols=["cloudevents.json"]) as client:
        grant = {"token": client_of("ana")}
        client.send(**{**cloudevent(grant), "type": "eventhub.auth"})
        client.until("eventhub.authenticated")
        for each in sent:
            client.send(**each)
            assert client.until("eventhub.error")["data"]["code"] == "invalid_event"
    first, second = listed(server, name, 2)
    assert json.loads(first["payload"]) == cloudevent({"value": "x"}, shelf=4)
    assert json.loads(second["payload"]) == sent[1]
    assert (first["by"], first["transport"]) == ("ana", "websocket")
    assert again(server, first, cloudevent(GOOD, shelf=4)).status_code == 201
    assert shown(server, name) == [cloudevent(GOOD, shelf=4)]


def test_a_cloudevent_whose_source_and_id_were_used_is_kept_whole(
    server: EventHubServer, channel: Channel
) -> None:
    name, headers = channel("iot"), {"Content-Type": STRUCTURED}
    first, second = cloudevent({"value": 1.0}), cloudevent({"value": 2.0}, shelf=4)
    assert post(server, name, json.dumps(first).encode(), **headers).status_code == 201
    assert post(server, name, json.dumps(second).encode(), **headers).status_code == 422
    (entry,) = listed(server, name, 1)
    assert entry["error"]["code"] == "idempotency_conflict"
    assert again(server, entry).status_code == 201
    assert shown(server, name) == [first, second]


# What other tools send


def test_a_refused_record_of_a_pack_is_kept_as_it_was_resolved(
    server: EventHubServer, channel: Channel
) -> None:
    name = channel("pack")
    pack = [{"bn": "dev:", "bt": 1_790_000_000, "n": "a", "v": 1}, {"n": "b"}, {"n": "c", "v": 3}]
    assert post(server, name, json.dumps(pack).encode(), **SENML).status_code == 207
    (entry,) = listed(server, name, 1)
    record = json.loads(entry["payload"])
    assert record == {"n": "dev:b", "t": 1_790_000_000}
    assert again(server, entry, {**record, "v": 2}).status_code == 201
    assert [each["data"]["n"] for each in events(server, name)] == ["dev:a", "dev:c", "dev:b"]


def test_a_refused_pack_is_mended_as_a_pack(server: EventHubServer, channel: Channel) -> None:
    name = channel("pack")
    assert (
        post(server, name, b'[{"bn":"dev:","n":"a","v":1},{"bt":"x"}]', **SENML).status_code == 422
    )
    (entry,) = listed(server, name, 1)
    mended = [{"bn": "dev:", "n": "a", "v": 1}, {"n": "b", "v": 2}]
    assert again(server, entry, mended).status_code == 201
    assert [each["data"]["n"] for each in events(server, name)] == ["dev:a", "dev:b"]


def test_a_refused_notification_is_kept(server: EventHubServer, channel: Channel) -> None:
    name, bad = channel("alerts"), {**NOTIFICATION, "status": "burning"}
    assert post(server, name, json.dumps(bad).encode()).status_code == 422
    (entry,) = listed(server, name, 1)
    assert json.loads(entry["payload"]) == bad
    assert again(server, entry, NOTIFICATION).status_code == 201


# Compressed bodies


def test_what_was_compressed_is_kept_unpacked(server: EventHubServer, channel: Channel) -> None:
    name, lines = channel("iot"), {"Content-Type": "application/x-ndjson"}
    head, strange = gzip.compress(b'{"value":"head"}'), {"ce-time": "never", **GZIP}
    post(server, name, gzip.compress(b'{"value":"whole"}'), **GZIP)
    post(server, name, gzip.compress(b'{"value":1}\n{"value":"line"}\n'), **lines, **GZIP)
    assert post_at_once(server, name, head, **strange) == 400
    found = listed(server, name, 3)
    assert [(each["payload"], each["cut"]) for each in found] == [
        ('{"value":"whole"}', False),
        ('{"value":"line"}', False),
        ('{"value":"head"}', False),
    ]
    assert again(server, found[1], GOOD).status_code == 201


def test_a_compressed_body_that_breaks_off_is_kept_as_a_part(
    server: EventHubServer, channel: Channel
) -> None:
    name = channel("iot")
    assert post(server, name, gzip.compress(b'{"value":12}')[:-8], **GZIP).status_code == 400
    (entry,) = listed(server, name, 1)
    assert (entry["payload"], entry["cut"]) == ('{"value":12}', True)
    assert again(server, entry).json()["code"] == "invalid_request"


# The command line


def test_refused_events_are_mended_with_commands(server: EventHubServer, channel: Channel) -> None:
    name, key = channel("iot"), ("--api-key", "ehk_repair-0123456789")
    for value in ("a", "b"):
        post(server, name, b'{"value":"%b"}' % value.encode())
    first, second = (each["id"] for each in listed(server, name, 2))
    shown = run(server, "refused", "list", "--channel", name, *key)
    assert [line.split()[0] for line in shown.stdout.splitlines()] == ["id", second, first]
    payload = run(server, "refused", "show", "iot", first, "--payload", *key).stdout
    assert payload == '{"value":"a"}'
    still = run(server, "refused", "publish", "iot", first, *key)
    assert (still.exit_code, "invalid_event" in still.stderr) == (1, True)
    mended = payload.replace('"a"', "1")
    assert run(server, "refused", "publish", "iot", first, "-", *key, text=mended).exit_code == 0
    assert run(server, "refused", "discard", "iot", second, *key).stdout == f"{second}\n"
    assert listed(server, name, 0) == []
    assert [each["data"]["value"] for each in events(server, name)] == [1]
