"""Settings: `eventhub.yaml` and `EVENTHUB_…` variables. Unknown keys are refused with the nearest known one named."""

import difflib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_settings import EnvSettingsSource, SettingsError

from eventhub.common.nesting import check_depth
from eventhub.config.sections import ChannelSettings, Section
from eventhub.config.service_links import looks_like_link, service_links
from eventhub.config.settings import PREFIX, SAMPLE_CHANNELS, Settings, without_secrets
from eventhub.errors import ConfigurationError, TooDeep
from eventhub.events.channels import ChannelType, ChannelTypes, Retention
from eventhub.events.schema_loader import load_schema

CONFIG_VARIABLE = "EVENTHUB_CONFIG"
"""Names the file; the one variable that is not a key."""

VARIABLE_DEPTH = 32
"""Levels of JSON in a variable."""
LINK = "; Kubernetes and Docker set such variables for a Service or a link named eventhub: leave them out (enableServiceLinks: false)"

WORDS = {
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
    ): "expected a channel type's name, the first part of its channels': 1 to 64 of A-Z a-z 0-9 _ -",
    (
        "auth.keys.*.hash",
        "string_pattern_mismatch",
    ): "expected sha256: and 64 digits from 0 to f, as `eventhub key new` prints it",
}
"""Better than pydantic's. A * stands for a number, or a channel type's name."""
KINDS = {
    "model_type": "expected keys and their values, as in {key: value}",
    "float_parsing": "expected a number, without a unit",
    "int_parsing": "expected a whole number, without a unit",
}
"""The same wherever it is."""


def load(path: Path | None = None, overrides: Mapping[str, Any] | None = None) -> Settings:
    """Settings from a file, the environment over it, and `overrides` over both. Raises ConfigurationError, naming each fault."""
    ignored = set(ignored_variables())
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ignored and name != CONFIG_VARIABLE
    }
    fields = _read(path) if path else {}
    if path is None and PREFIX + "CHANNELS" not in environment:
        fields = {
            "channels": SAMPLE_CHANNELS
        }  # so that a variable below it changes the sample and does not replace it
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
            f"the environment: {said}: {error.__cause__}; expected JSON, as in the file's {{…}} and […]"
        ) from None
    except ValidationError as error:
        told = [
            f"{_origin(fault, environment, overrides or {}) or path or 'the configuration'}: {_explain(fault)}"
            for fault in error.errors()
        ]
        raise ConfigurationError("\n".join(told)) from None


def ignored_variables() -> list[str]:
    """Variables that Kubernetes set for a Service whose name begins with ours, and nobody for us."""
    return service_links(os.environ, PREFIX)


def channel_types(settings: Settings, directory: Path) -> ChannelTypes:
    """The declared channel types, schema files being relative to `directory`. Raises ConfigurationError."""
    return ChannelTypes(
        {
            name: _channel_type(name, declared, directory)
            for name, declared in settings.channels.items()
        }
    )


def _channel_type(name: str, declared: ChannelSettings, directory: Path) -> ChannelType:
    try:
        schema = load_schema(declared.payload, directory)
    except ConfigurationError as error:
        raise ConfigurationError(f"channels.{name}: {error}") from error
    retention = Retention(declared.history.events, declared.history.age)
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
    )


class _UniqueKeyLoader(yaml.SafeLoader):
    """Refuses a key that is given twice: the first would be lost."""

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
    except (
        Exception
    ) as error:  # PyYAML lets ValueError, AttributeError and more out of its constructors
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
                f"{path}: unknown key {key!r}{_hint(str(key), list(Settings.model_fields))}"
            )
    return fields


def _yaml_fault(error: Exception) -> str:
    """What PyYAML says, without the lines that it quotes: a secret may be in them."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return str(error)
    mark = error.problem_mark or error.context_mark
    told = ", ".join(part for part in (error.context, error.problem) if part)
    return f"{told}, line {mark.line + 1}, column {mark.column + 1}" if mark else told


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
                LINK
                if looks_like_link(environment[name])
                else _hint(name, [*known, CONFIG_VARIABLE])
            )
            yield f"the environment: unknown variable {name}{hint}"


def _deep_variables(environment: Mapping[str, str]) -> Iterator[str]:
    """Values that are JSON, before a parser of Python's sees them."""
    for name, value in environment.items():
        try:
            if name.startswith(PREFIX):
                check_depth(value.encode(errors="replace"), VARIABLE_DEPTH)
        except TooDeep as error:
            yield f"the environment, {name}: {error.message}"


def _is_key(path: list[str]) -> bool:
    """Below a scalar there is nothing. What is below a section or a channel type is checked with the file's keys."""
    field = Settings.model_fields.get(path[0])
    return field is not None and (
        len(path) == 1 or path[0] == "channels" or isinstance(field.default, Section)
    )


def _origin(fault: Any, environment: Mapping[str, str], options: Mapping[str, Any]) -> str | None:
    """The option or the variable that holds the fault, if it was one."""
    if fault["loc"] and fault["loc"][0] in options:
        return f"the option --{fault['loc'][0]}"
    names = [
        PREFIX + "__".join(str(part) for part in fault["loc"][:count]).upper()
        for count in range(len(fault["loc"]), 0, -1)
    ]
    return next((f"the environment, {name}" for name in names if name in environment), None)


def _explain(fault: Any) -> str:
    path = [str(part) for part in fault["loc"]]
    unknown = fault["type"] == "extra_forbidden"
    if not unknown:
        path = [
            part for part in path if not part.endswith("]")
        ]  # those are pydantic's names of validators
    where = ".".join(path)
    if not unknown:
        kind = fault["type"]
        message = (
            WORDS.get((_place(path), kind))
            or KINDS.get(kind)
            or fault["msg"].removeprefix("Value error, ")
        )
        if not _may_be_shown(path, fault["input"]) or (
            isinstance(fault["input"], str) and repr(fault["input"]) in message
        ):
            return f"{where}: {message}" if where else message
        hint = LINK if where == "port" and looks_like_link(fault["input"]) else ""
        return f"{where}: {message}, received {_shown(fault['input'])}{hint}"
    known = _known_keys(path[:-1])
    return f"{where}: unknown key{_hint(path[-1], known)}"


def _shown(value: Any) -> str:
    """A value as YAML writes it, without what may be secret."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return repr(without_secrets(str(value))[:80])


def _place(path: Sequence[str]) -> str:
    """A key's place, with a * for what is not always the same."""
    build_many = [
        part.isdigit() or (number == 1 and path[0] == "channels")
        for number, part in enumerate(path)
    ]
    return ".".join("*" if each else part for part, each in zip(path, build_many, strict=True))


def _may_be_shown(path: list[str], value: Any) -> bool:
    """Anything below `auth` may be a secret, but for numbers elsewhere than in the place of one. So may what is somewhere in a section."""
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
    return list(model.model_fields) if model else []


def _hint(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]}?" if near else f"; expected one of {', '.join(sorted(known))}"
