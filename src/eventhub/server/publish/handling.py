"""How strictly a publish request is answered: a producer may ask that refused events are counted and not an error (RFC 7240, 4.4)."""

import re
from enum import StrEnum
from http import HTTPStatus
from urllib.parse import parse_qsl

from eventhub.errors import EventHubError, InvalidRequest

PARAMETER = "handling"
CONTENT = ("invalid_json", "too_deep", "invalid_event", "idempotency_conflict")
"""Codes of what is wrong with an event itself: repeated, it would be refused again."""
DETAILED = 100
"""Refusals of one request that are answered with all that is known about them. For the rest, faults
are not even listed.
"""
LOOK, LOOK_BYTES = 8, 512
"""After so many items or lines, or one with so many bytes, the clock is looked at."""
_PREFERENCE = re.compile(rb'(?:[^,"]++|"(?:[^"\\]++|\\.)*+"?)++', re.DOTALL)


class Handling(StrEnum):
    """What a refused event does to the status of the answer."""

    STRICT = "strict"
    """207 when some were refused, 422 when all were."""
    LENIENT = "lenient"
    """200 whatever was refused, for producers that would send all of it again otherwise."""


def handling_of(prefer: bytes | None, query: bytes) -> Handling:
    """What a request asks for: its Prefer fields, joined with commas, before its query string. Raises InvalidRequest.

    A preference that is not known is ignored (RFC 7240, 2); a query parameter that is not known is a typo.
    """
    asked = _parameter(query) if query else None
    return (_preference(prefer) if prefer is not None else None) or asked or Handling.STRICT


def about_event(error: EventHubError) -> bool:
    """Whether it is the event that is refused, and not the request."""
    return error.code in CONTENT or error.limit == "event_bytes"


def retryable(error: EventHubError) -> bool:
    """Whether the same event may be stored later."""
    return (
        error.status == HTTPStatus.TOO_MANY_REQUESTS
        or error.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    )


def status_of(
    accepted: int,
    rejected: int,
    later: EventHubError | None,
    handling: Handling,
    success: HTTPStatus,
) -> int:
    """The status for so many events. `later`: one of the refusals that are retryable, if there is any."""
    if later is not None and (handling is Handling.LENIENT or not accepted):
        return later.status  # a success would be the end of those events
    if handling is Handling.LENIENT:
        return HTTPStatus.OK
    if not rejected:
        return success
    return HTTPStatus.MULTI_STATUS if accepted else HTTPStatus.UNPROCESSABLE_ENTITY


def _preference(prefer: bytes) -> Handling | None:
    for preference in _PREFERENCE.findall(prefer):
        name, _, value = preference.partition(b";")[0].partition(b"=")
        if name.strip().lower() == b"handling":  # the first one counts
            return next(
                (
                    known
                    for known in Handling
                    if value.strip().strip(b'"').lower() == known.encode()
                ),
                None,
            )
    return None


def _parameter(query: bytes) -> Handling | None:
    try:
        found = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError:
        raise InvalidRequest("the query string is not percent-encoded UTF-8") from None
    asked: Handling | None = None
    for name, value in found:
        if name != PARAMETER or asked is not None:
            what = (
                "is given more than once"
                if name == PARAMETER
                else f"is unknown; publishing takes {PARAMETER} alone"
            )
            raise InvalidRequest(f"the query parameter {name[:40]!r} {what}")
        if value not in set(Handling):
            raise InvalidRequest(f"{PARAMETER} is {value[:40]!r}; expected {' or '.join(Handling)}")
        asked = Handling(value)
    return asked
