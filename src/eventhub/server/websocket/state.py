"""The states of a WebSocket connection and all their transitions (RFC 6455, chapter 7). No I/O."""

from enum import Enum, auto


class WebSocketState(Enum):
    """What the connection does with bytes from the client."""

    HANDSHAKE = auto()
    """The upgrade request has no answer yet. The socket is not read."""
    OPEN = auto()
    """101 was sent. Messages are commands of the session."""
    CLOSING = auto()
    """The server sent a close frame. Only the client's close frame counts now (RFC 6455, 7.1.1)."""
    CLOSED = auto()
    """Nothing is parsed any more. The TCP connection is closing or has closed."""


class WebSocketTrigger(Enum):
    """What moves a connection to its next state."""

    ACCEPTED = auto()
    """The server answered the upgrade request with 101, and a session has begun."""
    REFUSED = auto()
    """The server answered the upgrade request with an HTTP error status."""
    CLOSE_SENT = auto()
    """The server sent a close frame."""
    CLOSE_RECEIVED = auto()
    """The client sent a close frame."""
    UNREADABLE = auto()
    """The rest of the client's bytes cannot be parsed, so neither can a close frame."""
    LOST = auto()
    """The TCP connection has closed."""


TRANSITIONS: dict[WebSocketState, dict[WebSocketTrigger, WebSocketState]] = {
    WebSocketState.HANDSHAKE: {
        WebSocketTrigger.ACCEPTED: WebSocketState.OPEN,
        WebSocketTrigger.REFUSED: WebSocketState.CLOSED,
        # refused behind a 101 response: browsers hide any other status from a page
        WebSocketTrigger.CLOSE_SENT: WebSocketState.CLOSING,
        WebSocketTrigger.LOST: WebSocketState.CLOSED,
    },
    WebSocketState.OPEN: {
        WebSocketTrigger.CLOSE_SENT: WebSocketState.CLOSING,
        WebSocketTrigger.CLOSE_RECEIVED: WebSocketState.CLOSED,
        WebSocketTrigger.UNREADABLE: WebSocketState.CLOSED,
        WebSocketTrigger.LOST: WebSocketState.CLOSED,
    },
    WebSocketState.CLOSING: {
        WebSocketTrigger.CLOSE_RECEIVED: WebSocketState.CLOSED,
        WebSocketTrigger.UNREADABLE: WebSocketState.CLOSED,
        WebSocketTrigger.LOST: WebSocketState.CLOSED,
    },
    WebSocketState.CLOSED: {
        WebSocketTrigger.UNREADABLE: WebSocketState.CLOSED,
        WebSocketTrigger.LOST: WebSocketState.CLOSED,
    },
}
"""The next state by state and trigger. A trigger that is missing cannot happen in that state."""
