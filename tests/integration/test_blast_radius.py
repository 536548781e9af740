"""Nothing that one client, record, channel type or peer causes ends a node, a feed or another
connection.
"""

import asyncio
import json
import operator
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.harness.clients import NdjsonProducer, WsClient, http, metric
from tests.harness.credentials import jwk, token
from tests.harness.eventhub import EventHubServer
from tests.harness.eventually import async_eventually
from tests.harness.jwks_server import JwksServer
from tests.integration.crowd import Crowd

Start = Callable[..., EventHubServer]
MODELS = '''
import asyncio
import sys
from typing import Any
from pydantic import BaseModel, ConfigDict, field_serializer, field_validator


def again(depth: int) -> int:
    return again(depth + 1) + 1


class Rash(BaseModel):
    """Raises what no validator should; "secret" is what no answer may show."""

    model_config = ConfigDict(ser_json_inf_nan="constants")
    raises: str = ""
    value: Any = None

    @field_validator("raises")
    @classmethod
    def _check(cls, what: str) -> str:
        match what:
            case "division":
                1 // 0
            case "key":
                {}["secret"]
            case "recursion":
                again(0)
            case "exit":
                sys.exit("secret")
            case "cancelled":
                raise asyncio.CancelledError
            case "text":
                raise Unprintable
        return what

    @field_serializer("value")
    def _write(self, value: Any) -> Any:
        if value == "unwritable":
            raise LookupError("secret")
        return float("nan") if value == "nan" else value


class Unprintable(Exception):
    def __str__(self) -> str:
        raise ZeroDivisionError
'''
CONFIG = """
log: {format: json}
auth:
  public_metrics: true
  tokens:
    leeway: 0
    issuer: https://id.example.com
    audience: eventhub
    jwks: "%s"
limits: {connections_per_address: 3000}
channels:
  rash: {payload: "models:Rash", publish: [client, producer], anonymous: [publish, subscribe]}
  json: {payload: json, publish: [client, producer], anonymous: [publish, subscribe]}
"""
BAD: dict[str, dict[str, Any]] = {
    "ZeroDivisionError": {"raises": "division"},
    "KeyError": {"raises": "key"},
    "RecursionError": {"raises": "recursion"},
    "SystemExit": {"raises": "exit"},
    "CancelledError": {"raises": "cancelled"},
    "Unprintable": {"raises": "text"},
    "PydanticSerializationError": {"value": "unwritable"},
    "JSONDecodeError": {"value": "nan"},
}
"""What a model fails over, by the error that the answer names."""
LANES = ("fast", "asgi")


@pytest.fixture(scope="session")
def jwks() -> Iterator[JwksServer]:
    with JwksServer(jwk("ES256", "known")) as server:
        yield server


@pytest.fixture(scope="session", params=LANES)
def server(
    request: pytest.FixtureRequest, jwks: JwksServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EventHubServer]:
    directory = tmp_path_factory.mktemp("rash")
    Path(directory, "models.py").write_text(MODELS)
    with EventHubServer(directory, CONFIG % jwks.url, lane=request.param) as server:
        yield server


@pytest.fixture
def others(server: EventHubServer) -> Iterator[None]:
    """Readers of another channel, on each transport: they get every event, in order, and stay."""
    with ExitStack() as stack:
        sockets = [
            stack.enter_context(WsClient(f"{server.ws_url}?channel=json.beside")) for _ in range(3)
        ]
        streams = [
            stack.enter_context(stream(server, f"/v1/channels/json.beside/{kind}"))
            for kind in ("sse", "ndjson")
        ]
        for client in sockets:
            client.until("subscribed")
        http.post(f"{server.url}/v1/channels/json.beside", json=0)
        yield
        for number in range(1, 4):
            assert (
                http.post(f"{server.url}/v1/channels/json.beside", json=number).status_code == 201
            )
        for client in sockets:
            assert [event["data"] for event in client.events(4)] == [0, 1, 2, 3]
        for lines in streams:
            assert [next(lines) for _ in range(4)] == [0, 1, 2, 3]
    assert http.get(f"{server.url}/readyz").status_code == 200
    assert "hub_ended" not in server.log.read_text()


class stream:  # noqa: N801  # a function in all but its end
    """The data of a stream's events, from its beginning."""

    def __init__(self, server: EventHubServer, path: str) -> None:
        self.response = http.stream("GET", f"{server.url}{path}")

    def __enter__(self) -> Iterator[Any]:
        lines = self.response.__enter__().iter_lines()
        while '"subscribed"' not in next(lines):
            pass
        return (
            json.loads(line.removeprefix("data: "))["data"]
            for line in lines
            if '"type":"event"' in line
        )

    def __exit__(self, *error: Any) -> None:
        self.response.__exit__(*error)


