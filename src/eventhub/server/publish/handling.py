"""The `handling` preference (RFC 7240, 4.4): how refused events affect a publish's status.

A producer sends `Prefer: handling=…`, or the query parameter `handling`.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from http import HTTPStatus
from urllib.parse import parse_qsl

from eventhub.errors import EventHubError, InvalidRequest

PARAMETER = "handling"
EVENT_CODES = (
    "invalid_json", "too_deep", "invalid_event", "idempotency_conflict", "precondition_failed",
)  # fmt: skip
"""Codes of faults of the event itself: if it is sent again, it is refused again."""
DETAILED_REFUSALS = 100
"""Number of refusals of a request that get details. For later ones, the faults are not collected.
"""
CHECK_ITEMS, CHECK_BYTES = 8, 512
"""After this many items or lines, or one of this size, check whether the share of the turn is used
up.
"""
_PREFERENCE = re.compile(rb'(?:[^,"]++|"(?:[^"\\]++|\\.)*+"?)++', re.DOTALL)


class Handling(StrEnum):
    """What refused events do to the status."""

    STRICT = "strict"
    """207 if some events were refused, 422 if all were."""
    LENIENT = "lenient"
    """Always 200, for producers that would otherwise send all events again."""


def handling_of(prefer: bytes | None, parameters: Mapping[str, str]) -> Handling:
    """The handling that a request asks for; its Prefer header wins over its query string.

    `prefer`: all Prefer headers, joined with commas. An unknown preference is ignored (RFC 7240,
    2). Raises InvalidRequest for an unknown value of the query parameter.
    """
    from_query = _from_query(parameters.get(PARAMETER))
    from_header = _from_header(prefer) if prefer is not None else None
    return from_header or from_query or Handling.STRICT


def is_event_fault(error: EventHubError) -> bool:
    """Whether the event is at fault, and not the request."""
    return error.code in EVENT_CODES or error.limit == "event_bytes"


def retryable(error: EventHubError) -> bool:
    """Whether the same event may be stored when it is sent again later."""
    return (
        error.status == HTTPStatus.TOO_MANY_REQUESTS
        or error.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    )


def status_of(
    accepted: int,
    rejected: int,
    deciding: EventHubError | None,
    handling: Handling,
    success: HTTPStatus,
) -> int:
    """The status for this many events.

    `deciding`: a refusal that is retryable, or another one that a lenient producer must notice.
    """
    if deciding is not None and (handling is Handling.LENIENT or not accepted):
        return deciding.status  # after a success, its events would not be sent again
    if handling is Handling.LENIENT:
        return HTTPStatus.OK
    if not rejected:
        return success
    return HTTPStatus.MULTI_STATUS if accepted else HTTPStatus.UNPROCESSABLE_ENTITY


def _from_header(prefer: bytes) -> Handling | None:
    for preference in _PREFERENCE.findall(prefer):
        name, _, value = preference.partition(b";")[0].partition(b"=")
        if name.strip().lower() == b"handling":  # the first one counts
            wanted = value.strip().strip(b'"').lower()
            return next((known for known in Handling if wanted == known.encode()), None)
    return None


def _from_query(value: str | None) -> Handling | None:
    if value is None:
        return None
    if value not in set(Handling):
        raise InvalidRequest(f"{PARAMETER} is {value[:40]!r}; expected {' or '.join(Handling)}")
    return Handling(value)


def parameters_of(query: bytes, *known: str, also: str = "") -> dict[str, str]:
    """The query parameters of a publish. Raises InvalidRequest for others than `known`.

    `also` is one that the error names besides: it has been looked at before. An unknown one
    is probably a typo.
    """
    if not query:
        return {}
    try:
        parameters = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError:
        raise InvalidRequest("the query string is not percent-encoded UTF-8") from None
    found: dict[str, str] = {}
    expected = " or ".join((*known, also) if also else known)
    for name, value in parameters:
        if name not in known:
            raise InvalidRequest(
                f"the query parameter {name[:40]!r} is unknown; expected {expected}"
            )
        if name in found:
            raise InvalidRequest(f"the query parameter {name[:40]!r} is given more than once")
        found[name] = value
    return found
