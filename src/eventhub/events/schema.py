"""Payload schemas: bytes or a JSON value in, canonical JSON bytes out, or an error that points at each fault."""

import difflib
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from itertools import islice
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Protocol, get_origin

import jsonschema_rs
import orjson
from pydantic import FailFast, TypeAdapter, ValidationError

from eventhub.errors import ConfigurationError, EventHubError, InvalidEvent, InvalidJson, TooDeep
from eventhub.events.json_faults import what_is_wrong
from eventhub.events.payloads import BUILT_IN
from eventhub.events.stored_schema import StoredJsonSchema

DIALECT = "https://json-schema.org/draft/2020-12/schema"
MISFIT = "the event does not fit its channel type"
MAX_FAULTS = 20
"""Faults that an error lists."""
MANY_FAULTS = 200
"""Beyond it faults are counted and not built: pydantic builds all of them or none."""
MANY_VALUES = 200
"""Beyond it the faults that a JSON Schema finds in an event are not looked for: jsonschema_rs
builds all, for 30 µs each.
"""
MANY_FIELDS = 64
"""With more of them an event is first looked at for fields that its model does not have."""
DENSE, DENSE_BYTES = 16, 2048
"""An array with more bytes, and a bracket in fewer bytes than DENSE, is checked before pydantic
reads it.
"""
POINTER_LENGTH = 300
LONG_DIGITS = 20
"""Integers with fewer digits fit into 64 bits; negative ones, with fewer than 19."""
DIGITS = 309
"""A number of so many digits is beyond any double."""


class Schema(Protocol):
    """What events of a channel type must look like."""

    accepted: dict[str, Any]
    """What may be sent, as JSON Schema 2020-12."""
    stored: dict[str, Any]
    """What is made of it, and readers get, as JSON Schema 2020-12."""
    conflation_key: str | None
    """The field that tells series apart where slow readers are conflated."""

    def canonical(self, body: bytes, *, detailed: bool = True) -> bytes:
        """Compact JSON of a valid payload. Raises InvalidJson or InvalidEvent.

        Without `detailed`, InvalidEvent lists no faults where listing them takes longer than finding them.
        """
        ...

    def fits(self, value: Any) -> bool | None:
        """Whether a JSON value is valid, at a fraction of an error's cost. None where only `canonical` can say."""
        ...

    def canonical_all(self, body: bytes) -> list[bytes] | None:
        """Compact JSON of each payload of a JSON array. None when anything is wrong: `canonical` says what it is."""
        ...


class ModelSchema:
    """A pydantic model, or anything else a TypeAdapter takes."""

    def __init__(self, model: Any) -> None:
        adapter = TypeAdapter(model)
        own = (
            model in BUILT_IN.values()
        )  # whose faults are the same in Python as in JSON, where nothing is copied for them
        self._in_python = adapter.validator.validate_python if own else None
        self._is_valid = adapter.validator.isinstance_python if own else None
        self.accepted = {"$schema": DIALECT, **adapter.json_schema(mode="validation")}
        self.stored = {
            "$schema": DIALECT,
            **adapter.json_schema(mode="serialization", schema_generator=StoredJsonSchema),
        }
        self.conflation_key: str | None = getattr(model, "conflation_key", None)
        if not isinstance(self.conflation_key, str | None):
            raise TypeError(
                f"its conflation_key is a {type(self.conflation_key).__name__}; expected the name of a field"
            )
        self._fields = _fields(adapter.core_schema)
        self._told = (
            self._fields if own else None
        )  # of a model with aliases, not all of them are taken
        self._validate = adapter.validator.validate_json
        self._validate_all = TypeAdapter(Annotated[list[model], FailFast()]).validator.validate_json
        self._dump = adapter.serializer.to_json

    def canonical(self, body: bytes, *, detailed: bool = True) -> bytes:
        if b"NaN" in body or b"Infinity" in body or _digits(body, DIGITS):
            parse(
                body
            )  # pydantic takes these for numbers; JSON has no such words (RFC 8259), and nobody's doubles such digits
        if self._fields is not None and body.count(b",") > MANY_FIELDS:
            self._check_large(parse(body), self._fields)
        try:
            data = self._dump(self._validate(body), exclude_unset=True, by_alias=True)
        except ValidationError as error:
            if not detailed:
                parse(body)  # raises if that is what is wrong
                raise _unlisted(error.error_count()) from None
            raise _explain(error, body, self._told) from None
        except KeyboardInterrupt:
            raise
        # the model is its author's: it may raise anything, SystemExit and native code's panics
        # among it
        except BaseException as error:
            raise _failed(error, body) from error
        if data.count(b"null") != body.count(b"null"):
            parse(body)  # pydantic takes 1e999 for a number and writes null
        if b"NaN" in data or b"Infinity" in data:
            _check_json(data, body)
        return data

    def fits(self, value: Any) -> bool | None:
        return None if self._is_valid is None else self._is_valid(value)

    def _check_large(self, value: Any, fields: frozenset[str]) -> None:
        """Raises InvalidEvent for what pydantic would copy into each of its errors."""
        if not isinstance(value, dict):
            raise _invalid(1, [fault("", f"Input should be an object{_received(value)}")])
        if unknown := [name for name in value if name not in fields]:
            names = unknown[:MAX_FAULTS]
            raise _invalid(
                len(unknown), [fault(pointer([name]), not_permitted(self._told)) for name in names]
            )
        if self._in_python is not None:
            try:
                self._in_python(value)
            except ValidationError as error:
                raise _invalid(error.error_count(), faults(error, value, self._told)) from None

    def canonical_all(self, body: bytes) -> list[bytes] | None:
        if b"NaN" in body or b"Infinity" in body or _may_be_long(body):
            return None
        if (
            self._is_valid is not None
            and _dense(body)
            and not all(map(self._is_valid, _items(body) or ()))
        ):
            return None
        dump = self._dump
        try:
            found = [
                dump(payload, exclude_unset=True, by_alias=True)
                for payload in self._validate_all(body)
            ]
        except KeyboardInterrupt:
            raise
        except BaseException:  # as in `canonical`, which says it of the item whose fault it is
            return None
        text = b",".join(found)
        return (
            found
            if text.count(b"null") == body.count(b"null")
            and b"NaN" not in text
            and b"Infinity" not in text
            else None
        )


