"""eventhub_client/address.py."""

import pytest

from eventhub_client.address import Address


@pytest.mark.parametrize(
    ("url", "http", "websocket"),
    [
        ("http://localhost:8000", "http://localhost:8000", "ws://localhost:8000/v1/ws"),
        ("https://hub.example/", "https://hub.example", "wss://hub.example/v1/ws"),
        ("wss://hub.example/a/", "https://hub.example/a", "wss://hub.example/a/v1/ws"),
        ("ws://[::1]:8000", "http://[::1]:8000", "ws://[::1]:8000/v1/ws"),
    ],
)
def test_both_addresses_follow_from_one(url: str, http: str, websocket: str) -> None:
    assert Address.of(url) == Address(http, websocket)


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8000", "hub.example", "ftp://a", "http://", "http://a?b",
        "http://a:99999", "http://a:port", "http://[::1",
    ],
)  # fmt: skip
def test_what_is_no_address_is_told(url: str) -> None:
    with pytest.raises(ValueError, match="expected such as https://hub"):
        Address.of(url)


def test_what_is_received_is_said_without_what_may_be_secret() -> None:
    with pytest.raises(ValueError, match="received the address 'localhost:8000'; "):
        Address.of("localhost:8000")
    with pytest.raises(ValueError, match=r"'hub\.example/a'") as caught:
        Address.of("ftp://ana:secret@hub.example/a?token=secret#secret")
    assert "secret" not in str(caught.value)


def test_a_password_in_the_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(ValueError, match="name or password") as caught:
        Address.of("https://ana:secret@hub.example")
    assert "secret" not in str(caught.value)
