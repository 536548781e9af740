"""Documents made from the settings: docs/settings.md and the JSON Schema of eventhub.yaml."""

from collections.abc import Iterator
from typing import Any

from eventhub.config.auth_settings import KeySettings, VerificationKeySettings
from eventhub.config.channel_settings import (
    ChannelSettings,
    HistorySettings,
    RefusedSettings,
    SignalSettings,
    UpcastSettings,
)
from eventhub.config.sections import Section
from eventhub.config.settings import PREFIX, Settings

HEAD = """# Settings

The server reads `eventhub.yaml` in the directory where it starts, or the file that `--config` or
`EVENTHUB_CONFIG` names. Each key is also an environment variable, which wins over the file. The
command line wins over both. In a variable, lists and mappings are JSON; a mapping is merged with
the file's, key by key. Unknown keys and variables are refused, except those that Kubernetes sets
for a Service named `eventhub` (`EVENTHUB_SERVICE_HOST`, `EVENTHUB_PORT=tcp://…`): a warning names
them.

`eventhub check` tells whether a configuration can be used. It opens no database and connects to no
broker. `eventhub schema settings` prints the JSON Schema of the file, for editors:

```yaml
# yaml-language-server: $schema=eventhub.schema.json
broker: memory://
channels:
  chat:
    payload: chat
    history: {events: 500, age: 24h}
    presence: true
    publish: [client, producer]
  logs:   {payload: log,     history: {events: 10000, age: 1h}, publish: [producer]}
  iot:    {payload: reading, key: sensor, history: {events: 1000, age: 7d, latest: true},
           slow: latest, publish: [producer]}
  orders: {payload: schemas/order.json}          # JSON Schema 2020-12, relative to this file
  trades: {payload: "myapp.events:Trade"}        # a pydantic model, installed or beside this file
```

"""


REPEATED = (
    (
        "A channel type",
        "Below `channels.NAME`:",
        (
            ("", ChannelSettings),
            ("history.", HistorySettings),
            ("signals.", SignalSettings),
            ("refused.", RefusedSettings),
        ),
    ),
    (
        "A function that reads older events",
        "An item of `channels.NAME.upcast` ([schemas.md](schemas.md#older-events)):",
        (("", UpcastSettings),),
    ),
    (
        "An API key",
        "An item of `auth.keys`; `eventhub key new NAME` prints one:",
        (("", KeySettings),),
    ),
    (
        "A key that verifies tokens",
        "An item of `auth.tokens.keys`:",
        (("", VerificationKeySettings),),
    ),
)
"""Sections that can occur any number of times."""


def settings_page() -> str:
    """The content of docs/settings.md."""
    rows = ["| key | variable | default | meaning |", "|---|---|---|---|", *_rows("", Settings)]
    parts = [HEAD + "\n".join(rows)]
    for title, where, models in REPEATED:
        table = [
            "| key | default | meaning |",
            "|---|---|---|",
            *(row for prefix, model in models for row in _type_rows(prefix, model)),
        ]
        parts.append(f"## {title}\n\n{where}\n\n" + "\n".join(table))
    return "\n\n".join(parts) + "\n"


def settings_schema() -> dict[str, Any]:
    """The JSON Schema of eventhub.yaml."""
    schema = Settings.model_json_schema(mode="validation")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "eventhub.yaml",
    }


def _rows(prefix: str, model: Any) -> Iterator[str]:
    for name, field in model.model_fields.items():
        if isinstance(field.default, Section):
            yield from _rows(f"{prefix}{name}.", type(field.default))
        else:
            variable = PREFIX + f"{prefix}{name}".upper().replace(".", "__")
            yield f"| `{prefix}{name}` | `{variable}` | {_default(field)} | {field.description} |"


def _type_rows(prefix: str, model: Any) -> Iterator[str]:
    for name, field in model.model_fields.items():
        if not isinstance(field.default, Section):
            key = f"{prefix}{field.alias or name}"
            yield f"| `{key}` | {_default(field)} | {field.description} |"


def _default(field: Any) -> str:
    if field.is_required():
        return "required"
    if field.default_factory is not None:
        return "chat, logs, iot"
    if isinstance(field.default, list):
        return ", ".join(map(str, field.default)) or "none"
    if isinstance(field.default, bool) or field.default is None:
        return {True: "true", False: "false", None: "none"}[field.default]
    return f"`{field.default}`"
