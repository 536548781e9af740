"""Reads the software bill of materials."""

import json
from typing import Any

from packaging.utils import canonicalize_name


def versions(document: str) -> dict[str, str]:
    """The Python packages in it, by canonical name (PEP 503). `document` is CycloneDX JSON."""
    return {
        canonicalize_name(component["name"]): component["version"]
        for component in _components(document)
        if component["purl"].startswith("pkg:pypi/")
    }


def hashes(document: str) -> set[str]:
    """SHA-256 of all files that it lists."""
    references = [
        reference
        for component in _components(document)
        for reference in component["externalReferences"]
    ]
    return {told["content"] for reference in references for told in reference["hashes"]}


def _components(document: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(document)["components"]
    return found
