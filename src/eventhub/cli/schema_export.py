"""`eventhub schema export`: the payloads of channel types, for programs on both sides.

Generators of others make the code: datamodel-code-generator makes Python, json-schema-to-typescript
TypeScript.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

import httpx
import typer

from eventhub.cli.configuration import ConfigFile, directory_of, load_settings
from eventhub.cli.output import refuse
from eventhub.config.loader import channel_types
from eventhub.errors import ConfigurationError, UnknownChannel
from eventhub.events.compatibility.documents import LISTS, MAPS, SINGLES
from eventhub.events.schema import DIALECT

SECONDS = 30.0
PYTHON = (
    "datamodel-codegen",
    "--input-file-type=jsonschema",
    "--output-model-type=pydantic_v2.BaseModel",
    "--target-python-version=3.11",
    "--formatters=builtin",
    "--use-annotated",
    "--use-standard-collections",
    "--use-union-operator",
    "--disable-timestamp",
)
TYPESCRIPT = ("json2ts", "--unreachableDefinitions")
INSTALL = {
    PYTHON[0]: "pip install datamodel-code-generator",
    TYPESCRIPT[0]: "npm install --global json-schema-to-typescript",
}

MAPPINGS = MAPS | {"$defs", "definitions"}

Schemas = Mapping[str, Mapping[str, Any]]
"""By channel type, and then `stored` and `accepted`."""


def export(
    types: Annotated[list[str] | None, typer.Argument(help="Channel types; all by default")] = None,
    python: Annotated[bool, typer.Option("--python", help="pydantic models")] = False,  # noqa: FBT002
    typescript: Annotated[bool, typer.Option("--typescript", help="Interfaces")] = False,  # noqa: FBT002
    json_schema: Annotated[bool, typer.Option("--json-schema", help="One JSON Schema")] = False,  # noqa: FBT002
    server: Annotated[
        str | None, typer.Option(metavar="URL", help="Ask a server, not the configuration file")
    ] = None,
    config: ConfigFile = None,
) -> None:
    """Print typed models of the payloads: what is stored, and what may be sent if it differs."""
    if python + typescript + json_schema != 1:
        refuse("expected one of --python, --typescript and --json-schema")
    names = types or []
    found = _of_server(server, names) if server else _of_file(config, names)
    document = json.dumps(bundle(found), indent=2)
    if json_schema:
        typer.echo(document)
    else:
        typer.echo(_generated(PYTHON if python else TYPESCRIPT, document), nl=False)


def bundle(schemas: Schemas) -> dict[str, Any]:
    """One JSON Schema with a definition for each type: `Orders`, and `OrdersInput` if it differs.

    The whole is an object that has each type by its name. Exits if two types have one name.
    """
    definitions: dict[str, Any] = {}
    properties = {}
    for name, forms in schemas.items():
        title = class_name(name)
        if title in definitions or title == "Events":
            refuse(f"channel type {name} has the class name {title}, which another one has")
        definitions[title] = _moved(forms["stored"], title)
        if forms["accepted"] != forms["stored"]:
            definitions[f"{title}Input"] = _moved(forms["accepted"], f"{title}Input")
        properties[name] = {"$ref": f"#/$defs/{title}"}
    return {
        "$schema": DIALECT,
        "title": "Events",
        "description": "The payload of each channel type",
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
        "$defs": definitions,
    }


def class_name(name: str) -> str:
    """`OrderLines` for `order-lines`."""
    words = re.split(r"[^A-Za-z0-9]+", name)
    title = "".join(word[:1].upper() + word[1:] for word in words)
    return title if title[:1].isalpha() else f"Type{title}"


def _moved(schema: Any, title: str) -> Any:
    """A schema as a definition of this name."""
    moved = _relocated(schema, f"#/$defs/{title}")
    if not isinstance(moved, dict):
        return moved
    return {key: value for key, value in moved.items() if key != "$schema"} | {"title": title}


def _relocated(schema: Any, place: str) -> Any:
    """A schema at another place. Without titles, of which generators would make types."""
    if not isinstance(schema, dict):
        return schema
    moved: dict[str, Any] = {}
    for keyword, value in schema.items():
        if keyword == "$ref" and isinstance(value, str) and value.startswith("#"):
            moved[keyword] = place + value[1:]
        elif keyword in MAPPINGS:
            moved[keyword] = {name: _relocated(each, place) for name, each in value.items()}
        elif keyword in LISTS:
            moved[keyword] = [_relocated(each, place) for each in value]
        elif keyword in SINGLES:
            moved[keyword] = _relocated(value, place)
        elif keyword != "title":
            moved[keyword] = value
    return moved


def _of_file(config: Any, names: Sequence[str]) -> Schemas:
    settings, file = load_settings(config, {})
    try:
        types = channel_types(settings, directory_of(file))
        asked = [types.named(name) for name in names] or list(types)
    except (ConfigurationError, UnknownChannel) as error:
        refuse(str(error))
    return {
        each.name: {"stored": each.schema.stored, "accepted": each.schema.accepted}
        for each in asked
    }


def _of_server(url: str, names: Iterable[str]) -> Schemas:
    base = url.rstrip("/")
    with httpx.Client(timeout=SECONDS) as client:
        asked = list(names) or [
            each["name"] for each in _answer(client, f"{base}/v1/types")["types"]
        ]
        return {name: _answer(client, f"{base}/v1/types/{name}")["schemas"] for name in asked}


def _answer(client: httpx.Client, url: str) -> Any:
    try:
        response = client.get(url)
        answer = response.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        refuse(f"{url}: {error}")
    if response.status_code != httpx.codes.OK:
        refuse(f"{url} answered {response.status_code}: {answer.get('detail', '')}")
    return answer


def _generated(command: Sequence[str], document: str) -> str:
    """What a generator makes of the document. Exits if it is missing or fails."""
    if (program := shutil.which(command[0])) is None:
        refuse(f"{command[0]} is not installed; `{INSTALL[command[0]]}` installs it")
    ran = subprocess.run(  # noqa: S603  # its arguments are fixed
        [program, *command[1:]], input=document, capture_output=True, text=True, check=False
    )
    if ran.returncode != 0:
        refuse(f"{command[0]} ended with {ran.returncode}: {ran.stderr.strip()}")
    return ran.stdout
