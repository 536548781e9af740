"""Reads the settings from `eventhub.yaml` and from `EVENTHUB_…` variables.

An unknown key is refused, and the error names the most similar known one.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_settings import EnvSettingsSource, SettingsError

from eventhub.common.nesting import check_depth
from eventhub.common.similar_names import hint_at
from eventhub.config.channel_settings import ChannelSettings
from eventhub.config.messages import LINK_HINT, explain
from eventhub.config.sections import Section
from eventhub.config.service_links import looks_like_link, service_links
from eventhub.config.settings import PREFIX, SAMPLE_CHANNELS, Settings
from eventhub.errors import ConfigurationError, TooDeep
from eventhub.events.channel_types import (
    ChannelType,
    ChannelTypes,
    Retention,
    SignalRules,
    StateRetention,
)
from eventhub.events.compatibility.versions import TypeVersion, Upcast
from eventhub.events.keys import KeySource, key_fault
from eventhub.events.refused_event import RefusedRetention
from eventhub.events.schema_loader import has_own_schema, load_function, load_schema

CONFIG_VARIABLE = "EVENTHUB_CONFIG"
"""The variable that names the file."""

CLIENT_VARIABLES = {"EVENTHUB_URL", "EVENTHUB_TOKEN", "EVENTHUB_API_KEY"}
"""Variables of the commands of clients, such as `eventhub tail`. The server ignores them."""

VARIABLE_DEPTH = 32
"""Levels of JSON in a variable."""


def load(path: Path | None = None, overrides: Mapping[str, Any] | None = None) -> Settings:
    """Settings from a file. The environment wins over it, and `overrides` win over both.

    Raises ConfigurationError, which names each fault.
    """
    others = {*ignored_variables(), *CLIENT_VARIABLES, CONFIG_VARIABLE}
    environment = {name: value for name, value in os.environ.items() if name not in others}
    fields = _read(path) if path else {}
    if path is None and PREFIX + "CHANNELS" not in environment:
        # A variable for a key below `channels` changes the sample and does not replace it.
        fields = {"channels": SAMPLE_CHANNELS}
    faults = [*_unknown_variables(environment), *_deep_variables(environment)]
    try:
        if faults:
            raise ConfigurationError("\n".join(faults))
        source = EnvSettingsSource(Settings)
        source.env_vars = {name.lower(): value for name, value in environment.items()}
        return Settings.model_validate(_merge(_merge(fields, source()), overrides or {})).read_from(
            path
        )
    except SettingsError as error:
        said = str(error).partition(" from source ")[0]
        raise ConfigurationError(
            f"the environment: {said}: {error.__cause__}; "
            "expected JSON, as in the file's {…} and […]"
        ) from None
    except ValidationError as error:
        messages = []
        for fault in error.errors():
            origin = _origin(fault, environment, overrides or {}) or path or "the configuration"
            messages.append(f"{origin}: {explain(fault)}")
        raise ConfigurationError("\n".join(messages)) from None


def ignored_variables() -> list[str]:
    """Variables that Kubernetes sets for a Service whose name begins with `eventhub`."""
    return service_links(os.environ, PREFIX)


def channel_types(settings: Settings, directory: Path) -> ChannelTypes:
    """The declared channel types. Raises ConfigurationError.

    Paths of schema files are relative to `directory`.
    """
    return ChannelTypes(
        {
            name: _channel_type(name, declared, directory)
            for name, declared in settings.channels.items()
        }
    )


def _channel_type(name: str, declared: ChannelSettings, directory: Path) -> ChannelType:
    signal_payload = declared.signals.payload
    try:
        schema = load_schema(declared.payload, directory)
        signal_schema = schema if signal_payload is None else load_schema(signal_payload, directory)
    except ConfigurationError as error:
        raise ConfigurationError(f"channels.{name}: {error}") from error
    key = None if declared.key is None else KeySource(declared.key)
    if key is not None and (fault := key_fault(key, schema.stored)):
        raise ConfigurationError(f"channels.{name}.key is {key.text!r}; {fault}")
    history, refused = declared.history, declared.refused
    state = None if key is None else StateRetention(history.latest, history.keys, history.key_age)
    retention = Retention(history.events, history.age, state)
    return ChannelType(
        name,
        declared.payload,
        schema,
        retention,
        declared.presence,
        declared.slow,
        frozenset(declared.publish),
        frozenset(declared.anonymous),
        declared.rate,
        declared.sender,
        SignalRules(frozenset(declared.signals.publish), signal_schema),
        key,
        _version(name, declared, directory),
        refused=RefusedRetention(refused.events, refused.age, refused.bytes),
    )


def _version(name: str, declared: ChannelSettings, directory: Path) -> TypeVersion | None:
    """None for a schema that is not the deployment's own. Raises ConfigurationError."""
    if has_own_schema(declared.payload):
        upcasts = dict(_upcasts(name, declared, directory))
        return TypeVersion(declared.compatibility, declared.version, upcasts=upcasts)
    for setting in ("version", "compatibility", "upcast"):
        if setting in declared.model_fields_set:
            raise ConfigurationError(
                f"channels.{name}.{setting} is set, and payload is {declared.payload}; expected a "
                "payload with a schema of its own, a .json file or package.module:Model"
            )
    return None


