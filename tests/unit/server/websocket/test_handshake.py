"""server/websocket/handshake.py: the path and the subprotocol."""

from eventhub.server.websocket.handshake import SUBPROTOCOL, WEBSOCKET_PATH


def test_the_path_and_the_subprotocol_are_those_of_the_protocol() -> None:
    assert (WEBSOCKET_PATH, SUBPROTOCOL) == ("/v1/ws", "eventhub.v1")