class FileSchema:
    """A JSON Schema 2020-12 document."""

    conflation_key: str | None = None

    def __init__(self, document: dict[str, Any]) -> None:
        if (dialect := document.get("$schema", DIALECT)).rstrip("#") != DIALECT:
            raise ValueError(f"its $schema is {dialect}; expected {DIALECT}")
        self.accepted = self.stored = document
        try:
            self._validator = jsonschema_rs.Draft202012Validator(
                document, mask="the value", offline=True
            )
        except jsonschema_rs.ValidationError as error:
            shown = dump(error.instance).decode()[:POINTER_LENGTH]  # nothing of a schema is secret
            raise ValueError(
                f"{pointer(list(error.instance_path)) or 'it'}: {error.message.replace('the value', shown, 1)}"
            ) from None

    def canonical(self, body: bytes, *, detailed: bool = True) -> bytes:
        value = parse(body)
        try:
            if not self._validator.is_valid(value):
                raise self._invalid(value, body) if detailed else InvalidEvent(MISFIT)
        except ValueError as error:
            raise _too_deep(error) from None
        except (EventHubError, KeyboardInterrupt):
            raise
        except BaseException as error:  # a panic of native code
            raise _failed(error, body) from error
        return dump(value)

    def fits(
        self, value: Any
    ) -> bool | None:  # native code may panic: `canonical` says what that is
        return None

    def canonical_all(self, body: bytes) -> list[bytes] | None:
        values = _items(body)
        try:
            return (
                list(map(dump, values))
                if values is not None and all(map(self._validator.is_valid, values))
                else None
            )
        except KeyboardInterrupt:
            raise
        except BaseException:  # as in `canonical`, which says it of the item whose fault it is
            return None

    def _invalid(self, value: Any, body: bytes) -> InvalidEvent:
        if (count := _values(body)) > MANY_VALUES:
            return InvalidEvent(
                f"{MISFIT}; its faults are listed where it has at most {MANY_VALUES} values, and it has up to {count}"
            )
        found = list(self._validator.iter_errors(value))
        return _invalid(len(found), map(_of_schema, found))


class AnySchema:
    """Any JSON value."""

    conflation_key: str | None = None

    def __init__(self) -> None:
        self.accepted = self.stored = {"$schema": DIALECT}

    def canonical(self, body: bytes, *, detailed: bool = True) -> bytes:  # no value is refused
        return dump(parse(body))

    def fits(self, value: Any) -> bool | None:  # it may be too deep
        return None

    def canonical_all(self, body: bytes) -> list[bytes] | None:
        values = _items(body)
        try:
            return None if values is None else list(map(dump, values))
        except TooDeep:  # one of them
            return None


