"""The software bill of materials, read."""

import json
from typing import Any

from packaging.utils import canonicalize_name


def versions(document: str) -> dict[str, str]:
    """What it lists, by canonical name (PEP 503). `document` is CycloneDX JSON."""
    bom: dict[str, Any] = json.loads(document)
    return {canonicalize_name(component["name"]): component["version"] for component in bom["components"]}
