"""`eventhub key new`."""

from datetime import UTC, datetime
from pathlib import Path
from textwrap import indent

import pytest
import yaml

from eventhub.auth.keys import hash_key
from eventhub.config.loader import load
from tests.unit.cli.runner import refused, run


def test_a_new_key_is_printed_with_its_configuration_entry(tmp_path: Path) -> None:
    result = run(
        "key",
        "new",
        "backend",
        "--publish",
        "chat.*",
        "--publish",
        "iot.>",
        "--subscribe",
        ">",
        "--expires",
        "90d",
        "--rate",
        "5",
    )
    assert result.exit_code == 0
    (key,) = [line for line in result.stdout.splitlines() if line.startswith("ehk_")]
    (tmp_path / "eventhub.yaml").write_text(
        "auth:\n  keys:\n" + indent(result.stdout.partition("keys:\n")[2], "  ")
    )
    (entry,) = load(tmp_path / "eventhub.yaml").auth.keys
    assert (entry.name, entry.hash, entry.publish, entry.subscribe) == (
        "backend",
        hash_key(key),
        ["chat.*", "iot.>"],
        [">"],
    )
    assert (entry.presence, entry.rate, entry.operator) == ([], 5, False)
    assert entry.expires is not None
    assert 89 <= (entry.expires - datetime.now(UTC)).days <= 90
    assert run("check").exit_code == 0
    assert key not in (tmp_path / "eventhub.yaml").read_text()


def test_the_entry_of_an_operator_key_says_operator() -> None:
    entry = yaml.safe_load(run("key", "new", "ops", "--operator").stdout.partition("keys:\n")[2])
    assert entry[0].pop("hash").startswith("sha256:")
    assert entry == [{"name": "ops", "operator": True}]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a b",), "name: "), (("a", "--publish", "a b"), "publish: expected a channel pattern"),
        (("a", "--rate", "0"), "rate: "), (("a", "--rate", "nan"), "rate: "),
        (("a", "--expires", "soon"), "an age is 'soon'"),
        (("a", "--expires", "9" * 30 + "d"), "an age is "),
        (("a", "--expires", "4000000d"), "before the year 10000"),
    ],
)  # fmt: skip
def test_options_that_the_configuration_would_refuse_are_refused(
    arguments: tuple[str, ...], message: str
) -> None:
    assert message in refused(run("key", "new", *arguments))
