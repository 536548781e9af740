"""server/security/cors.py: what browsers are told that a listed page may send and read."""

import asyncio
from typing import Any

import pytest

from eventhub.common.origin import Origins
from eventhub.server.security.cors import Cors, is_preflight

Answer = dict[bytes, bytes]


def answered(
    listed: list[str], origin: bytes | None, asked: dict[bytes, bytes] | None = None
) -> Answer:
    """The headers of an answer to this origin, or of its preflight that asks so."""
    messages: list[Any] = []

    async def send(message: Any) -> None:
        messages.append(message)

    async def run() -> None:
        cors = Cors(Origins(listed))
        watched = cors.watch({"headers": [] if origin is None else [(b"origin", origin)]}, send)
        if asked is None:
            await watched({"type": "http.response.start", "status": 200, "headers": []})
        else:
            await cors.preflight(asked, watched)

    asyncio.run(run())
    return dict(messages[0]["headers"])


ALLOWED, CREDENTIALS = b"access-control-allow-origin", b"access-control-allow-credentials"


@pytest.mark.parametrize(
    ("listed", "origin", "allowed", "credentials"),
    [
        (["https://a.example"], b"https://a.example", b"https://a.example", b"true"),
        (["https://*.a.example"], b"https://b.a.example", b"https://b.a.example", b"true"),
        (["capacitor://localhost"], b"capacitor://localhost", b"capacitor://localhost", b"true"),
        (["*", "https://a.example"], b"https://a.example", b"https://a.example", b"true"),
        (["*", "https://a.example"], b"https://b.example", b"*", None),
        (["*"], b"null", b"*", None),
        (["null"], b"null", b"null", None),
        (["https://a.example"], b"https://b.example", None, None),
        (["https://a.example"], b"null", None, None),
        (["https://a.example"], b"\xff", None, None),
        (["https://a.example"], None, None, None),
    ],
)
def test_only_listed_pages_read_and_only_those_with_a_name_send_credentials(
    listed: list[str], origin: bytes | None, allowed: bytes | None, credentials: bytes | None
) -> None:
    for headers in (answered(listed, origin), answered(listed, origin, {})):
        assert (headers.get(ALLOWED), headers.get(CREDENTIALS)) == (allowed, credentials)
        assert headers[b"vary"] == b"Origin", "a cache may keep it for another page"


def test_a_preflight_is_told_what_it_asks_for() -> None:
    plain = answered(["*"], b"https://a.example", {})
    assert b"access-control-allow-headers" not in plain
    assert b"access-control-allow-private-network" not in plain
    asked = {
        b"access-control-request-headers": b"baggage, x-own",
        b"access-control-request-private-network": b"true",
    }
    full = answered(["*"], b"https://a.example", asked)
    assert full[b"access-control-allow-headers"] == b"baggage, x-own"
    assert full[b"access-control-allow-private-network"] == b"true"


def test_a_preflight_has_an_origin_and_a_method_to_ask_for() -> None:
    assert is_preflight({b"origin": b"x", b"access-control-request-method": b"PUT"})
    assert not is_preflight({b"origin": b"x"})
    assert not is_preflight({b"access-control-request-method": b"PUT"})


def test_without_listed_pages_nothing_is_done() -> None:
    assert not Cors(Origins([])).on
    assert Cors(Origins(["null"])).on
