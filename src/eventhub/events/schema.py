"""Payload schemas. Each turns bytes into canonical JSON, or raises an error with pointers.

A schema is a pydantic model, a JSON Schema document, or "any JSON".
"""

from collections.abc import Callable, Iterable, Sequence
from operator import methodcaller
from typing import Annotated, Any, Protocol

import jsonschema_rs
import orjson
from pydantic import FailFast, TypeAdapter, ValidationError

from eventhub.common.strict_json import (
    DOUBLE_DIGITS,
    canonical_each,
    canonical_items,
    dump,
    dump_all,
    has_digits,
    may_have_long_integer,
    parse,
    parse_array,
    parse_each,
    too_deep,
)
from eventhub.errors import EventHubError, InvalidEvent
from eventhub.events.builtin_payloads import BUILT_IN
from eventhub.events.stored_schema import StoredJsonSchema
from eventhub.events.validation_errors import (
    MAX_FAULTS,
    MISFIT,
    POINTER_LENGTH,
    detail,
    explain,
    field_names,
    invalid,
    model_details,
    model_failure,
    not_permitted,
    pointer,
    received,
    schema_detail,
    unlisted,
)

DIALECT = "https://json-schema.org/draft/2020-12/schema"
MANY_VALUES = 200
"""An event with more values gets no details from a JSON Schema, because jsonschema_rs builds all
details, for 30 µs each.
"""
MANY_FIELDS = 64
"""An event with more fields is checked for unknown ones before its model sees it."""
DENSE, DENSE_BYTES = 16, 2048
"""An array larger than DENSE_BYTES with a bracket at least every DENSE bytes is checked value by
value first: pydantic copies its input into each of its errors, and 64 KiB of such input took 60 ms.
"""

_commas = methodcaller("count", b",")


class Schema(Protocol):
    """The form that events of a channel type must have."""

    accepted: dict[str, Any]
    """The form that publishers may send, as JSON Schema 2020-12."""
    stored: dict[str, Any]
    """The form that is stored and delivered, as JSON Schema 2020-12."""
    conflation_key: str | None
    """The field that conflates: a slow reader gets the newest event for each of its values."""

    def canonical(self, body: bytes, *, detailed: bool = True) -> bytes:
        """Compact JSON of a valid payload. Raises InvalidJson, TooDeep or InvalidEvent.

        Without `detailed`, InvalidEvent has no details where building them is expensive.
        """
        ...

    def fits(self, value: Any) -> bool | None:
        """Whether a JSON value is valid. Much cheaper than an error of `canonical`.

        None when only `canonical` can say.
        """
        ...

    def canonical_all(self, body: bytes) -> list[bytes] | None:
        """Compact JSON of each item of a JSON array.

        None when any item is invalid: call `canonical` with each item to learn which.
        """
        ...

    def canonical_each(self, bodies: Sequence[bytes]) -> list[bytes] | None:
        """Compact JSON of each of these payloads; None as for `canonical_all`."""
        ...


