"""server/publish/handling.py: the handling that a producer asks for, and the status."""

from http import HTTPStatus

import pytest

from eventhub.errors import (
    BrokerUnavailable,
    EventHubError,
    InvalidEvent,
    InvalidJson,
    InvalidRequest,
    PayloadTooLarge,
    RateLimited,
)
from eventhub.server.publish.handling import (
    Handling,
    handling_of,
    is_event_fault,
    parameters_of,
    retryable,
    status_of,
)


@pytest.mark.parametrize(
    "prefer",
    [
        b"handling=lenient",
        b"Handling = Lenient",
        b'handling="lenient"',
        b"respond-async, handling=lenient",
        b"handling=lenient; x=1, wait=5",
        b'foo="a, handling=strict", handling=lenient',
        b"handling=lenient, handling=strict",
        b',,foo="unfinished\\"",handling=lenient',
    ],
)
def test_a_preference_for_lenient_handling_is_understood(prefer: bytes) -> None:
    assert handling_of(prefer, {}) is Handling.LENIENT


@pytest.mark.parametrize(
    "prefer",
    [
        None,
        b"",
        b"handling",
        b"handling=",
        b"handling=strict",
        b"handling=other",
        b"lenient",
        b'foo="handling=lenient',
        b"xhandling=lenient",
        b'foo="a, handling=lenient"',
        b"handling=strict, handling=lenient",
        b"\xff\x00",
        b'"' * 30_000,
    ],
)
def test_anything_else_is_ignored(prefer: bytes | None) -> None:
    assert handling_of(prefer, {}) is Handling.STRICT


def test_the_query_string_counts_without_a_header() -> None:
    lenient = {"handling": "lenient"}
    assert handling_of(None, lenient) is Handling.LENIENT
    assert handling_of(b"respond-async", lenient) is Handling.LENIENT
    assert handling_of(b"handling=strict", lenient) is Handling.STRICT
    assert handling_of(None, {"handling": "strict"}) is Handling.STRICT


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (b"handling=leniant", "handling is 'leniant'; expected strict or lenient"),
        (b"handling", "handling is ''; expected strict or lenient"),
        (b"handling=lenient&handling=lenient", "is given more than once"),
        (b"since=5", "'since' is unknown; expected handling"),
        (b"handling=lenient&x=1", "'x' is unknown"),
        (b"handling=%FF", "not percent-encoded UTF-8"),
    ],
)
def test_a_parameter_that_is_wrong_or_unknown_is_an_error(query: bytes, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        handling_of(None, parameters_of(query, "handling"))


STRICT, LENIENT = Handling.STRICT, Handling.LENIENT


@pytest.mark.parametrize(
    ("accepted", "rejected", "later", "handling", "status"),
    [
        (2, 0, None, STRICT, 201),
        (1, 1, None, STRICT, 207),
        (0, 2, None, STRICT, 422),
        (0, 0, None, STRICT, 201),
        (2, 0, None, LENIENT, 200),
        (1, 1, None, LENIENT, 200),
        (0, 2, None, LENIENT, 200),
        (0, 0, None, LENIENT, 200),
        (1, 1, BrokerUnavailable("away"), STRICT, 207),
        (0, 2, BrokerUnavailable("away"), STRICT, 503),
        (1, 1, BrokerUnavailable("away"), LENIENT, 503),
        (0, 1, RateLimited("fast"), LENIENT, 429),
    ],
)
def test_the_status_follows_from_what_was_stored_and_refused(
    accepted: int, rejected: int, later: EventHubError | None, handling: Handling, status: int
) -> None:
    assert status_of(accepted, rejected, later, handling, HTTPStatus.CREATED) == status


def test_errors_are_about_the_event_or_retryable_or_about_the_request() -> None:
    assert [
        is_event_fault(error)
        for error in (
            InvalidEvent("x"),
            InvalidJson("x"),
            PayloadTooLarge("x").with_limit("event_bytes"),
        )
    ] == [True] * 3
    assert [
        is_event_fault(error)
        for error in (
            PayloadTooLarge("x").with_limit("body_bytes"),
            InvalidRequest("x"),
            RateLimited("x"),
        )
    ] == [False] * 3
    assert [
        retryable(error) for error in (RateLimited("x"), BrokerUnavailable("x"), InvalidEvent("x"))
    ] == [True, True, False]
