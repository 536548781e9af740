"""`eventhub schema`."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from eventhub.cli import app
from eventhub.config.settings import SAMPLE_CHANNELS, Settings
from eventhub.events.schema import FileSchema
from tests.unit.cli.runner import refused, run

NARROW = {"type": "object", "properties": {"n": {"type": "integer"}}}
WIDE = {"type": "object", "properties": {"n": {"type": "number"}}}


def written(directory: Path, **schemas: Any) -> list[str]:
    for name, schema in schemas.items():
        (directory / name).write_text(json.dumps(schema))
    return [str(directory / name) for name in schemas]


def test_settings_prints_the_json_schema_of_the_configuration_file() -> None:
    result = run("schema", "settings")
    schema = json.loads(result.stdout)
    assert result.exit_code == 0
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert set(schema["properties"]) == set(Settings.model_fields)
    assert schema["additionalProperties"] is False
    FileSchema(schema).canonical(json.dumps({"port": 1, "channels": SAMPLE_CHANNELS}).encode())


def test_check_accepts_a_compatible_change(tmp_path: Path) -> None:
    result = run("schema", "check", *written(tmp_path, old=NARROW, new=WIDE))
    assert (result.exit_code, result.stdout) == (0, "compatible (backward)\n")


def test_check_names_the_place_and_the_rule_of_an_incompatible_change(tmp_path: Path) -> None:
    files = written(tmp_path, old=NARROW, new=WIDE)
    result = run("schema", "check", *files, "--compatibility", "full")
    assert result.exit_code == 1
    assert result.stdout == (
        '/properties/n/type: the old schema has type "integer"; the new schema has type "number" '
        "(type_widened, forward)\n"
    )


def test_check_prints_json_for_programs(tmp_path: Path) -> None:
    files = written(tmp_path, old=WIDE, new=NARROW)
    result = run("schema", "check", *files, "-o", "json")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {
        "compatible": False,
        "mode": "backward",
        "changes": [
            {
                "direction": "backward",
                "pointer": "/properties/n/type",
                "rule": "type_narrowed",
                "message": 'the new schema has type "integer"; the old schema has type "number"',
            }
        ],
    }


def test_check_reads_one_schema_from_standard_input(tmp_path: Path) -> None:
    [new] = written(tmp_path, new=NARROW)
    result = CliRunner().invoke(app, ["schema", "check", "-", new], input=json.dumps(WIDE))
    assert result.exit_code == 1


def test_check_reads_models() -> None:
    chat = "eventhub.events.builtin_payloads:ChatMessage"
    assert run("schema", "check", chat, chat, "--compatibility", "full").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-", "-"), "only one of the two schemas can be read from standard input"),
        (("missing.json", "missing.json"), "the schema missing.json cannot be used: No such file"),
        (("no.such:Model", "-"), "payload 'no.such:Model' cannot be used: ModuleNotFoundError"),
    ],
)
def test_check_refuses_what_it_cannot_read(arguments: tuple[str, ...], message: str) -> None:
    assert message in refused(run("schema", "check", *arguments))


@pytest.mark.parametrize("text", ["{", "[]", '{"type": "text"}', '{"$schema": "draft-07"}'])
def test_check_refuses_what_is_no_schema(text: str, tmp_path: Path) -> None:
    (tmp_path / "old").write_text(text)
    message = refused(run("schema", "check", str(tmp_path / "old"), "-"))
    assert f"the schema {tmp_path / 'old'} cannot be used: " in message


@pytest.mark.parametrize("option", [("--compatibility", "both"), ("-o", "yaml")])
def test_check_refuses_unknown_modes_and_forms(option: tuple[str, str]) -> None:
    result = run("schema", "check", "a", "b", *option)
    assert result.exit_code == 2
    assert f"received {option[1]}; expected" in result.stderr
