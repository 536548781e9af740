"""The states of an HTTP connection's input, and all their transitions (RFC 9112). No I/O.

Independent of these states, answers are sent in the order of their requests.
"""

from enum import Enum, auto


class HttpState(Enum):
    """How the server handles the next bytes, and how long it waits for them."""

    __hash__ = object.__hash__  # by identity: Enum hashes the name, in Python, for each look-up

    START = auto()
    """Connected. A first head must be complete within `limits.head_seconds`."""
    HEAD = auto()
    """A request has begun. Its head must be complete within `limits.head_seconds`."""
    BODY = auto()
    """A body arrives. The application that reads it limits the time."""
    RECEIVED = auto()
    """The newest request is complete, its answer is not. The next may begin (pipelining)."""
    DISCARDING = auto()
    """The answer was complete before the body. The rest is discarded, for a moment."""
    IDLE = auto()
    """All is answered. The next request must begin within `limits.keep_alive_seconds`."""
    LAST_CALL = auto()
    """Like IDLE, but the server is about to stop: the next request must begin soon."""
    ENDED = auto()
    """Bytes are discarded. Answers that are due are sent, then the connection closes."""
    DETACHED = auto()
    """The connection has closed, or belongs to another protocol: a WebSocket, or a rejection."""


class HttpTrigger(Enum):
    """What moves a connection to its next state."""

    __hash__ = object.__hash__  # by identity: Enum hashes the name, in Python, for each look-up

    REQUEST_BEGUN = auto()
    HEAD_COMPLETE = auto()
    REQUEST_COMPLETE = auto()
    WHOLE_REQUEST = auto()
    """A whole request whose head is known byte by byte came in one read."""
    ANSWERED = auto()
    """The answers to all requests are complete."""
    LAST_CALL = auto()
    """The server is about to stop."""
    STOPPED = auto()
    """The client ended its half of the connection, or sent malformed data."""
    DETACHED = auto()


_ANYWHERE = {HttpTrigger.STOPPED: HttpState.ENDED, HttpTrigger.DETACHED: HttpState.DETACHED}

TRANSITIONS: dict[HttpState, dict[HttpTrigger, HttpState]] = {
    HttpState.START: {
        HttpTrigger.REQUEST_BEGUN: HttpState.HEAD,
        **_ANYWHERE,
    },
    HttpState.HEAD: {
        # an Upgrade was declined: the head is parsed again, without it
        HttpTrigger.REQUEST_BEGUN: HttpState.HEAD,
        HttpTrigger.HEAD_COMPLETE: HttpState.BODY,
        **_ANYWHERE,
    },
    HttpState.BODY: {
        HttpTrigger.REQUEST_COMPLETE: HttpState.RECEIVED,
        HttpTrigger.ANSWERED: HttpState.DISCARDING,
        **_ANYWHERE,
    },
    HttpState.RECEIVED: {
        HttpTrigger.REQUEST_BEGUN: HttpState.HEAD,
        HttpTrigger.ANSWERED: HttpState.IDLE,
        **_ANYWHERE,
    },
    HttpState.DISCARDING: {
        HttpTrigger.REQUEST_COMPLETE: HttpState.IDLE,
        HttpTrigger.LAST_CALL: HttpState.DISCARDING,  # with a new timer
        **_ANYWHERE,
    },
    HttpState.IDLE: {
        HttpTrigger.REQUEST_BEGUN: HttpState.HEAD,
        HttpTrigger.WHOLE_REQUEST: HttpState.RECEIVED,
        HttpTrigger.LAST_CALL: HttpState.LAST_CALL,
        **_ANYWHERE,
    },
    HttpState.LAST_CALL: {
        HttpTrigger.REQUEST_BEGUN: HttpState.HEAD,
        HttpTrigger.LAST_CALL: HttpState.LAST_CALL,
        **_ANYWHERE,
    },
    HttpState.ENDED: _ANYWHERE,
    HttpState.DETACHED: {HttpTrigger.STOPPED: HttpState.DETACHED},
}
"""The next state by state and trigger. A trigger that is missing cannot happen in that state."""

PARSING = frozenset(
    {
        HttpState.START,
        HttpState.HEAD,
        HttpState.BODY,
        HttpState.RECEIVED,
        HttpState.DISCARDING,
        HttpState.IDLE,
        HttpState.LAST_CALL,
    }
)
"""States in which bytes from the client are parsed."""
WAITING = frozenset({HttpState.DISCARDING, HttpState.IDLE, HttpState.LAST_CALL})
"""States in which no request is under way."""
