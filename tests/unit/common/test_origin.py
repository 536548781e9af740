"""origin.py: what a page's origin is, and which ones a configuration lists."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventhub.common.origin import Origin, Origins, check_pattern, is_of_host, parse_origin

NO_ORIGIN = [
    "", "null", "*", "hub.example:8000", "http://", "http://.", "://x",
    "http://evil.example/hub.example:8000", "http://user@hub.example",
    "http://hub.example:8000:8000", "http://[::1", "http://]", "http://[hub.example:8000]",
    "http://hub.example:", "http://hub.example?x", "http://hub.example\n", "http://a b", "\xff\xfe",
    "1http://x", "http://x:123456",
]  # fmt: skip


@pytest.mark.parametrize("text", NO_ORIGIN)
def test_what_has_not_a_scheme_and_a_host_is_no_origin(text: str) -> None:
    assert parse_origin(text) is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("HTTP://Hub.Example:80", "http://hub.example"),
        ("https://hub.example.:443", "https://hub.example"),
        ("https://hub.example:80", "https://hub.example:80"),
        ("http://[0:0::1]:8000", "http://[::1]:8000"),
        ("capacitor://localhost", "capacitor://localhost"),
        ("chrome-extension://Abc:80", "chrome-extension://abc:80"),
        ("file://", "file://"),
    ],
)
def test_an_origin_has_one_form(text: str, shown: str) -> None:
    assert str(parse_origin(text)) == shown
    assert parse_origin(shown) == parse_origin(text)


SAME = [
    ("http://localhost", "localhost"), ("http://localhost", "localhost:80"),
    ("http://localhost:80", "LocalHost"), ("https://hub.example", "hub.example:443"),
    ("https://hub.example", "hub.example"), ("http://hub.example.", "hub.example:80"),
    ("http://hub.example:8000", "hub.example.:8000"), ("http://[::1]", "[::1]:80"),
    ("http://[::1]:8000", "[0:0:0:0:0:0:0:1]:8000"), ("http://127.0.0.1:8000", "127.0.0.1:8000"),
]  # fmt: skip
OTHER = [
    ("http://localhost", "localhost:443"), ("https://localhost", "localhost:80"),
    ("http://localhost", "localhost:8000"), ("http://localhost:8000", "localhost"),
    ("http://hub.example", "hub.example.evil"), ("http://hub.example", ""),
    ("http://hub.example", "hub.example, evil"), ("http://hub.example", "user@hub.example"),
    ("capacitor://localhost", "localhost"), ("file://", ""),
    ("chrome-extension://localhost", "localhost:80"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "host"), SAME)
def test_a_page_of_the_host_of_the_request_whether_a_default_port_is_written_or_not(
    text: str, host: str
) -> None:
    origin = parse_origin(text)
    assert origin is not None
    assert is_of_host(origin, host)


@pytest.mark.parametrize(("text", "host"), OTHER)
def test_a_page_of_another_host_or_port(text: str, host: str) -> None:
    origin = parse_origin(text)
    assert origin is not None
    assert not is_of_host(origin, host)


NAMED = [
    "capacitor://localhost",
    "ionic://localhost",
    "tauri://localhost",
    "chrome-extension://abcdefghijklmnop",
    "file://",
    "app://obsidian.md",
]


@pytest.mark.parametrize(
    "pattern",
    [
        *NAMED,
        "moz-extension://*",
        "https://*.example.com",
        "https://app.example:8443",
        "http://[::1]:3000",
        "*",
        "null",
    ],
)
def test_what_can_be_listed(pattern: str) -> None:
    assert check_pattern(pattern) == pattern


def test_a_pattern_is_kept_as_browsers_write_origins() -> None:
    assert check_pattern("HTTPS://App.Example.:443") == "https://app.example"
    assert Origins([check_pattern("https://App.Example:443")]).cover("https://app.example")


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("https://app.example/", "https://app.example, as browsers send it"),
        ("https://app.example/chat", "https://app.example, as browsers send it"),
        ("app.example", "https://app.example, as browsers send it"),
        ("localhost:3000", "https://localhost:3000, as browsers send it"),
        ("https://", "such as https://app.example"),
        ("https://user@app.example", "such as https://app.example"),
        ("https://bücher.example", "https://xn--"),
        ("https://*", r"https://\*\.example\.com"),
        ("https://*example.com", r"https://\*\.example\.com"),
        ("https://app.*.example.com", r"https://\*\.example\.com"),
        ("https://*.*.example.com", r"https://\*\.example\.com"),
        ("https://app.example.*", r"https://\*\.example\.com"),
        ("*://app.example", "such as https://app.example"),
        ("http://localhost:*", "such as https://app.example"),
        (1, "a text"),
    ],
)
def test_what_could_never_match_is_refused_with_what_was_meant(
    pattern: object, expected: str
) -> None:
    with pytest.raises(ValueError, match=expected):
        check_pattern(pattern)


BELOW = [
    "https://app.example.com",
    "https://a.b.example.com",
    "https://APP.example.com:443",
    "https://app.example.com.",
]
NOT_BELOW = [
    "https://example.com", "https://evil-example.com", "https://evilexample.com",
    "https://example.com.evil.com", "http://app.example.com", "https://app.example.com:8443",
    "https://.example.com", "https://app.example.com/x.example.com", "https://x@app.example.com",
    "null", "*", "",
]  # fmt: skip


@pytest.mark.parametrize("text", BELOW)
def test_a_star_covers_one_or_more_names_in_front(text: str) -> None:
    assert Origins(["https://*.example.com"]).cover(text)


@pytest.mark.parametrize("text", NOT_BELOW)
def test_a_star_covers_nothing_else(text: str) -> None:
    assert not Origins(["https://*.example.com"]).cover(text)


def test_a_scheme_of_which_each_installation_has_a_host_of_its_own() -> None:
    listed = Origins(["moz-extension://*"])
    assert listed.cover("moz-extension://0b3f5d0e-1c35-4c6e-9a53-6d5d5c3d1a11")
    assert not listed.cover("chrome-extension://abc")
    assert not listed.cover("https://moz-extension")
    assert not listed.hold_host("abc"), "which is no name of a server"


def test_all_and_those_without_an_origin_are_not_named() -> None:
    """So they may not send cookies."""
    for pattern, text in (("*", "https://evil.example"), ("*", "null"), ("null", "null")):
        assert Origins([pattern]).cover(text)
        assert not Origins([pattern]).name(text)
    assert Origins(["https://*.example.com"]).name("https://app.example.com")
    assert not Origins(["null"]).cover("https://null")


def test_the_hosts_of_listed_pages() -> None:
    listed = Origins(
        ["https://events.example:8443", "https://*.example.com", "capacitor://localhost", "null"]
    )
    assert all(map(listed.hold_host, ("events.example", "a.example.com", "a.b.example.com")))
    assert not any(
        map(listed.hold_host, ("example.com", "localhost", "null", "x.events.example", ""))
    )


@given(st.text(max_size=60))
def test_any_text_is_an_origin_or_none_and_covered_by_itself_alone(text: str) -> None:
    origin = parse_origin(text)
    assert not Origins(["https://app.example"]).cover(text) or origin == Origin(
        "https", "app.example", 443
    )
    if origin is not None and not re.search(r"\*", text):
        assert Origins([str(origin)]).cover(text)