def load_schema(payload: str, directory: Path) -> Schema:
    """The schema a configuration names: a built-in model, `json`, a `.json` file relative to `directory`, or `package.module:Model`.

    Raises ConfigurationError.
    """
    if payload == "json":
        return AnySchema()
    if payload in BUILT_IN:
        return ModelSchema(BUILT_IN[payload])
    try:
        if payload.endswith(".json"):
            return FileSchema(orjson.loads((directory / payload).read_bytes()))
        module, separator, name = payload.partition(":")
        if separator:
            return ModelSchema(_load_model(module, name, directory))
    except OSError as error:
        raise ConfigurationError(
            f"payload {payload!r} cannot be used: {error.strerror or error}"
        ) from error
    except Exception as error:
        raise ConfigurationError(
            f"payload {payload!r} cannot be used: {type(error).__name__}: {error}"
        ) from error
    known = [*BUILT_IN, "json"]
    near = difflib.get_close_matches(payload, known, n=1)
    hint = (
        f"did you mean {near[0]}?"
        if near
        else f"expected one of {', '.join(known)}, a .json file, or package.module:Model"
    )
    raise ConfigurationError(f"payload is {payload!r}; {hint}")


def _load_model(module: str, name: str, directory: Path) -> Any:
    """A class of a module that is installed, or beside the configuration."""
    sys.path.insert(0, str(directory.resolve()))
    try:
        model = getattr(import_module(module), name)
    finally:
        sys.path.remove(str(directory.resolve()))
    if not (isinstance(model, type) or get_origin(model)):
        raise TypeError(
            f"{module}:{name} is a {type(model).__name__}; expected a pydantic model or another type"
        )
    return model


def parse(body: bytes, before: bytes = b"") -> Any:
    """A JSON value. Raises InvalidJson, saying where it stops being JSON, or TooDeep.

    `before`: what stands before it, where it is a part of something.
    """
    if _may_be_long(body):
        with suppress(
            json.JSONDecodeError, RecursionError
        ):  # orjson says what is wrong, but would round the number
            json.loads(body.decode(errors="replace"), parse_int=_exact)
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if "depth limit" in error.msg:
            raise _too_deep(error) from None
        raise InvalidJson(what_is_wrong(body, error, before)) from None


def _dense(body: bytes) -> bool:
    """Whether it has so many values for its size that pydantic had better not copy them into each of its errors: 64 KiB took 60 ms."""
    return len(body) > DENSE_BYTES and DENSE * (body.count(b"[") + body.count(b"{")) > len(body)


def _items(body: bytes) -> list[Any] | None:
    try:
        values = parse(body)
    except (InvalidJson, TooDeep):
        return None
    return values if isinstance(values, list) else None


def _exact(digits: str) -> int:
    number = int(digits) if len(digits) < DIGITS else 2**64
    if not -(2**63) <= number < 2**64:
        raise InvalidJson(
            "an integer has more than 64 bits and would be rounded; send it as a string"
        )
    return number


def dump(value: Any) -> bytes:
    """Compact JSON, in bytes that may be kept. Raises TooDeep.

    A copy: what orjson returns goes on holding the four KiB it was written in, so that a log of small events was fifteen times its size.
    """
    try:
        return b"%b" % orjson.dumps(value)
    except TypeError as error:
        raise _too_deep(error) from None


def _may_be_long(body: bytes) -> bool:
    """Whether an integer may have more than 64 bits: so many digits stand in a row."""
    if len(body) < LONG_DIGITS:
        return False
    zeros = body.translate(_ALL_ZEROS)
    return _LONG in zeros or _LONG_NEGATIVE in zeros


def _digits(body: bytes, count: int) -> bool:
    """Whether there are so many digits in a row. Ten times as fast as a regular expression."""
    return len(body) >= count and b"0" * count in body.translate(_ALL_ZEROS)


_LONG, _LONG_NEGATIVE = b"0" * LONG_DIGITS, b"-" + b"0" * (LONG_DIGITS - 1)
_ALL_ZEROS = bytes(ord("0") if byte in b"0123456789" else byte for byte in range(256))


def pointer(path: Sequence[str | int]) -> str:
    """A JSON pointer (RFC 6901)."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def fault(where: str, what: str) -> dict[str, str]:
    """One of an error's details, cut so that an answer is never many times what was asked."""
    return {
        "pointer": where if len(where) <= POINTER_LENGTH else where[:POINTER_LENGTH] + "…",
        "message": what[:POINTER_LENGTH],
    }


def not_permitted(known: Iterable[str] | None) -> str:
    """What is said of a field that is none of these."""
    return "Extra inputs are not permitted" + (
        f"; expected one of {', '.join(sorted(known))}" if known else ""
    )


def faults(
    error: ValidationError, value: Any, known: frozenset[str] | None = None
) -> list[dict[str, str]]:
    """The first places where `value` does not fit a model, MAX_FAULTS of them; none where there are too many to build them all.

    `known`: the fields of the model itself, to be named beside one that it does not have.
    """
    if error.error_count() > MANY_FAULTS:
        return []
    found = []
    for each in error.errors(include_url=False, include_context=False)[:MAX_FAULTS]:
        message = each["msg"]
        if each["type"].endswith(("_type", "_parsing")):
            message += _received(each["input"])
        elif each["type"] in ("literal_error", "enum"):
            message += _received(each["input"], "another string")
        elif each["type"] == "extra_forbidden" and len(each["loc"]) == 1:
            message = not_permitted(known)
        where = pointer(_place(each["loc"], value, absent=each["type"] == "missing"))
        found.append(fault(where, message))
    return found


