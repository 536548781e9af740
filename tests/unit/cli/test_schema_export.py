"""`eventhub schema export`. tests/conformance/test_exported_models.py uses the code."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator

from eventhub.cli.schema_export import class_name
from tests.unit.cli.runner import refused, run

ORDER = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "An order",
    "type": "object",
    "properties": {"title": {"title": "Its title", "$ref": "#/$defs/text"}, "self": {"$ref": "#"}},
    "required": ["title"],
    "$defs": {"text": {"title": "Text", "type": "string", "enum": ["a", {"$ref": "#/x"}]}},
}
MODEL = """
from decimal import Decimal
from pydantic import BaseModel

class Trade(BaseModel):
    price: Decimal
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    (tmp_path / "order.json").write_text(json.dumps(ORDER))
    (tmp_path / "exported_shop.py").write_text(MODEL)
    file = tmp_path / "eventhub.yaml"
    file.write_text(
        "channels:\n"
        "  orders: {payload: order.json}\n"
        "  trades: {payload: 'exported_shop:Trade'}\n"
        "  free-form: {payload: json}\n"
    )
    return str(file)


def exported(*arguments: str) -> Any:
    result = run("schema", "export", "--json-schema", *arguments)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_each_type_is_a_definition_and_its_references_lead_into_it(config: str) -> None:
    document = exported("--config", config)
    assert document["properties"] == {
        "orders": {"$ref": "#/$defs/Orders"},
        "trades": {"$ref": "#/$defs/Trades"},
        "free-form": {"$ref": "#/$defs/FreeForm"},
    }
    assert document["$defs"]["Orders"] == {
        "title": "Orders",
        "type": "object",
        "properties": {
            "title": {"$ref": "#/$defs/Orders/$defs/text"},
            "self": {"$ref": "#/$defs/Orders"},
        },
        "required": ["title"],
        "$defs": {"text": {"type": "string", "enum": ["a", {"$ref": "#/x"}]}},
    }
    valid = Draft202012Validator(document).is_valid
    assert valid({"orders": {"title": "a"}, "trades": {"price": "1.5"}, "free-form": 1})
    assert not valid({"orders": {"title": "b"}, "trades": {"price": "1.5"}, "free-form": 1})


def test_what_may_be_sent_has_a_definition_of_its_own_if_it_differs(config: str) -> None:
    definitions = exported("--config", config)["$defs"]
    assert set(definitions) == {"Orders", "Trades", "TradesInput", "FreeForm"}
    assert definitions["Trades"]["properties"]["price"]["type"] == "string"
    kinds = [each["type"] for each in definitions["TradesInput"]["properties"]["price"]["anyOf"]]
    assert kinds == ["number", "string"]


def test_types_can_be_named(config: str) -> None:
    assert set(exported("trades", "--config", config)["properties"]) == {"trades"}
    message = refused(run("schema", "export", "--json-schema", "trade", "--config", config))
    assert "did you mean 'trades'?" in message


@pytest.mark.parametrize(
    ("name", "title"),
    [("orders", "Orders"), ("order-lines_2", "OrderLines2"), ("2fa", "Type2fa"), ("_", "Type")],
)
def test_the_class_name_of_a_type(name: str, title: str) -> None:
    assert class_name(name) == title


def test_two_types_with_one_class_name_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "eventhub.yaml"
    file.write_text("channels: {a-b: {payload: json}, a_b: {payload: json}}")
    message = refused(run("schema", "export", "--json-schema", "--config", str(file)))
    assert "channel type a_b has the class name AB, which another one has" in message


@pytest.mark.parametrize("options", [(), ("--python", "--typescript")])
def test_one_form_is_asked_for(options: tuple[str, ...]) -> None:
    assert "expected one of --python, " in refused(run("schema", "export", *options))


@pytest.mark.parametrize(
    ("option", "hint"),
    [
        ("--python", "`pip install datamodel-code-generator` installs it"),
        ("--typescript", "`npm install --global json-schema-to-typescript` installs it"),
    ],
)
def test_a_generator_that_is_not_installed_is_named(
    option: str, hint: str, config: str, tmp_path: Path
) -> None:
    result = run("schema", "export", option, "--config", config, PATH=str(tmp_path))
    assert hint in refused(result)


def test_a_generator_that_fails_says_why(config: str, tmp_path: Path) -> None:
    program = tmp_path / "json2ts"
    program.write_text("#!/bin/sh\necho no such thing >&2\nexit 3\n")
    program.chmod(0o755)
    result = run("schema", "export", "--typescript", "--config", config, PATH=str(tmp_path))
    assert refused(result) == "eventhub: json2ts ended with 3: no such thing\n"


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://[", "ftp://hub.example"])
def test_a_server_that_cannot_be_reached_is_named(url: str) -> None:
    message = refused(run("schema", "export", "--json-schema", "--server", url))
    assert message.startswith(f"eventhub: {url}/v1/types: ")
