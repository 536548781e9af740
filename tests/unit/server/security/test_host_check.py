"""server/security/host_check.py: by which names a server may be called that nothing but its address
protects.
"""

from typing import Any

import pytest

from eventhub.config.auth_settings import AuthSettings, KeySettings
from eventhub.config.settings import Settings
from eventhub.errors import MisdirectedRequest
from eventhub.server.security.host_check import REMEMBERED, HostCheck


def hosts(**fields: Any) -> HostCheck:
    return HostCheck(Settings(**fields))


LOCAL = [
    None, b"", b"localhost", b"localhost:8000", b"LocalHost:8000", b"localhost.:8000",
    b"app.localhost:8000", b"127.0.0.1:8000", b"127.0.0.1", b"[::1]:8000", b"[::1]",
    b"192.0.2.1:80",
]  # fmt: skip
FOREIGN = [
    b"evil.example:8000", b"evil.example", b"localhost.evil.example",
    b"127.0.0.1.evil.example:8000", b"evillocalhost", b"x", b"2130706433", b"0.0.0.0:8000",
    b"[::]:8000", b"[::ffff:0.0.0.0]", b"[::ffff:127.0.0.1]:8000", b"[::ffff:7f00:1]",
    b"0x7f.1:8000", b"[evil.example]:8000", b":8000", b".", b"user@localhost", b"\xff\xfe",
    b"a" * 10_000,
]  # fmt: skip


@pytest.mark.parametrize("host", LOCAL)
def test_names_of_this_machine_and_addresses_cannot_be_rebound(host: bytes | None) -> None:
    hosts().check(host)


@pytest.mark.parametrize("host", FOREIGN, ids=lambda host: repr(host[:30]))
def test_any_other_name_may_be_that_of_a_page_that_was_rebound(host: bytes) -> None:
    checked = hosts()
    for _ in range(2):
        with pytest.raises(MisdirectedRequest, match=r"`origins`") as caught:
            checked.check(host)
    assert len(caught.value.message) < 700


def test_names_below_one_that_origins_hold_are_answered_to() -> None:
    checked = hosts(origins=["https://*.example.com", "capacitor://app"])
    for host in (b"a.example.com", b"a.b.example.com:8000"):
        checked.check(host)
    for host in (b"example.com", b"evil-example.com", b"app"):
        with pytest.raises(MisdirectedRequest):
            checked.check(host)


def test_a_name_that_origins_hold_is_answered_to_on_any_port() -> None:
    checked = hosts(origins=["https://Events.example:8443", "null"])
    for host in (b"events.example", b"events.example:8443", b"EVENTS.example:80"):
        checked.check(host)
    for host in (b"null", b"example", b"a.events.example"):
        with pytest.raises(MisdirectedRequest):
            checked.check(host)


KEY = KeySettings(name="k", hash="sha256:" + "0" * 64)


@pytest.mark.parametrize(
    "fields",
    [{"host": "0.0.0.0", "insecure": True}, {"origins": ["*"]}, {"auth": AuthSettings(keys=[KEY])}],
)
def test_where_a_credential_or_the_network_protects_the_name_does_not_matter(
    fields: dict[str, Any],
) -> None:
    assert hosts(**fields).open
    hosts(**fields).check(b"evil.example")


def test_no_proxy_vouches_for_a_name() -> None:
    with pytest.raises(MisdirectedRequest):
        hosts(proxies="127.0.0.1").check(b"evil.example")


def test_what_is_remembered_is_bounded_and_beyond_it_all_is_checked_the_same() -> None:
    checked = hosts()
    for number in range(3 * REMEMBERED):
        checked.check(b"n%d.localhost" % number)
    with pytest.raises(MisdirectedRequest):
        checked.check(b"evil.example")
