"""Stored servers."""

import stat
from pathlib import Path

import pytest

from eventhub_client.cli.contexts import Context, Contexts


def test_a_context_is_kept_in_a_file_that_only_its_owner_reads(tmp_path: Path) -> None:
    path = tmp_path / "new" / "contexts.json"
    Contexts(path).add("prod", Context("https://hub.example", api_key="ehk_a"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert Contexts(path).get("prod") == Context("https://hub.example", None, "ehk_a")


def test_a_file_that_others_could_read_is_closed_to_them_by_the_next_change(tmp_path: Path) -> None:
    path = tmp_path / "contexts.json"
    Contexts(path).add("a", Context("http://a"))
    path.chmod(0o644)
    Contexts(path).add("b", Context("http://b"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_first_is_the_current_one_until_another_is_used(tmp_path: Path) -> None:
    path = tmp_path / "contexts.json"
    contexts = Contexts(path)
    contexts.add("a", Context("http://a"))
    contexts.add("b", Context("http://b"))
    assert Contexts(path).current == "a"
    contexts.use("b")
    assert Contexts(path).current == "b"
    contexts.remove("b")
    assert (Contexts(path).current, list(Contexts(path).by_name)) == (None, ["a"])


def test_an_unknown_name_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    contexts = Contexts(tmp_path / "contexts.json")
    with pytest.raises(ValueError, match=r"no context 'x' in .*; there are: none"):
        contexts.use("x")
    contexts.add("b", Context("http://b"))
    contexts.add("a", Context("http://a"))
    for refuse in (contexts.use, contexts.get, contexts.remove):
        with pytest.raises(ValueError, match="there are: a, b"):
            refuse("x")


@pytest.mark.parametrize("text", ["{", "[]", '{"contexts": {"a": {"host": 1}}, "current": null}'])
def test_a_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "contexts.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"contexts\.json is not a list of contexts"):
        Contexts(path)
