"""server/messages/security_headers.py: each response has them, and none twice."""

import asyncio
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from eventhub.errors import Unauthorized
from eventhub.server.messages.security_headers import (
    ALWAYS,
    LIVE,
    PAGE,
    SAFE,
    headers_of,
    with_headers,
)

Headers = list[tuple[bytes, bytes]]


def answered(own: Headers, more: tuple[tuple[bytes, bytes], ...]) -> list[Message]:
    """What is sent of an application whose response has headers of its own."""
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": own})
        await send({"type": "http.response.body", "body": b"{}"})

    async def send(message: Message) -> None:
        sent.append(message)

    wrapped: Any = with_headers(app, more)
    asyncio.run(wrapped({"type": "http"}, None, send))
    return sent


def test_headers_are_added_behind_those_of_the_response() -> None:
    own = [(b"content-type", b"text/plain")]
    head, body = answered(own, ALWAYS)
    assert head["headers"] == [*own, *ALWAYS]
    assert body == {"type": "http.response.body", "body": b"{}"}


def test_a_response_that_sets_one_itself_keeps_its_own() -> None:
    own = [(b"cache-control", b"no-cache")]
    (head, _) = answered(own, ALWAYS)
    assert head["headers"] == [*own, *SAFE]


@pytest.mark.parametrize("headers", [ALWAYS, LIVE])
def test_no_response_of_the_api_is_cached_or_sniffed(headers: Headers) -> None:
    found = dict(headers)
    assert found[b"cache-control"].startswith(b"no-store")
    assert found[b"x-content-type-options"] == b"nosniff"
    assert found[b"cross-origin-resource-policy"] == b"same-origin"


def test_nothing_between_us_and_a_reader_holds_a_stream_back() -> None:
    assert b"no-transform" in dict(LIVE)[b"cache-control"]
    assert dict(LIVE)[b"x-accel-buffering"] == b"no"


def test_a_page_runs_nothing_of_others_and_is_shown_in_no_frame() -> None:
    policy = dict(PAGE)[b"content-security-policy"].split(b"; ")
    assert {b"default-src 'none'", b"script-src 'self'", b"frame-ancestors 'none'"} <= set(policy)
    assert not any(b"unsafe" in part for part in policy)
    assert dict(PAGE)[b"x-frame-options"] == b"DENY"


def test_an_error_has_the_headers_that_it_names() -> None:
    assert headers_of(Unauthorized("who are you"))[0][0].lower() == b"www-authenticate"
