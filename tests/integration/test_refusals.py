"""Every line of docs/refusals.md, sent to a server over each transport that it is about."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.harness.clients import WsClient, http
from tests.harness.eventhub import EventHubServer

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "refusals.md").read_text()


def expanded(cell: str) -> str:
    """A cell without its code font, and `{a*3}` as `aaa`."""
    text = cell.strip().strip("`")
    return re.sub(r"\{(.)\*(\d+)\}", lambda found: found[1] * int(found[2]), text)


def lines(section: str) -> list[tuple[str, ...]]:
    """The lines of a section's table, without its head."""
    [text] = [each for each in PAGE.split("\n## ") if each.startswith(section + "\n")]
    rows = [line for line in text.splitlines() if line.startswith("|")][2:]
    assert rows
    return [tuple(map(expanded, row.strip("|").split("|"))) for row in rows]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventHubServer]:
    """A server with the configuration of the page."""
    config = PAGE.partition("```yaml\n")[2].partition("```")[0]
    with EventHubServer(tmp_path_factory.mktemp("refusals"), config) as server:
        yield server


def address(hub: EventHubServer, path: str) -> str:
    return hub.url + quote(path, safe="/?&=%@,:*")


def words(error: dict[str, Any]) -> str:
    """All that an error says."""
    details = [f"{each['pointer']}: {each['message']}" for each in error.get("details", ())]
    return " ".join([error.get("detail") or error["message"], *details])


def refused(hub: EventHubServer, method: str, path: str, **rest: Any) -> tuple[str, str]:
    """The code, and what the answer says."""
    answer = http.request(method, address(hub, path), **rest)
    assert 400 <= answer.status_code < 500, (answer.status_code, answer.text[:300])
    problem = answer.json()
    return problem["code"], words(problem)


def error_after(hub: EventHubServer, query: str, message: str | None = None) -> tuple[str, str]:
    """The first error that a WebSocket gets."""
    url = address(hub, f"/v1/ws{query}").replace("http://", "ws://")
    with WsClient(url) as client:
        if message is not None:
            client.connection.send(message)
        error = client.until("error")
        return error["code"], words(error)


@pytest.mark.parametrize(("request_line", "code", "says"), lines("Requests"))
def test_a_request_is_refused_as_the_page_says(
    hub: EventHubServer, request_line: str, code: str, says: str
) -> None:
    method, path = request_line.split(" ", 1)
    found, said = refused(hub, method, path)
    assert (found, says in said) == (code, True), said


@pytest.mark.parametrize(
    ("query", "code", "says"), lines("Addresses of streams, of WebSockets and of pages")
)
def test_an_address_is_refused_as_the_page_says_over_every_transport(
    hub: EventHubServer, query: str, code: str, says: str
) -> None:
    query = query.replace("{", "%7B").replace("}", "%7D").replace('"', "%22")
    found = [refused(hub, "GET", f"/v1/{stream}?{query}") for stream in ("sse", "ndjson")]
    found.append(error_after(hub, f"?{query}"))
    if not re.search("member|presence|nope=|=-1|where|not among|@", query):
        found.append(refused(hub, "GET", f"/v1/events?{query}"))
    for each, said in found:
        assert (each, says in said) == (code, True), said


@pytest.mark.parametrize(("expression", "says"), lines("Filters"))
def test_a_filter_is_refused_as_the_page_says_wherever_it_is_given(
    hub: EventHubServer, expression: str, says: str
) -> None:
    where = quote(expression, safe="")
    found = [
        refused(hub, "GET", f"{path}where={where}")
        for path in (
            "/v1/channels/iot.a?",
            "/v1/channels/iot.a/count?",
            "/v1/events?channel=iot.>&",
            "/v1/sse?channel=iot.a&",
            "/v1/ndjson?channel=iot.>&",
        )
    ]
    command = {"type": "subscribe", "channel": "iot.a", "where": expression}
    found += [error_after(hub, f"?channel=iot.a&where={where}")]
    found += [error_after(hub, "", json.dumps(command))]
    for code, said in found:
        assert (code, says in said) == ("invalid_filter", True), said


@pytest.mark.parametrize(("message", "code", "says"), lines("WebSocket commands"))
def test_a_command_is_refused_as_the_page_says(
    hub: EventHubServer, message: str, code: str, says: str
) -> None:
    found, said = error_after(hub, "", message)
    assert (found, says in said) == (code, True), said


@pytest.mark.parametrize(("item", "code", "command_code", "says"), lines("Events"))
def test_an_event_is_refused_as_the_page_says_over_every_transport(
    hub: EventHubServer, item: str, code: str, command_code: str, says: str
) -> None:
    ndjson = {"Content-Type": "application/x-ndjson"}
    for body, headers in ((f"[{item}]", {}), (f"{item}\n", ndjson)):
        answer = http.post(f"{hub.url}/v1/events", content=body, headers=headers)
        [result] = answer.json()["results"]
        said = words(result["error"])
        assert (answer.status_code, result["error"]["code"]) == (422, code), said
        assert says in said
    separator = "," * (item != "{}")
    found, said = error_after(hub, "", '{"type":"publish"' + separator + item[1:])
    assert (found, says in said) == (command_code, True), said


@pytest.mark.parametrize(("request_line", "header", "body", "code", "says"), lines("Publishing"))
def test_a_publish_is_refused_as_the_page_says(
    hub: EventHubServer, request_line: str, header: str, body: str, code: str, says: str
) -> None:
    method, path = request_line.split(" ", 1)
    name, _, value = header.partition(":")
    headers = {name: value.strip()} if name else {}
    found, said = refused(hub, method, path, content=body, headers=headers)
    assert (found, says in said) == (code, True), said


def test_nothing_of_what_was_refused_has_been_stored(hub: EventHubServer) -> None:
    for item, *_ in lines("Events"):
        http.post(f"{hub.url}/v1/events", content=f"[{item}]")
    assert http.get(f"{hub.url}/v1/channels").json()["channels"] == []
