"""What the decisions ask of the shell around them, and what it answers. No I/O happens here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Message = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """Send this request. Reply: an Answer or Unreachable."""

    method: str
    path: str
    body: bytes
    headers: Mapping[str, str]
    seconds: float


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing for this time."""

    seconds: float


@dataclass(frozen=True, slots=True)
class RenewToken:
    """Ask for a new token, and send it on the open connection if there is one."""


@dataclass(frozen=True, slots=True)
class Connect:
    """Open a WebSocket. Reply: Connected, an Answer that refuses it, or Unreachable."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send these messages."""

    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Join:
    """From now on, send to these channels what changes in the data of one's own member."""

    channels: tuple[str, ...]
    version: int


@dataclass(frozen=True, slots=True)
class Receive:
    """Wait for a message, at most this long. Reply: a Received, Silence or Closed."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Close:
    """Close the WebSocket, whatever its state is."""


@dataclass(frozen=True, slots=True)
class Deliver:
    """Give this message to the application as an item, and go on when it wants the next one."""

    message: Message


@dataclass(frozen=True, slots=True)
class Store:
    """Store the positions of these channels in the cursor."""

    positions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Warn:
    """Log a warning."""

    text: str


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer."""

    status: int
    fields: Mapping[str, Any] = field(default_factory=dict)
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Unreachable:
    """No answer."""

    reason: str


@dataclass(frozen=True, slots=True)
class Connected:
    """The WebSocket is open."""


@dataclass(frozen=True, slots=True)
class Received:
    """A message."""

    message: Message


@dataclass(frozen=True, slots=True)
class Silence:
    """Nothing came in this time."""


@dataclass(frozen=True, slots=True)
class Closed:
    """The connection is gone. `code` is None if no close frame came."""

    code: int | None = None
    reason: str = ""


Reply = Answer | Unreachable | Connected | Received | Silence | Closed | None
CallStep = Request | Wait | RenewToken
LinkStep = Connect | Send | Join | Receive | Close | Wait | RenewToken | Warn
FollowStep = LinkStep | Deliver | Store