def is_about_the_model(error: dict[str, Any], kind: str) -> None:
    assert error["code"] == "invalid_event"
    text = error.get("detail") or error["message"]
    assert f"the channel type's model failed with {kind}" in text
    assert "secret" not in json.dumps(error)


def test_a_publish_right_after_a_token_whose_key_is_being_fetched_is_served(
    server: EventHubServer, others: None
) -> None:
    with WsClient(server.ws_url) as client:
        client.until("hello")
        unknown = token(
            "ES256", header={"kid": "unknown"}, iss="https://id.example.com", aud="eventhub"
        )
        client.connection.send(json.dumps({"type": "auth", "token": unknown, "ref": 1}))
        client.connection.send(
            json.dumps(
                {"type": "publish", "channel": "rash.a", "data": BAD["ZeroDivisionError"], "ref": 2}
            )
        )
        first, second = client.until("error"), client.until("error")
        assert first["ref"] == 1
        assert second["ref"] == 2
        is_about_the_model(second, "ZeroDivisionError")
        client.send(type="ping", ref=3)
        assert client.until("pong")["ref"] == 3


@pytest.mark.parametrize("kind", BAD)
def test_a_payload_model_that_fails_only_refuses_its_event(
    server: EventHubServer, others: None, kind: str
) -> None:
    url, good = f"{server.url}/v1/channels/rash.{kind}", {"raises": "nothing"}
    answer = http.post(url, json=BAD[kind])
    assert answer.status_code == 422
    is_about_the_model(answer.json(), kind)
    answer = http.post(url, json=[good, BAD[kind], good])
    assert answer.status_code == 207
    assert ["error" in result for result in answer.json()["results"]] == [False, True, False]
    is_about_the_model(answer.json()["results"][1]["error"], kind)
    with NdjsonProducer(server.port, f"rash.{kind}") as producer:
        producer.send(
            b"".join(json.dumps(event).encode() + b"\n" for event in (good, BAD[kind], good))
        )
        producer.end()
        lines = [producer.progress()]
        while "done" not in lines[-1]:
            lines.append(producer.progress())
        assert (lines[-1]["accepted"], lines[-1]["rejected"], lines[-1]["done"]) == (2, 1, True)
        is_about_the_model(next(line["error"] for line in lines if "error" in line), kind)
    with WsClient(server.ws_url) as client:
        for ref, event in enumerate((good, BAD[kind], good)):
            client.send(type="publish", channel=f"rash.{kind}", data=event, ref=ref)
        is_about_the_model(client.until("error"), kind)
        client.send(type="publish", channel=f"rash.{kind}", data=good, ref=3)
        while client.until("published")["ref"] != 3:
            pass
    stored = http.get(url).json()["events"]
    assert [event["data"] for event in stored] == [good] * 7


def test_the_log_has_the_tracebacks_and_no_more_than_one_a_second_of_a_type(
    server: EventHubServer,
) -> None:
    said = server.log.read_text().count("model_failed")
    for _ in range(20):
        assert (
            http.post(
                f"{server.url}/v1/channels/rash.many", json=BAD["ZeroDivisionError"]
            ).status_code
            == 422
        )
    log = server.log.read_text()
    assert "1 // 0" in log
    assert log.count("model_failed") - said < 20
    assert metric(server.url, "eventhub_events_rejected_total") >= 20
    assert metric(server.url, "eventhub_faults_total") == 0, "a model's fault is not the server's"


def test_payload_models_that_fail_change_nothing_for_a_thousand_other_clients(
    server: EventHubServer,
) -> None:
    async def main() -> None:
        crowd = Crowd(server.port)
        await crowd.add("json.crowd", [None] * 1000)
        for number in range(5):
            for kind in BAD:
                await asyncio.to_thread(
                    http.post, f"{server.url}/v1/channels/rash.crowd", json=BAD[kind]
                )
            await asyncio.to_thread(http.post, f"{server.url}/v1/channels/json.crowd", json=number)
        await async_eventually(
            "five events at each",
            lambda: [client for client in crowd.clients if len(client.offsets) < 5],
            operator.not_,
        )
        assert {tuple(client.offsets) for client in crowd.clients} == {
            tuple(crowd.clients[0].offsets)
        }
        assert (crowd.lost, crowd.refused, crowd.gaps, crowd.errors, crowd.connected) == (
            0,
            0,
            0,
            [],
            1000,
        )
        await crowd.end()

    asyncio.run(main())
