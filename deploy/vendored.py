"""Adds what the web pages ship of others (web/vendor) to the bill of materials of the image.

`make sbom` runs it, after the packages of the lock have been written.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SBOM = ROOT / "deploy/sbom.cdx.json"
SCRIPT = ROOT / "web/vendor/uplot/uPlot.js"
LOCK = ROOT / "tests/conformance/package-lock.json"


def uplot() -> dict[str, Any]:
    """The component, with the version that the lock names and the hash of the shipped file."""
    version = json.loads(LOCK.read_text())["packages"]["node_modules/uplot"]["version"]
    return {
        "bom-ref": "web-uplot",
        "description": "charts of the web pages, minified",
        "externalReferences": [],
        "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(SCRIPT.read_bytes()).hexdigest()}],
        "licenses": [{"license": {"id": "MIT"}}],
        "name": "uplot",
        "purl": f"pkg:npm/uplot@{version}",
        "type": "library",
        "version": version,
    }


def complete(document: dict[str, Any]) -> dict[str, Any]:
    """The document with the component, once."""
    others = [each for each in document["components"] if each["bom-ref"] != "web-uplot"]
    needs = [each for each in document["dependencies"] if each["ref"] != "web-uplot"]
    return {
        **document,
        "components": [*others, uplot()],
        "dependencies": [*needs, {"ref": "web-uplot"}],
    }


if __name__ == "__main__":
    completed = complete(json.loads(SBOM.read_text()))
    SBOM.write_text(json.dumps(completed, indent=2) + "\n")
