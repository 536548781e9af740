"""Fills the defaults of a JSON Schema into a value that lacks required members."""

from typing import Any

MAX_DEPTH = 60


def fill(root: Any, value: Any) -> Any:
    """The value with the required members that are missing and have a default.

    It looks where the schema says one thing alone: `properties`, `items`, `prefixItems` and `$ref`.
    """
    return _fill(root, root, value, 0)


def _fill(root: Any, schema: Any, value: Any, depth: int) -> Any:
    if not isinstance(schema, dict) or depth > MAX_DEPTH:
        return value
    if isinstance(target := schema.get("$ref"), str):
        value = _fill(root, _find(root, target), value, depth + 1)
    if isinstance(value, dict):
        return _fill_object(root, schema, value, depth)
    if isinstance(value, list):
        first = schema.get("prefixItems") or []
        rest = schema.get("items")
        return [
            _fill(root, first[index] if index < len(first) else rest, item, depth + 1)
            for index, item in enumerate(value)
        ]
    return value


def _fill_object(root: Any, schema: Any, value: dict[str, Any], depth: int) -> dict[str, Any]:
    properties = schema.get("properties") or {}
    found = {
        name: _fill(root, properties.get(name), member, depth + 1) for name, member in value.items()
    }
    for name in schema.get("required") or ():
        declared = properties.get(name)
        if name not in found and isinstance(declared, dict) and "default" in declared:
            found[name] = declared["default"]
    return found


def _find(root: Any, reference: str) -> Any:
    """What a pointer into the same document names; None for any other reference."""
    if not reference.startswith("#"):
        return None
    found = root
    for token in reference[1:].split("/")[1:]:
        step = token.replace("~1", "/").replace("~0", "~")
        found = found.get(step) if isinstance(found, dict) else None
    return found
