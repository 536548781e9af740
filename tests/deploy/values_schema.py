"""The part of the chart's values.schema.json that comes from EventHub: the schema of `config`. The
rest of that file is written by hand.

`python -m tests.deploy.values_schema` writes it.
"""

import json
from pathlib import Path
from typing import Any

from eventhub.config.settings_page import settings_schema

FILE = Path(__file__).resolve().parents[2] / "helm/eventhub/values.schema.json"
SET_BY_THE_CHART = ("host", "port", "tls")
NOISE = ("title", "default", "writeOnly", "format")
"""Defaults are EventHub's, and may hold what is left out here; formats are not those that Helm
knows.
"""


def values_schema() -> str:
    """The file as it should be."""
    schema = json.loads(FILE.read_text())
    settings = _quiet(settings_schema())
    schema["$defs"] = dict(sorted(settings.pop("$defs").items()))
    key = schema["$defs"]["VerificationKeySettings"]
    del key["properties"]["secret"], schema["$defs"]["TlsSettings"]  # a secret comes as a file
    key["required"].append("file")
    for name in SET_BY_THE_CHART:
        del settings["properties"][name]
    del settings["$schema"]
    schema["properties"]["config"] = settings
    return json.dumps(schema, indent=2) + "\n"


def _quiet(schema: Any, *, names: bool = False) -> Any:
    """Remove keywords that are noise.

    `names`: the keys are names of properties, so none of them is a keyword.
    """
    if isinstance(schema, list):
        return [_quiet(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept = schema if names else {key: value for key, value in schema.items() if key not in NOISE}
    return {
        key: _quiet(value, names=not names and key in ("properties", "$defs"))
        for key, value in kept.items()
    }


if __name__ == "__main__":
    FILE.write_text(values_schema())
