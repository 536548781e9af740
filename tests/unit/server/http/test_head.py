"""server/http/head.py: what a head may have, and what is kept of it."""

import pytest

from eventhub.errors import HeadTooLarge
from eventhub.server.http.head import HEAD_BYTES, HEAD_FIELDS, IncomingHead, head_too_late


def test_parts_of_an_address_are_joined_and_names_are_in_small_letters() -> None:
    head = IncomingHead()
    head.add_url(b"/v1")
    head.add_url(b"/types")
    head.add_field(b"Host", b"localhost \t")
    assert (head.url, head.headers) == (b"/v1/types", [(b"host", b"localhost")])


def test_a_client_that_waits_for_100_continue_is_noticed() -> None:
    head = IncomingHead()
    head.add_field(b"Expect", b"100-Continue")
    assert head.expects_continue


def test_an_address_and_fields_share_one_limit() -> None:
    head = IncomingHead()
    head.add_url(b"/" * (HEAD_BYTES - 10))
    head.add_field(b"a", b"b")
    with pytest.raises(HeadTooLarge):
        head.add_field(b"a", b"b")


def test_many_small_fields_are_too_many() -> None:
    head = IncomingHead()
    for _ in range(HEAD_FIELDS):
        head.add_field(b"a", b"")
    with pytest.raises(HeadTooLarge):
        head.add_field(b"a", b"")


def test_trailers_are_counted_from_zero_and_not_kept() -> None:
    head = IncomingHead()
    for _ in range(HEAD_FIELDS):
        head.add_field(b"a", b"")
    head.finish()
    for _ in range(HEAD_FIELDS):
        head.add_field(b"b", b"")
    assert len(head.headers) == HEAD_FIELDS
    with pytest.raises(HeadTooLarge):
        head.add_field(b"b", b"")


def test_a_late_head_names_its_limit() -> None:
    assert "5 seconds (limits.head_seconds)" in head_too_late(5.0).message