def _upcasts(name: str, declared: ChannelSettings, directory: Path) -> Iterator[tuple[int, Upcast]]:
    seen: set[int] = set()
    for number, each in enumerate(declared.upcast):
        where = f"channels.{name}.upcast.{number}"
        if each.from_ in seen:
            raise ConfigurationError(f"{where}.from is {each.from_}, as in another item")
        seen.add(each.from_)
        try:
            yield each.from_, Upcast(each.to, load_function(each.with_, directory))
        except ConfigurationError as error:
            raise ConfigurationError(f"{where}.with: {error}") from error


class _UniqueKeyLoader(yaml.SafeLoader):
    """Refuses a key that is given twice, because the first value would be lost."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002  # PyYAML's signature
        seen: set[Any] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {key.value!r} is given twice", problem_mark=key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _read(path: Path) -> dict[str, Any]:
    try:
        fields = yaml.load(path.read_text(encoding="utf-8"), _UniqueKeyLoader)  # noqa: S506  # a SafeLoader
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from None
    except Exception as error:  # PyYAML also raises ValueError, AttributeError and more
        raise ConfigurationError(f"{path}: is not YAML: {_yaml_fault(error)}") from None
    if fields is None:
        return {}
    if not isinstance(fields, dict):
        raise ConfigurationError(
            f"{path}: holds a {type(fields).__name__}; expected keys such as broker and channels"
        )
    for key in fields:
        if not isinstance(key, str):
            raise ConfigurationError(
                f"{path}: unknown key {key!r}{hint_at(str(key), list(Settings.model_fields))}"
            )
    return fields


def _yaml_fault(error: Exception) -> str:
    """PyYAML's message, without the lines that it quotes, which may hold a secret."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return str(error)
    mark = error.problem_mark or error.context_mark
    problem = ", ".join(part for part in (error.context, error.problem) if part)
    return f"{problem}, line {mark.line + 1}, column {mark.column + 1}" if mark else problem


def _merge(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(low)
    for key, value in high.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _unknown_variables(environment: Mapping[str, str]) -> Iterator[str]:
    known = [PREFIX + name.upper() for name in Settings.model_fields]
    for name, field in Settings.model_fields.items():
        if isinstance(field.default, Section):
            known += [
                f"{PREFIX}{name}__{below}".upper() for below in type(field.default).model_fields
            ]
    for name in environment:
        if name.startswith(PREFIX) and not _is_key(name.removeprefix(PREFIX).lower().split("__")):
            hint = (
                LINK_HINT
                if looks_like_link(environment[name])
                else hint_at(name, [*known, CONFIG_VARIABLE])
            )
            yield f"the environment: unknown variable {name}{hint}"


def _deep_variables(environment: Mapping[str, str]) -> Iterator[str]:
    """Faults of variables with JSON that nests too deep, found before it is parsed."""
    for name, value in environment.items():
        try:
            if name.startswith(PREFIX):
                check_depth(value.encode(errors="replace"), VARIABLE_DEPTH)
        except TooDeep as error:
            yield f"the environment, {name}: {error.message}"


def _is_key(path: list[str]) -> bool:
    """Whether a path can be a key. Keys below a section are checked later, with the file's."""
    field = Settings.model_fields.get(path[0])
    return field is not None and (
        len(path) == 1 or path[0] == "channels" or isinstance(field.default, Section)
    )


def _origin(fault: Any, environment: Mapping[str, str], options: Mapping[str, Any]) -> str | None:
    """The option or the variable that caused a fault, or None."""
    if fault["loc"] and fault["loc"][0] in options:
        return f"the option --{fault['loc'][0]}"
    names = [
        PREFIX + "__".join(str(part) for part in fault["loc"][:count]).upper()
        for count in range(len(fault["loc"]), 0, -1)
    ]
    return next((f"the environment, {name}" for name in names if name in environment), None)
