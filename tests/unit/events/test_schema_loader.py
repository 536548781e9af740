"""Schemas are loaded by name, import path or file."""

from collections.abc import Callable
from pathlib import Path

import pytest

from eventhub.errors import ConfigurationError
from eventhub.events.schema import AnySchema, ModelSchema
from eventhub.events.schema_loader import load_schema
from tests.unit.events.schemas import ANY, CHAT, HERE, ORDER


def test_a_built_in_is_found_by_its_name() -> None:
    assert isinstance(CHAT, ModelSchema)
    assert isinstance(ANY, AnySchema)


def test_a_model_is_found_by_its_import_path() -> None:
    assert ORDER.canonical(b'{"item":"a"}') == b'{"item":"a"}'
    assert load_schema("builtins:int", HERE).canonical(b"5") == b"5"


def test_a_schema_file_is_relative_to_the_directory(tmp_path: Path) -> None:
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "order.json").write_text('{"type":"string"}')
    schema = load_schema("schemas/order.json", tmp_path)
    assert schema.accepted == schema.stored == {"type": "string"}
    assert schema.canonical(b'"x"') == b'"x"'


def write(content: bytes) -> Callable[[Path], object]:
    return lambda directory: (directory / "bad.json").write_bytes(content)


@pytest.mark.parametrize(
    "prepare",
    [
        lambda directory: None,
        lambda directory: (directory / "bad.json").mkdir(),
        write(b"{"),
        write(b""),
        write(b"\xff"),
        write(b"5"),
        write(b"[]"),
        write(b'"text"'),
        write(b"null"),
        write(b'{"type":"nonsense"}'),
        write(b'{"minimum":"x"}'),
        write(b'{"pattern":"("}'),
        write(b'{"$ref":"#/nowhere"}'),
    ],
    ids=[
        "missing", "a directory", "not JSON", "empty", "not UTF-8", "a number", "an array",
        "a text", "null", "unknown type", "bad keyword", "bad pattern", "dangling reference",
    ],
)  # fmt: skip
def test_a_schema_file_that_cannot_be_used_is_a_configuration_error(
    tmp_path: Path, prepare: Callable[[Path], object]
) -> None:
    prepare(tmp_path)
    with pytest.raises(ConfigurationError, match=r"payload 'bad\.json' cannot be used: \w+"):
        load_schema("bad.json", tmp_path)


def test_what_is_wrong_with_a_schema_is_shown(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text('{"properties":{"a":{"type":"objekt"}}}')
    with pytest.raises(ConfigurationError, match='/properties/a/type: "objekt" is not valid'):
        load_schema("bad.json", tmp_path)


def test_a_schema_on_another_machine_is_not_fetched(tmp_path: Path) -> None:
    (tmp_path / "far.json").write_text('{"$ref":"https://127.0.0.1:1/x.json"}')
    with pytest.raises(
        ConfigurationError,
        match=r"'https://127\.0\.0\.1:1/x\.json' is not present .* Retrieval is disabled",
    ):
        load_schema("far.json", tmp_path)


@pytest.mark.parametrize(
    "payload",
    [
        "no_such_package:Model",
        "json:Nothing",
        "json:",
        ":Model",
        ":",
        "eventhub.events.schema:load_schema:x",
        "os:path",
        "a b:C",
    ],
)
def test_an_import_path_that_cannot_be_used_is_a_configuration_error(payload: str) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot be used: \w+"):
        load_schema(payload, HERE)


@pytest.mark.parametrize("payload", ["", "Chat", "chat ", "logs", "json5", "schema.yaml"])
def test_an_unknown_payload_is_a_configuration_error_that_names_what_there_is(payload: str) -> None:
    with pytest.raises(
        ConfigurationError,
        match=r"did you mean \w+\?|expected one of chat, log, reading, alertmanager, senml, json, "
        r"a \.json file, or package\.module:Model",
    ):
        load_schema(payload, HERE)
