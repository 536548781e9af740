"""Finds the schema that a channel type's `payload` names: a built-in, a file, or a Python model."""

import difflib
import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, cast, get_origin

import orjson

from eventhub.errors import ConfigurationError
from eventhub.events.builtin_payloads import BUILT_IN
from eventhub.events.schema import AnySchema, FileSchema, ModelSchema, Schema


def load_schema(payload: str, directory: Path) -> Schema:
    """Load a schema. Raises ConfigurationError.

    `payload` is a built-in model, `json`, a `.json` file relative to `directory`, or
    `package.module:Model`.
    """
    if payload == "json":
        return AnySchema()
    if payload in BUILT_IN:
        return _built_in(payload)
    try:
        if payload.endswith(".json"):
            return FileSchema(orjson.loads((directory / payload).read_bytes()))
        module, separator, name = payload.partition(":")
        if separator:
            return ModelSchema(_load_model(module, name, directory))
    except OSError as error:
        raise _unusable(payload, error.strerror or str(error)) from error
    except Exception as error:
        raise _unusable(payload, f"{type(error).__name__}: {error}") from error
    raise ConfigurationError(f"payload is {payload!r}; {_hint(payload)}")


def has_own_schema(payload: str) -> bool:
    """Whether a payload is a file or a model of the deployment."""
    return payload != "json" and payload not in BUILT_IN


@cache
def _built_in(name: str) -> ModelSchema:
    """All channel types of a built-in model share its schema, which has no state."""
    return ModelSchema(BUILT_IN[name])


def _unusable(payload: str, why: str) -> ConfigurationError:
    return ConfigurationError(f"payload {payload!r} cannot be used: {why}")


def _hint(payload: str) -> str:
    known = [*BUILT_IN, "json"]
    if near := difflib.get_close_matches(payload, known, n=1):
        return f"did you mean {near[0]}?"
    return f"expected one of {', '.join(known)}, a .json file, or package.module:Model"


def load_function(text: str, directory: Path) -> Callable[[Any], Any]:
    """The function that `package.module:function` names. Raises ConfigurationError."""
    module, _, name = text.partition(":")
    try:
        found = _load(module, name, directory)
    except Exception as error:
        raise ConfigurationError(
            f"{text!r} cannot be used: {type(error).__name__}: {error}"
        ) from error
    if not callable(found):
        raise ConfigurationError(f"{text} is a {type(found).__name__}; expected a function")
    return cast("Callable[[Any], Any]", found)


def _load(module: str, name: str, directory: Path) -> Any:
    """What an installed module has, or a module beside the configuration file."""
    sys.path.insert(0, str(directory.resolve()))
    try:
        return getattr(import_module(module), name)
    finally:
        sys.path.remove(str(directory.resolve()))


def _load_model(module: str, name: str, directory: Path) -> Any:
    model = _load(module, name, directory)
    if not (isinstance(model, type) or get_origin(model)):
        raise TypeError(
            f"{module}:{name} is a {type(model).__name__}; "
            "expected a pydantic model or another type"
        )
    return model