def unknown_fields(
    value: Any, known: frozenset[str], expected: str = "Extra inputs are not permitted"
) -> list[dict[str, str]]:
    """The first of an object's fields that are none of these, where it has so many that a model had better not look at each."""
    if not isinstance(value, dict) or len(value) <= len(known) + MAX_FAULTS:
        return []
    names = islice((name for name in value if name not in known), MAX_FAULTS)
    return [fault(pointer([name]), expected) for name in names]


def _fields(schema: Mapping[str, Any]) -> frozenset[str] | None:
    """The names that a model's fields may have, where it takes no others and no code of its own sees the input first."""
    if schema["type"] == "definitions":
        schema = schema["schema"]
    fields = schema.get("schema", {})
    if (
        schema["type"] != "model"
        or schema.get("custom_init")
        or fields.get("type") != "model-fields"
    ):
        return None
    if "forbid" not in (
        fields.get("extra_behavior"),
        schema.get("config", {}).get("extra_fields_behavior"),
    ):
        return None
    names = set(fields["fields"])
    for each in fields["fields"].values():
        match each.get("validation_alias"):
            case str(alias):
                names.add(alias)
            case list(paths):  # of one alias, or of several
                names.update(str(path[0] if isinstance(path, list) else path) for path in paths)
    return frozenset(names)


def _of_schema(error: jsonschema_rs.ValidationError) -> dict[str, str]:
    typed = error.schema_path[-1:] == ["type"]
    return fault(
        pointer(list(error.instance_path)),
        error.message + (_received(error.instance) if typed else ""),
    )


def _received(value: Any, text: str = "a string") -> str:
    """The kind of what stands there; what it is may be private, and errors are logged by whoever gets them."""
    if isinstance(value, str):
        return f", received {text}"
    return next((f", received {name}" for kind, name in _KINDS if isinstance(value, kind)), "")


_KINDS: tuple[tuple[Any, str], ...] = (
    (bool, "a boolean"), ((int, float), "a number"), (dict, "an object"), (list, "an array"), (NoneType, "null"),
)  # fmt: skip


def _place(location: Sequence[str | int], value: Any, *, absent: bool) -> list[str | int]:
    """The part of pydantic's location that is in `value`: between its parts stand labels of unions, keys and validators."""
    place: list[str | int] = []
    for number, part in enumerate(location):
        if (isinstance(value, dict) and part in value) or (
            isinstance(value, list) and part in range(len(value))
        ):
            place.append(part)
            value = value[part]  # type: ignore[index]  # checked one line above
        elif absent and number == len(location) - 1:
            place.append(part)
    return place


def _explain(error: ValidationError, body: bytes, known: frozenset[str] | None) -> InvalidEvent:
    value = parse(body)  # raises if that is what is wrong
    try:
        return _invalid(error.error_count(), faults(error, value, known))
    except Exception as fault:  # errors of a model's own may have texts that cannot be made
        raise _failed(fault, body) from fault


def _invalid(count: int, found: Iterable[dict[str, str]]) -> InvalidEvent:
    listed = list(islice(found, MAX_FAULTS))
    return InvalidEvent(_counted(count, len(listed)), listed)


def _unlisted(count: int) -> InvalidEvent:
    """What a model's faults are called, without any of them."""
    return InvalidEvent(_counted(count, min(count, MAX_FAULTS) if count <= MANY_FAULTS else 0))


def _counted(count: int, listed: int) -> str:
    more = (
        f", at most {MAX_FAULTS} are listed"
        if count > listed > 0
        else ", too many to list them"
        if not listed
        else ""
    )
    return f"{MISFIT}: {count} fault{'s' * (count > 1)}{more}"


def _values(body: bytes) -> int:
    """How many values JSON has at most: exactly so many where no string has a comma or a bracket in it."""
    return 1 + body.count(b",") + body.count(b"[") + body.count(b"{")


def _check_json(data: bytes, body: bytes) -> None:
    """A model may be configured to write words that JSON does not have (pydantic's ser_json_inf_nan)."""
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise _failed(error, body) from error


def _failed(error: BaseException, body: bytes) -> InvalidEvent:
    """What the producer is told; the error itself, which may show a payload, is for the log (`Faults.model_failed`)."""
    parse(body)  # raises if that is what is wrong
    return InvalidEvent(
        f"the channel type's model failed with {type(error).__name__}: it can neither accept nor refuse this event; "
        "the server's log has the traceback"
    )


def _too_deep(error: Exception) -> TooDeep:
    return TooDeep(f"the JSON cannot be handled: {str(error)[:100]}")
