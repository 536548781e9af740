"""The errors of the client, and what the server's codes mean for a repetition.

HubError
├── Refused            the server said no, and would say so again
│   ├── Unauthorized   401
│   ├── Forbidden      403
│   ├── NotFound       404: such as the presence of a channel whose type keeps none
│   │   └── UnknownChannel
│   ├── Conflict       412: another event of the key is the newest one
│   └── InvalidEvent   422
├── Unavailable        no success in time; an event may or may not have been stored
└── InvalidData        a received event does not fit the model
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

STATUS = {
    "slow_consumer": 408,
    "ping_timeout": 408,
    "request_timeout": 408,
    "rate_limited": 429,
    "too_many_connections": 429,
    "internal": 500,
    "broker_unavailable": 503,
    "keys_unavailable": 503,
    "too_many_channels": 503,
    "disconnected": 503,
    "node_full": 503,
    "shutting_down": 503,
    "unauthorized": 401,
    "invalid_token": 401,
    "token_expired": 401,
    "forbidden": 403,
    "origin_not_allowed": 403,
    "revoked": 403,
    "unknown_channel": 404,
    "not_found": 404,
    "precondition_failed": 412,
    "invalid_event": 422,
    "idempotency_conflict": 422,
}
"""The HTTP status of the codes that are repeated or have a class. An `error` message does not name
it. Other codes are like 400.
"""


def is_temporary(status: int) -> bool:
    """Whether to repeat what was answered with this HTTP status."""
    return status in (408, 429) or status >= 500


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as the server reports it."""

    code: str
    message: str
    status: int
    details: tuple[Mapping[str, str], ...] = ()
    id: str | None = None
    retry_after: float | None = None

    @classmethod
    def of(cls, fields: Mapping[str, Any], status: int | None = None) -> "Problem":
        """From a problem document, an `error` message or the `error` of a result."""
        code = str(fields.get("code", f"http_{status}"))
        return cls(
            code=code,
            message=str(
                fields.get("message")
                or fields.get("detail")
                or ("" if "code" in fields else f"the server answered {status}. Is this EventHub?")
            ),
            status=status or STATUS.get(code, 400),
            details=tuple(fields.get("details") or ()),
            id=fields.get("id"),
            retry_after=fields.get("retry_after"),
        )

    @property
    def is_temporary(self) -> bool:
        return is_temporary(self.status)


class HubError(Exception):
    """Every error of this client. `code` is stable, `message` is for people."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem

    @property
    def code(self) -> str:
        """The server's code, such as `invalid_event`."""
        return self.problem.code

    @property
    def message(self) -> str:
        """What was received and what was expected."""
        return self.problem.message

    @property
    def details(self) -> tuple[Mapping[str, str], ...]:
        """The faults of an event: `pointer` and `message` of each."""
        return self.problem.details

    @property
    def id(self) -> str | None:
        """The event that is in the way, if the server names one."""
        return self.problem.id

    def __str__(self) -> str:
        faults = "".join(f"; {each.get('pointer')}: {each.get('message')}" for each in self.details)
        return f"{self.code}: {self.message}{faults}"


class Refused(HubError):
    """The server said no. The same again would be refused, too."""


class Unauthorized(Refused):
    """The token or API key is missing, not valid or has expired."""


class Forbidden(Refused):
    """The credential does not allow this."""


class NotFound(Refused):
    """The server does not have this, such as presence of the channel or the event in `refers`."""


class UnknownChannel(NotFound):
    """The channel's type is not declared on the server."""


class Conflict(Refused):
    """The newest event of the key is not the expected one; `id` is that of the newest one."""


class InvalidEvent(Refused):
    """The event does not fit its channel type. `details` names the faults."""


class Unavailable(HubError):
    """No success in time. The event may or may not have been stored.

    `code` is that of the last answer, or `unreachable`.
    """


class InvalidData(HubError):
    """A received event does not fit the model. Its position was not stored in the cursor."""


CLASSES = {401: Unauthorized, 403: Forbidden, 404: NotFound, 412: Conflict}


def refusal(problem: Problem) -> Refused:
    """The exception for an error that is not repeated."""
    if problem.code == "invalid_event":
        return InvalidEvent(problem)
    if problem.code == "unknown_channel":
        return UnknownChannel(problem)
    return CLASSES.get(problem.status, Refused)(problem)


def error(problem: Problem) -> HubError:
    """The exception for an error that ends here, temporary or not."""
    return Unavailable(problem) if problem.is_temporary else refusal(problem)
