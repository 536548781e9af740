"""What every proxy must pass on, tested in the same way for each that we configure."""

from tests.harness.clients import WsClient, http, ndjson, sse

MESSAGE = {"sender": "ana", "text": "oi"}


def assert_all_receive_at_once(front_url: str, ws_url: str) -> None:
    """What one client publishes arrives over every transport."""
    url = f"{front_url}/v1/channels/chat.all"
    with (
        WsClient(ws_url) as client,
        sse(f"{url}/sse") as blocks,
        ndjson(f"{url}/ndjson") as messages,
    ):
        client.subscribe("chat.all")
        next(block for block in blocks if block.name == "subscribed")
        next(message for message in messages if message["type"] == "subscribed")
        for _ in range(3):  # each has arrived before the next is published
            assert http.post(url, json=MESSAGE).status_code == 201
            assert client.until("event")["data"] == MESSAGE
            assert next(block for block in blocks if block.name == "message").message is not None
            assert (
                next(message for message in messages if message["type"] == "event")["data"]
                == MESSAGE
            )
        client.send(type="publish", channel="chat.all", data=MESSAGE, ref="1")
        assert (
            next(message for message in messages if message["type"] == "event")["data"] == MESSAGE
        )
