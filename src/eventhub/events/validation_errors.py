"""Why a JSON value does not match a schema: a JSON pointer and a message for each place."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice
from types import NoneType
from typing import Any

import jsonschema_rs
from pydantic import ValidationError

from eventhub.common.similar_names import hint_at
from eventhub.common.strict_json import parse
from eventhub.errors import InvalidEvent

MISFIT = "the event does not fit its channel type"
MAX_FAULTS = 20
"""Details listed in one error."""
MANY_FAULTS = 200
"""If there are more faults, they are only counted: pydantic builds all details or none."""
POINTER_LENGTH = 300
"""Characters of a pointer or a message, so that an answer is never many times the request."""
NOT_PERMITTED = "Extra inputs are not permitted"

_KINDS: tuple[tuple[Any, str], ...] = (
    (bool, "a boolean"),
    ((int, float), "a number"),
    (dict, "an object"),
    (list, "an array"),
    (NoneType, "null"),
)


def pointer(path: Sequence[str | int]) -> str:
    """A JSON pointer (RFC 6901)."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def detail(where: str, message: str) -> dict[str, str]:
    """One entry of an error's details, each part cut at POINTER_LENGTH."""
    return {
        "pointer": where if len(where) <= POINTER_LENGTH else where[:POINTER_LENGTH] + "…",
        "message": message[:POINTER_LENGTH],
    }


def not_permitted(known: Collection[str] | None, name: str | None = None) -> str:
    """The message for an unknown field, of this name. `known` are the fields to suggest."""
    return NOT_PERMITTED + (hint_at(name, known) if known else "")


def received(value: Any, text: str = "a string") -> str:
    """The JSON type of a value. Never the value: it may be private, and clients log errors."""
    if isinstance(value, str):
        return f", received {text}"
    return next((f", received {name}" for kind, name in _KINDS if isinstance(value, kind)), "")


def model_details(
    error: ValidationError, value: Any, known: frozenset[str] | None = None
) -> list[dict[str, str]]:
    """The first MAX_FAULTS details of a pydantic error about `value`.

    Empty when the error has more than MANY_FAULTS. `known` are the fields of the model itself,
    suggested in place of an unknown one.
    """
    if error.error_count() > MANY_FAULTS:
        return []
    found = []
    for each in error.errors(include_url=False, include_context=False)[:MAX_FAULTS]:
        message = each["msg"].removeprefix("Value error, ")
        if each["type"].endswith(("_type", "_parsing")):
            message += received(each["input"])
        elif each["type"] in ("literal_error", "enum"):
            message += received(each["input"], "another string")
        elif each["type"] in ("string_too_short", "string_too_long"):
            message += f", received {len(each['input'])}"
        elif each["type"] == "extra_forbidden" and len(each["loc"]) == 1:
            message = not_permitted(known, str(each["loc"][0]))
        where = pointer(_path_in(value, each["loc"], absent=each["type"] == "missing"))
        found.append(detail(where, message))
    return found


def schema_detail(error: jsonschema_rs.ValidationError) -> dict[str, str]:
    """The detail of one JSON Schema error."""
    of_type = error.schema_path[-1:] == ["type"]
    return detail(
        pointer(list(error.instance_path)),
        error.message + (received(error.instance) if of_type else ""),
    )


def unknown_fields(
    value: Any, known: frozenset[str], expected: str = NOT_PERMITTED
) -> list[dict[str, str]]:
    """The first unknown fields of an object that has far more fields than its model.

    Empty for any other value: the model lists its unknown fields itself.
    """
    if not isinstance(value, dict) or len(value) <= len(known) + MAX_FAULTS:
        return []
    names = islice((name for name in value if name not in known), MAX_FAULTS)
    return [detail(pointer([name]), expected) for name in names]


def invalid(count: int, details: Iterable[dict[str, str]]) -> InvalidEvent:
    """The error for `count` places, of which the first MAX_FAULTS are listed."""
    listed = list(islice(details, MAX_FAULTS))
    return InvalidEvent(_counted(count, len(listed)), listed)


def unlisted(count: int) -> InvalidEvent:
    """The same error without its list."""
    return InvalidEvent(_counted(count, min(count, MAX_FAULTS) if count <= MANY_FAULTS else 0))


def explain(error: ValidationError, body: bytes, known: frozenset[str] | None) -> InvalidEvent:
    """The error for a body that a model rejects. Raises InvalidJson when it is not JSON at all."""
    value = parse(body)
    try:
        return invalid(error.error_count(), model_details(error, value, known))
    except Exception as failure:  # a model's own error may fail to build its message
        raise model_failure(failure, body) from failure


def model_failure(error: BaseException, body: bytes) -> InvalidEvent:
    """The error for a model that raised anything else. Raises InvalidJson if the body is not JSON.

    It names only the type. `Faults.model_failed` logs `error` itself, which may show a payload.
    """
    parse(body)
    return InvalidEvent(
        f"the channel type's model failed with {type(error).__name__}: it can neither accept nor "
        "refuse this event; the server's log has the traceback"
    )


def field_names(schema: Mapping[str, Any]) -> frozenset[str] | None:
    """Every name a model's fields have, aliases included, from its core schema.

    None when the model allows other fields, or when its own code sees the input first.
    """
    if schema["type"] == "definitions":
        schema = schema["schema"]
    fields = schema.get("schema", {})
    own_init = schema["type"] != "model" or schema.get("custom_init")
    if own_init or fields.get("type") != "model-fields":
        return None
    extra = schema.get("config", {}).get("extra_fields_behavior")
    if "forbid" not in (fields.get("extra_behavior"), extra):
        return None
    names = set(fields["fields"])
    for each in fields["fields"].values():
        match each.get("validation_alias"):
            case str(alias):
                names.add(alias)
            case list(paths):  # the path of one alias, or a path for each alias
                names.update(str(path[0] if isinstance(path, list) else path) for path in paths)
    return frozenset(names)


def _counted(count: int, listed: int) -> str:
    more = ""
    if not listed:
        more = ", too many to list them"
    elif count > listed:
        more = f", at most {MAX_FAULTS} are listed"
    return f"{MISFIT}: {count} fault{'s' * (count > 1)}{more}"


def _path_in(value: Any, location: Sequence[str | int], *, absent: bool) -> list[str | int]:
    """The part of pydantic's location that is in `value`.

    Between those parts pydantic puts labels of unions, keys and validators. `absent`: the last
    part is a missing field.
    """
    path: list[str | int] = []
    for number, part in enumerate(location):
        if (isinstance(value, dict) and part in value) or (
            isinstance(value, list) and part in range(len(value))
        ):
            path.append(part)
            value = value[part]  # type: ignore[index]  # checked one line above
        elif absent and number == len(location) - 1:
            path.append(part)
    return path