class ModelSchema:
    """A pydantic model, or any other type that pydantic's TypeAdapter takes."""

    def __init__(self, model: Any) -> None:
        adapter = TypeAdapter(model)
        # A built-in model reports the same errors for Python values as for JSON.
        built_in = model in BUILT_IN.values()
        self._validate_value = adapter.validator.validate_python if built_in else None
        self._is_valid = adapter.validator.isinstance_python if built_in else None
        self._validate = adapter.validator.validate_json
        self._validate_all = TypeAdapter(Annotated[list[model], FailFast()]).validator.validate_json
        self._dump = adapter.serializer.to_json
        self._fields = field_names(adapter.core_schema)
        # With aliases a model may not accept every name, so only a built-in suggests them.
        self._suggested = self._fields if built_in else None
        self.accepted = {"$schema": DIALECT, **adapter.json_schema(mode="validation")}
        self.stored = {
            "$schema": DIALECT,
            **adapter.json_schema(mode="serialization", schema_generator=StoredJsonSchema),
        }
        self.conflation_key: str | None = getattr(model, "conflation_key", None)
        if not isinstance(self.conflation_key, str | None):
            kind = type(self.conflation_key).__name__
            raise TypeError(f"its conflation_key is a {kind}; expected the name of a field")

    def canonical(self, body: bytes, *, detailed: bool = True) -> bytes:
        if b"NaN" in body or b"Infinity" in body or has_digits(body, DOUBLE_DIGITS):
            parse(body)  # pydantic accepts these as numbers; JSON does not (RFC 8259, 6)
        if self._fields is not None and body.count(b",") > MANY_FIELDS:
            self._check_large(parse(body), self._fields)
        try:
            data = self._dump(self._validate(body), exclude_unset=True, by_alias=True)
        except ValidationError as error:
            raise self._rejection(error, body, detailed=detailed) from None
        except KeyboardInterrupt:
            raise
        # A deployment's model may raise anything, even SystemExit or a panic of native code.
        except BaseException as error:
            raise model_failure(error, body) from error
        if data.count(b"null") != body.count(b"null"):
            parse(body)  # pydantic accepts 1e999 as a number and writes null
        if b"NaN" in data or b"Infinity" in data:
            _check_json(data, body)
        return data

    def fits(self, value: Any) -> bool | None:
        return None if self._is_valid is None else self._is_valid(value)

    def canonical_all(self, body: bytes) -> list[bytes] | None:
        is_valid = self._is_valid
        if is_valid and _is_dense(body) and not all(map(is_valid, parse_array(body) or ())):
            return None
        return self._canonical_all(body, lambda: self._validate_all(body))

    def canonical_each(self, bodies: Sequence[bytes]) -> list[bytes] | None:
        text = b"\n".join(bodies)
        if _is_dense(text) or (
            self._fields is not None and max(map(_commas, bodies)) > MANY_FIELDS
        ):
            return None  # pydantic would copy a body into each of its errors
        return self._canonical_all(text, lambda: map(self._validate, bodies))

    def _canonical_all(
        self, text: bytes, validate: Callable[[], Iterable[Any]]
    ) -> list[bytes] | None:
        """Compact JSON of each payload that `validate` returns. `text`: what it reads."""
        if b"NaN" in text or b"Infinity" in text or may_have_long_integer(text):
            return None
        dump_model = self._dump
        try:
            found = [
                dump_model(payload, exclude_unset=True, by_alias=True) for payload in validate()
            ]
        except KeyboardInterrupt:
            raise
        except BaseException:  # `canonical` reports it for the item that causes it
            return None
        data = b",".join(found)
        if b"NaN" in data or b"Infinity" in data or data.count(b"null") != text.count(b"null"):
            return None
        return found

    def _rejection(self, error: ValidationError, body: bytes, *, detailed: bool) -> InvalidEvent:
        if detailed:
            return explain(error, body, self._suggested)
        parse(body)  # raises InvalidJson when that is the reason
        return unlisted(error.error_count())

    def _check_large(self, value: Any, fields: frozenset[str]) -> None:
        """Raise InvalidEvent for a value that pydantic would copy into each of its errors."""
        if not isinstance(value, dict):
            raise invalid(1, [detail("", f"Input should be an object{received(value)}")])
        if unknown := [name for name in value if name not in fields]:
            message = not_permitted(self._suggested)
            listed = [detail(pointer([name]), message) for name in unknown[:MAX_FAULTS]]
            raise invalid(len(unknown), listed)
        if self._validate_value is not None:
            try:
                self._validate_value(value)
            except ValidationError as error:
                details = model_details(error, value, self._suggested)
                raise invalid(error.error_count(), details) from None


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
            shown = dump(error.instance).decode()[:POINTER_LENGTH]  # a schema holds no secrets
            where = pointer(list(error.instance_path)) or "it"
            message = error.message.replace("the value", shown, 1)
            raise ValueError(f"{where}: {message}") from None

    def canonical(self, body: bytes, *, detailed: bool = True) -> bytes:
        value = parse(body)
        try:
            if not self._validator.is_valid(value):
                raise self._invalid(value, body) if detailed else InvalidEvent(MISFIT)
        except ValueError as error:
            raise too_deep(error) from None
        except (EventHubError, KeyboardInterrupt):
            raise
        except BaseException as error:  # a panic of native code
            raise model_failure(error, body) from error
        return dump(value)

    def fits(self, value: Any) -> bool | None:
        return None  # native code may panic, and only `canonical` reports that

    def canonical_all(self, body: bytes) -> list[bytes] | None:
        return self._canonical_all(parse_array(body))

    def canonical_each(self, bodies: Sequence[bytes]) -> list[bytes] | None:
        return self._canonical_all(parse_each(bodies))

    def _canonical_all(self, values: list[Any] | None) -> list[bytes] | None:
        try:
            if values is None or not all(map(self._validator.is_valid, values)):
                return None
            return dump_all(values)
        except KeyboardInterrupt:
            raise
        except BaseException:  # `canonical` reports it for the item that causes it
            return None

    def _invalid(self, value: Any, body: bytes) -> InvalidEvent:
        if (count := _values(body)) > MANY_VALUES:
            return InvalidEvent(
                f"{MISFIT}; its faults are listed where it has at most {MANY_VALUES} values, "
                f"and it has up to {count}"
            )
        found = list(self._validator.iter_errors(value))
        return invalid(len(found), map(schema_detail, found))


class AnySchema:
    """Any JSON value."""

    conflation_key: str | None = None

    def __init__(self) -> None:
        self.accepted = self.stored = {"$schema": DIALECT}

    def canonical(self, body: bytes, *, detailed: bool = True) -> bytes:
        return dump(parse(body))

    def fits(self, value: Any) -> bool | None:
        return None  # it may nest too deeply; only `canonical` reports that

    def canonical_all(self, body: bytes) -> list[bytes] | None:
        return canonical_items(body)

    def canonical_each(self, bodies: Sequence[bytes]) -> list[bytes] | None:
        return canonical_each(bodies)


def _is_dense(body: bytes) -> bool:
    """Whether an array has many values for its size."""
    return len(body) > DENSE_BYTES and DENSE * (body.count(b"[") + body.count(b"{")) > len(body)


def _values(body: bytes) -> int:
    """An upper bound of the values in JSON: exact where no string has a comma or a bracket."""
    return 1 + body.count(b",") + body.count(b"[") + body.count(b"{")


def _check_json(data: bytes, body: bytes) -> None:
    """Raise InvalidEvent when a model wrote text that is not JSON (pydantic's ser_json_inf_nan)."""
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise model_failure(error, body) from error
