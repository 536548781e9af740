"""server/security/origin_check.py: whose pages may connect, and what is logged of others."""

from collections.abc import Sequence

import pytest
from structlog.testing import capture_logs

from eventhub.errors import OriginNotAllowed
from eventhub.server.security.origin_check import AGAIN_SECONDS, REMEMBERED, OriginCheck
from tests.harness.clock import Clock


def headers(origin: bytes | None, host: bytes | None = b"hub.example:8000") -> dict[bytes, bytes]:
    return {
        name: value for name, value in ((b"origin", origin), (b"host", host)) if value is not None
    }


def check(given: dict[bytes, bytes], origins: Sequence[str] = ()) -> None:
    OriginCheck(origins).check(given)


@pytest.mark.parametrize(
    ("origin", "host"),
    [(None, b"hub.example:8000"), (None, None), (b"http://hub.example:8000", b"hub.example:8000"),
     (b"https://hub.example", b"hub.example"), (b"http://localhost", b"localhost:80"),
     (b"https://hub.example", b"HUB.example:443"), (b"http://[::1]:8000", b"[::1]:8000")],
)  # fmt: skip
def test_pages_of_this_host_and_clients_that_are_no_pages_may_connect(
    origin: bytes | None, host: bytes | None
) -> None:
    check(headers(origin, host))


FOREIGN = [
    b"http://evil.example", b"http://hub.example:8001", b"http://hub.example",
    b"http://hub.example:8000.evil.example", b"null", b"", b"file://", b"hub.example:8000",
    b"http://evil.example/hub.example:8000", b"http://user@hub.example:8000", b"\xff\xfe", b"*",
    b"http://hub.example:8000:8000", b"http://[::1", b"http://]", b"http://[hub.example:8000]",
    b"http://x" * 10_000,
]  # fmt: skip


@pytest.mark.parametrize("origin", FOREIGN, ids=lambda origin: repr(origin[:40]))
def test_any_other_page_is_refused_whatever_it_calls_its_origin(origin: bytes) -> None:
    with pytest.raises(
        OriginNotAllowed, match=r"expected that of the host 'hub.example:8000'.*`origins`"
    ) as caught:
        check(headers(origin))
    assert len(caught.value.message) < 450


@pytest.mark.parametrize("origin", [b"null", b"", b"http://evil.example"])
@pytest.mark.parametrize("host", [None, b""])
def test_without_a_host_no_page_is_of_this_host(origin: bytes, host: bytes | None) -> None:
    with pytest.raises(OriginNotAllowed):
        check(headers(origin, host))


def test_configured_origins_may_connect_and_no_others() -> None:
    listed = ["https://app.example", "null", "https://*.example.com", "capacitor://localhost"]
    for origin in (
        b"https://app.example",
        b"null",
        b"https://a.example.com",
        b"capacitor://localhost",
    ):
        check(headers(origin), listed)
    for origin in (
        b"http://app.example",
        b"https://app.example.evil",
        b"https://app.example/",
        b"*",
        b"https://evil-example.com",
    ):
        with pytest.raises(OriginNotAllowed):
            check(headers(origin), listed)


def test_a_star_is_for_all() -> None:
    for origin in (b"http://evil.example", b"null", b"\xff"):
        check(headers(origin), ["*"])


def fetched(site: bytes, dest: bytes = b"image") -> dict[bytes, bytes]:
    return {**headers(None), b"sec-fetch-site": site, b"sec-fetch-dest": dest}


@pytest.mark.parametrize("site", [b"cross-site", b"same-site"])
@pytest.mark.parametrize("dest", [b"image", b"empty", b"document", b"iframe", b"script"])
def test_a_page_elsewhere_that_leads_to_a_stream_is_refused_although_browsers_name_no_origin_then(
    site: bytes, dest: bytes
) -> None:
    with pytest.raises(OriginNotAllowed):
        check(fetched(site, dest), ["https://app.example"])
    check(fetched(site, dest), ["*"])


def test_a_person_may_type_the_address_of_a_stream_and_own_pages_may_embed_it() -> None:
    check(fetched(b"same-origin"))
    check(fetched(b"none", b"document"))


AHEAD = [
    (b"sec-purpose", b"prefetch"), (b"sec-purpose", b"prefetch;prerender"),
    (b"purpose", b"prefetch"), (b"x-moz", b"prefetch"), (b"x-purpose", b"preview"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), AHEAD)
@pytest.mark.parametrize("origins", [[], ["*"]])
def test_what_a_browser_fetches_ahead_is_no_visit_from_wherever(
    name: bytes, value: bytes, origins: list[str]
) -> None:
    for site in (b"none", b"same-origin", b"cross-site"):
        with pytest.raises(OriginNotAllowed, match="the browser prefetches this"):
            check({**fetched(site, b"document"), name: value}, origins)


def refuse(checked: OriginCheck, *origins: bytes) -> list[str]:
    """The origins that were logged."""
    with capture_logs() as lines:
        for origin in origins:
            with pytest.raises(OriginNotAllowed):
                checked.check(headers(origin))
    assert all(line["event"] == "origin_refused" and line["setting"] == "origins" for line in lines)
    return [line["origin"] for line in lines]


def test_a_refused_origin_is_logged_once_in_a_while() -> None:
    clock = Clock(0)
    checked = OriginCheck([], clock.time)
    assert refuse(checked, b"https://a.example", b"https://b.example", b"https://a.example") == [
        "https://a.example",
        "https://b.example",
    ]
    clock.now = AGAIN_SECONDS - 1
    assert refuse(checked, b"https://a.example", b"null") == ["null"]
    clock.now = AGAIN_SECONDS
    assert refuse(checked, b"https://a.example", b"https://b.example", b"null") == [
        "https://a.example",
        "https://b.example",
    ]


def test_whoever_sends_ever_other_origins_fills_no_log() -> None:
    clock = Clock(0)
    checked = OriginCheck([], clock.time)
    logged = [
        refuse(checked, *(b"https://%d.example" % number for number in range(part, part + 500)))
        for part in (0, 500)
    ]
    assert sum(map(len, logged)) == REMEMBERED
    clock.now = AGAIN_SECONDS
    assert refuse(checked, b"https://new.example") == ["https://new.example"]


def test_what_is_logged_moves_no_cursor_and_is_short() -> None:
    (logged,) = refuse(OriginCheck([]), b"http://\x1b[2J\r\n" + b"x" * 10_000)
    assert logged.isprintable()
    assert len(logged) < 300
