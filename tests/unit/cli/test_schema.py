"""`eventhub schema`."""

import json

from eventhub.config.settings import SAMPLE_CHANNELS, Settings
from eventhub.events.schema import FileSchema
from tests.unit.cli.runner import run


def test_schema_prints_the_json_schema_of_the_configuration_file() -> None:
    result = run("schema")
    schema = json.loads(result.stdout)
    assert result.exit_code == 0
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert set(schema["properties"]) == set(Settings.model_fields)
    assert schema["additionalProperties"] is False
    FileSchema(schema).canonical(json.dumps({"port": 1, "channels": SAMPLE_CHANNELS}).encode())
