"""server/api/subscribe_routes.py: refused streams, and the WebSocket's path."""

import pytest

from eventhub.server.streams.selection_begin import STREAM_CHANNELS
from tests.unit.server.api.requests import request


@pytest.mark.parametrize(
    ("path", "code", "words"),
    [
        ("/v1/sse", "invalid_request", "no channel is named"),
        (
            "/v1/sse?" + "&".join(f"channel=chat.{i}" for i in range(STREAM_CHANNELS + 1)),
            "too_many_subscriptions",
            f"at most {STREAM_CHANNELS}",
        ),
        ("/v1/channels/chat.a/sse?sinse=1", "invalid_request", "expected since, member"),
        ("/v1/channels/chat.a/ndjson?since=x", "invalid_since", "x"),
    ],
)
def test_a_stream_is_refused_before_it_begins(path: str, code: str, words: str) -> None:
    response = request("GET", path)
    assert (response.status_code, response.json()["code"]) == (400, code)
    assert words in response.json()["detail"]


def test_the_path_of_the_websocket_asks_for_a_handshake() -> None:
    response = request("GET", "/v1/ws")
    assert (response.status_code, response.headers["upgrade"]) == (426, "websocket")
    assert response.headers["connection"] == "upgrade"
    assert response.json()["code"] == "upgrade_required"


def test_the_asyncapi_document_names_the_host_of_the_request() -> None:
    for url, protocol in (("", "ws"), ("https://localhost", "wss")):
        document = request("GET", f"{url}/asyncapi.json").json()
        assert document["servers"]["this"] == {"host": "localhost", "protocol": protocol}
