"""Messages about settings that cannot be used. They never show a secret."""

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel

from eventhub.common.similar_names import hint_at
from eventhub.config.channel_settings import ChannelSettings
from eventhub.config.sections import Section
from eventhub.config.service_links import looks_like_link
from eventhub.config.settings import Settings, without_secrets

LINK_HINT = (
    "; Kubernetes and Docker set such variables for a Service or a link named eventhub: leave them "
    "out (enableServiceLinks: false)"
)

MESSAGES = {
    (
        "broker",
        "string_pattern_mismatch",
    ): "expected memory://, sqlite:///file, redis://host or nats://host",
    (
        "tracing.endpoint",
        "string_pattern_mismatch",
    ): "expected a URL such as http://localhost:4318, without user and query",
    ("channels", "too_short"): "declares no channel type; expected at least one",
    ("channels", "dict_type"): "expected channel types by name, as in {chat: {payload: chat}}",
    (
        "channels.*",
        "string_pattern_mismatch",
    ): "expected a channel type's name, the first part of its channels': "
    "1 to 64 of A-Z a-z 0-9 _ -",
    (
        "auth.keys.*.hash",
        "string_pattern_mismatch",
    ): "expected sha256: and 64 digits from 0 to f, as `eventhub key new` prints it",
}
"""Messages in place of pydantic's, by key and kind. A * stands for a number or a channel type."""
MESSAGES_BY_KIND = {
    "model_type": "expected keys and their values, as in {key: value}",
    "float_parsing": "expected a number, without a unit",
    "int_parsing": "expected a whole number, without a unit",
}
"""Messages in place of pydantic's, by kind."""


def explain(fault: Any) -> str:
    """A message for one of pydantic's faults: key, what was expected, what was received."""
    path = [str(part) for part in fault["loc"]]
    unknown = fault["type"] == "extra_forbidden"
    if not unknown:
        # pydantic adds the names of validators, which end with a bracket.
        path = [part for part in path if not part.endswith("]")]
    where = ".".join(path)
    if not unknown:
        kind = fault["type"]
        message = (
            MESSAGES.get((_pattern_of(path), kind))
            or MESSAGES_BY_KIND.get(kind)
            or fault["msg"].removeprefix("Value error, ")
        )
        if not _may_be_shown(path, fault["input"]) or (
            isinstance(fault["input"], str) and repr(fault["input"]) in message
        ):
            return f"{where}: {message}" if where else message
        hint = LINK_HINT if where == "port" and looks_like_link(fault["input"]) else ""
        return f"{where}: {message}, received {_shown(fault['input'])}{hint}"
    known = _known_keys(path[:-1])
    return f"{where}: unknown key{hint_at(path[-1], known)}"


def _shown(value: Any) -> str:
    """A value as YAML writes it, without secrets."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return repr(without_secrets(str(value))[:80])


def _pattern_of(path: Sequence[str]) -> str:
    """A key's path, with a * for numbers and names of channel types."""
    variable = [
        part.isdigit() or (number == 1 and path[0] == "channels")
        for number, part in enumerate(path)
    ]
    return ".".join("*" if each else part for part, each in zip(path, variable, strict=True))


def _may_be_shown(path: list[str], value: Any) -> bool:
    """Whether a message may show a value.

    Any value below `auth` may be a secret, except numbers that do not stand for one. A section or a
    list may contain one.
    """
    if isinstance(value, (Mapping, list, BaseModel)) and value:
        return False
    return "auth" not in path or (
        isinstance(value, (int, float)) and path[-1] not in ("secret", "hash")
    )


def _known_keys(path: list[str]) -> list[str]:
    model: Any = Settings
    for part in path:
        if model is None:  # a channel type's name
            model = ChannelSettings
            continue
        if part.isdigit():  # in a list of sections
            continue
        annotation = model.model_fields[part].annotation
        kinds = (annotation, *get_args(annotation))
        sections = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Section)]
        model = sections[0] if sections and part != "channels" else None
    fields = model.model_fields if model else {}
    return [field.alias or name for name, field in fields.items()]
