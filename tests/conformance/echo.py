"""`eventhub serve` as Autobahn wants it: an echo server.

Handshake, frames, UTF-8, fragments, pings, close codes, compression, back-pressure and the native
writes are the product's. Only the handling of a whole message is replaced: a text message is not a
command, but goes back through the product's encoding. So does a binary message, which the product
refuses.
"""

from typing import Any
from unittest.mock import patch

from eventhub.cli import app
from eventhub.delivery.encoding import BINARY, TEXT, DeflateEncoding, deflated, frame
from eventhub.server.connections.manager import ConnectionManager
from eventhub.server.websocket.protocol import WebSocketProtocol
from eventhub.session.session import Session


class Echo(Session):
    """A session that sends nothing of its own."""

    __slots__ = ()

    def hello(self) -> None:
        """Send nothing: Autobahn counts messages."""

    def receive(self, message: bytes, opcode: int = TEXT) -> None:
        """Send the message back."""
        encode = deflated if isinstance(self._writer.encoding, DeflateEncoding) else frame
        self._writer.write(encode(message, opcode))


def _session(manager: ConnectionManager, writer: Any, submitter: Any, identity: Any) -> Session:
    return Echo(manager.hub, writer, manager.session_limits, submitter, identity)


_receive = WebSocketProtocol.receive


def _receive_binary_too(protocol: WebSocketProtocol, opcode: int, payload: bytes) -> None:
    if opcode == BINARY and isinstance(protocol._session, Echo):
        protocol._session.receive(payload, BINARY)
    else:
        _receive(protocol, opcode, payload)


if __name__ == "__main__":
    with (
        patch.object(ConnectionManager, "session", _session),
        patch.object(WebSocketProtocol, "receive", _receive_binary_too),
    ):
        app()
