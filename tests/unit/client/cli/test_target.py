"""Which server a command talks to."""

from pathlib import Path

import pytest

from eventhub_client.cli.contexts import Context, Contexts
from eventhub_client.cli.target import Target, target_of


@pytest.fixture(autouse=True)
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Contexts:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return Contexts()


def test_without_anything_it_is_this_machine() -> None:
    assert target_of(None, None, None, None) == Target("http://localhost:8000")


def test_the_current_context_gives_address_and_credential(stored: Contexts) -> None:
    stored.add("prod", Context("https://prod", token="secret"))
    stored.add("test", Context("https://test", api_key="ehk_t"))
    assert target_of(None, None, None, None) == Target("https://prod", "secret")
    assert target_of(None, "test", None, None) == Target("https://test", None, "ehk_t")


def test_a_credential_of_a_context_is_not_sent_to_another_server(stored: Contexts) -> None:
    stored.add("prod", Context("https://prod", token="secret"))
    assert target_of("https://other", None, None, None) == Target("https://other")


def test_a_credential_that_is_given_replaces_that_of_the_context(stored: Contexts) -> None:
    stored.add("prod", Context("https://prod", token="secret"))
    assert target_of(None, None, None, "ehk_a") == Target("https://prod", None, "ehk_a")


def test_two_credentials_and_what_is_no_address_are_refused() -> None:
    with pytest.raises(ValueError, match="at most one"):
        target_of(None, None, "a", "b")
    with pytest.raises(ValueError, match="received the address"):
        target_of("hub.example", None, None, None)
    with pytest.raises(ValueError, match="no context 'x'"):
        target_of(None, "x", None, None)
