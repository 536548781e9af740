"""Makes JSON Schemas of the custom resources in the chart, from the definitions that their projects
publish.

`python -m tests.deploy.crds FILE…` writes `crds/<kind>.json` from CustomResourceDefinitions, whose
schemas are OpenAPI v3. Descriptions, defaults and rules in CEL are left out. A field that is not
declared is refused, as `kubectl apply` does.
"""

import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs

from tests.harness import yaml_text

HERE = Path(__file__).parent / "crds"


@cache
def validator(kind: str) -> jsonschema_rs.Draft4Validator:
    """A validator of one kind, in its version v1.

    Raises FileNotFoundError if there is no schema of it here.
    """
    return jsonschema_rs.Draft4Validator(json.loads((HERE / f"{kind}.json").read_text()))


def schema(definition: dict[str, Any]) -> dict[str, Any]:
    """The strict schema of a CustomResourceDefinition's version v1."""
    versions = {version["name"]: version for version in definition["spec"]["versions"]}
    whole: dict[str, Any] = _strict(versions["v1"]["schema"]["openAPIV3Schema"])
    whole["properties"]["metadata"] = {
        "type": "object"
    }  # every object has these; they do not matter here
    return whole


def _strict(node: Any) -> Any:
    if isinstance(node, list):
        return [_strict(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {
        key: _strict(value)
        for key, value in node.items()
        if key not in ("description", "default", "format") and key[:2] != "x-"
    }
    if "(?i)" in str(kept.get("pattern")):  # Go's, and in no other dialect
        del kept["pattern"]
    if "properties" in node:
        kept |= {
            "properties": {name: _strict(value) for name, value in node["properties"].items()},
            "additionalProperties": False,
        }
    return kept


def main() -> None:
    """Write the schemas of the files given."""
    HERE.mkdir(exist_ok=True)
    for name in sys.argv[1:]:
        definition = yaml_text.read(Path(name).read_text())
        (HERE / f"{definition['spec']['names']['kind']}.json").write_text(
            json.dumps(schema(definition), separators=(",", ":")) + "\n"
        )


if __name__ == "__main__":
    main()
