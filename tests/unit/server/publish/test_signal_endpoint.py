"""server/publish/signal_endpoint.py, and the signals of POST /v1/events."""

import json
from typing import Any

import httpx
import pytest

from eventhub.auth.keys import hash_key
from eventhub.config.settings import Settings
from eventhub.errors import BrokerUnavailable
from eventhub.events.signal import Signal
from eventhub.hub.hub import Hub
from tests.unit.server.api.requests import request

PATH = "/v1/channels/chat.a?signal=true"
TYPING = '{"sender":"ana","typing":true}'
KEY = "ehk_ana-0123456789ab"
AUTHORIZED = {"authorization": f"Bearer {KEY}"}


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Signal]:
    """The signals that reached the hub."""
    found: list[Signal] = []
    monkeypatch.setattr(Hub, "signal", lambda self, signal: found.append(signal))
    return found


def settings(**key: Any) -> Settings:
    """A server whose key may do this, with one signal a second."""
    auth = {"keys": [{"name": "ana", "hash": hash_key(KEY), **key}]}
    return Settings.model_validate({"auth": auth, "limits": {"signal_rate": 1}})


def post(body: str = TYPING, path: str = PATH, **options: Any) -> httpx.Response:
    return request("POST", path, content=body, **options)


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_signal_is_accepted_and_not_stored(method: str, sent: list[Signal]) -> None:
    answer = request(method, PATH, content=' {"typing": true}', headers={"ce-subject": "%C3%A9"})
    assert (answer.status_code, answer.json()) == (202, {"channel": "chat.a", "signal": True})
    (signal,) = sent
    assert signal[:2] == ("chat.a", b'{"typing":true}')
    assert signal.attributes == {"subject": "\u00e9"}


def test_a_signal_carries_the_principal_that_sent_it(sent: list[Signal]) -> None:
    answer = request("POST", PATH, settings(signal=["chat.*"]), content=TYPING, headers=AUTHORIZED)
    assert answer.status_code == 202
    assert sent[0].attributes == {"by": "ana"}


@pytest.mark.parametrize("granted", ["subscribe", "presence"])
def test_it_needs_a_grant(granted: str, sent: list[Signal]) -> None:
    answer = request("POST", PATH, settings(**{granted: [">"]}), content=TYPING, headers=AUTHORIZED)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert sent == []


@pytest.mark.parametrize(
    ("path", "body", "headers", "status", "part"),
    [
        ("/v1/channels/chat.a?signal=false", TYPING, {}, 400, "signal is 'false'; expected true"),
        ("/v1/channels/chat.a?signal=", TYPING, {}, 400, "signal is ''; expected true"),
        ("/v1/channels/chat.a?signal=true&signal=true", TYPING, {}, 400, "more than once"),
        (
            "/v1/channels/chat.a?handling=lenient&signal=true",
            TYPING,
            {},
            400,
            "'handling' does not",
        ),
        ("/v1/channels/chat.a?signals=true", TYPING, {}, 400, "'signals' does not go with signal"),
        (PATH, "[1]", {}, 400, "JSON array; expected one signal; POST /v1/events"),
        (PATH, "1\n", {"content-type": "application/x-ndjson"}, 415, "NDJSON; expected one signal"),
        (PATH, TYPING, {"idempotency-key": "k"}, 400, "has no Idempotency-Key"),
        (PATH, "{", {}, 400, "JSON"),
        (PATH, "", {}, 400, "JSON"),
        (PATH, json.dumps("x" * 4095), {}, 413, "4097 bytes; at most 4096 are allowed"),
        (PATH, json.dumps("x" * 70_000), {}, 413, "70002 bytes; at most 4096 are allowed"),
        (PATH, "[" * 40 + "]" * 40, {"ce-id": "1", "ce-specversion": "1.0"}, 400, "32 levels"),
        ("/v1/channels/logs.a?signal=true", "{}", {}, 403, "takes signals from nobody"),
        ("/v1/channels/nope.a?signal=true", "{}", {}, 404, "nope"),
    ],
)
def test_a_request_that_is_no_signal_says_what_was_expected(
    path: str, body: str, headers: dict[str, str], status: int, part: str, sent: list[Signal]
) -> None:
    answer = post(body, path, headers=headers)
    assert answer.status_code == status, answer.text
    assert part in answer.json()["detail"]
    assert sent == []


def test_a_broker_that_is_away_is_503(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(self: Hub, signal: Signal) -> None:
        raise BrokerUnavailable("away")

    monkeypatch.setattr(Hub, "signal", away)
    answer = post()
    assert (answer.status_code, answer.json()["code"]) == (503, "broker_unavailable")
    assert answer.headers["retry-after"]


def test_items_may_be_signals_beside_events(sent: list[Signal]) -> None:
    signal = {"channel": "chat.a", "data": {"typing": True}, "signal": True}
    event = {"channel": "chat.a", "data": {"sender": "ana", "text": "oi"}, "signal": False}
    answer = request("POST", "/v1/events", content=json.dumps([signal, event, signal]))
    assert answer.status_code == 201
    accepted = {"channel": "chat.a", "signal": True}
    first, second, third = answer.json()["results"]
    assert (first, list(second), third) == (accepted, ["channel", "id", "time"], accepted)
    assert (answer.json()["accepted"], len(sent)) == (3, 2)
    alone = request("POST", "/v1/events", content=json.dumps([signal]))
    assert (alone.status_code, alone.json()["results"]) == (202, [accepted])


@pytest.mark.parametrize(
    ("changed", "code", "part"),
    [
        ({"key": "k"}, "invalid_request", "expected no key"),
        ({"channel": "logs.a"}, "forbidden", "takes signals from nobody"),
        ({"data": "x" * 5000}, "payload_too_large", "limits.signal_bytes"),
        ({"signal": 1}, "invalid_request", "not an event with its channel"),
    ],
)
def test_a_refused_signal_costs_no_other_item(
    changed: dict[str, Any], code: str, part: str, sent: list[Signal]
) -> None:
    signal = {"channel": "chat.a", "data": {"typing": True}, "signal": True}
    items = [{**signal, **changed}, signal]
    answer = request("POST", "/v1/events", content=json.dumps(items))
    assert answer.status_code == 207
    refused = answer.json()["results"][0]["error"]
    assert (refused["code"], len(sent)) == (code, 1)
    assert part in refused["message"]


def test_the_idempotency_key_of_a_request_is_not_for_its_signals(sent: list[Signal]) -> None:
    signal = {"channel": "chat.a", "data": {"typing": True}, "signal": True}
    headers = {"idempotency-key": "k"}
    answer = request("POST", "/v1/events", content=json.dumps([signal]), headers=headers)
    assert (answer.status_code, len(sent)) == (202, 1)


def test_signals_over_their_rate_are_refused_one_by_one(sent: list[Signal]) -> None:
    signal = {"channel": "chat.a", "data": 1, "signal": True}
    answer = request(
        "POST",
        "/v1/events",
        settings(publish=[">"]),
        content=json.dumps([signal] * 3),
        headers=AUTHORIZED,
    )
    errors = [result.get("error", {}).get("code") for result in answer.json()["results"]]
    assert errors == [None, "rate_limited", "rate_limited"]
    assert len(sent) == 1
