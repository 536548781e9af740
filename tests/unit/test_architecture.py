"""ARCHITECTURE.md and docs/ name files, classes and settings that exist, and miss none."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from eventhub.config.limit_settings import LimitSettings

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "eventhub"
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
PAGES = [ROOT / "ARCHITECTURE.md", *sorted((ROOT / "docs" / "decisions").rglob("*.md"))]
FILE_LINES, FUNCTION_LINES = 300, 50
LONG_TESTS = {
    "bench/servers.py",
    "browser/test_authentication.py",
    "browser/test_chat.py",
    "browser/test_client.py",
    "browser/test_hijack.py",
    "browser/test_token.py",
    "conformance/test_bodies.py",
    "conformance/test_event_sources.py",
    "contract/test_broker.py",
    "deploy/test_chart.py",
    "deploy/test_chart_refusals.py",
    "deploy/test_chart_runs.py",
    "fuzz/dear.py",
    "integration/injections.py",
    "integration/rolling.py",
    "integration/test_broker_security.py",
    "integration/test_fault_injection.py",
    "integration/test_limits.py",
    "integration/test_logs.py",
    "integration/test_nodes.py",
    "integration/test_operations.py",
    "integration/test_publish.py",
    "integration/test_publish_answers.py",
    "integration/test_shutdown.py",
    "integration/test_sqlite.py",
    "integration/test_tls.py",
    "integration/test_unreadable.py",
    "integration/test_workers.py",
    "unit/brokers/sqlite/test_broker.py",
    "unit/brokers/sqlite/test_store.py",
    "unit/config/test_loader.py",
    "unit/delivery/test_bulk_write.py",
    "unit/delivery/test_encoding.py",
    "unit/delivery/test_feed_properties.py",
    "unit/observability/test_otel.py",
    "unit/presence/test_roster.py",
    "unit/server/publish/test_endpoint.py",
    "unit/server/publish/test_ndjson.py",
    "unit/server/security/test_authentication.py",
    "unit/server/security/test_jwks.py",
    "unit/server/streams/test_outbox.py",
}
"""Files below tests/ that are longer, and yet to be split by subject."""
GLOSSARY = re.findall(r"^\| `(\w+)` \| `(\w+/)` \| ", ARCHITECTURE, re.MULTILINE)
"""Class and folder."""


@cache
def modules() -> dict[Path, ast.Module]:
    """The source, parsed once and only where these tests run."""
    return {
        path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(SOURCE.rglob("*.py"))
    }


@cache
def client_modules() -> dict[Path, ast.Module]:
    """The source of the Python client, which is a distribution of its own."""
    files = sorted((ROOT / "src" / "eventhub_client").rglob("*.py"))
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in files}


def module_name(path: Path) -> str:
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def folder(path: Path) -> str:
    """The folder that the glossary names: below src/eventhub, or below its server."""
    parts = path.relative_to(SOURCE).parts[:-1]
    return f"{parts[parts[0] == 'server' and len(parts) > 1]}/" if parts else ""


def classes(path: Path) -> dict[str, list[str]]:
    """Public classes by name, with the names of their bases."""
    found = (node for node in modules()[path].body if isinstance(node, ast.ClassDef))
    return {
        node.name: [ast.unparse(base) for base in node.bases]
        for node in found
        if not node.name.startswith("_")
    }


def imports(path: Path) -> set[tuple[str, str]]:
    """Module and name of each `from … import …`."""
    found = (
        node
        for node in ast.walk(modules()[path])
        if isinstance(node, ast.ImportFrom) and node.module
    )
    return {(node.module or "", name.name) for node in found for name in node.names}


def shared_classes() -> set[tuple[str, str]]:
    """Public classes that another folder imports, with their folders. Without errors and sections
    of the settings.
    """
    users: dict[tuple[str, str], set[str]] = {}
    for path in modules():
        for imported in imports(path):
            users.setdefault(imported, set()).add(folder(path))
    return {
        (name, folder(path))
        for path in modules()
        if path.name != "errors.py"
        for name, bases in classes(path).items()
        if "Section" not in bases and users.get((module_name(path), name), set()) - {folder(path)}
    }


def test_the_glossary_has_each_class_that_another_folder_imports_and_no_other() -> None:
    without_row = sorted(shared_classes() - set(GLOSSARY))
    assert not without_row, f"no row in ARCHITECTURE.md: {without_row}"
    existing = {(name, folder(path)) for path in modules() for name in classes(path)}
    without_class = sorted(set(GLOSSARY) - existing)
    assert not without_class, f"a row in ARCHITECTURE.md, and no class: {without_class}"
    twice = sorted({row for row in GLOSSARY if GLOSSARY.count(row) > 1})
    assert not twice, f"two rows in ARCHITECTURE.md: {twice}"


def test_each_folder_of_the_source_is_a_layer() -> None:
    layers = ARCHITECTURE.partition("## The layers")[2].partition("## The three hard ideas")[0]
    for path in modules():
        if name := folder(path).rstrip("/"):
            assert f"`{name}/`" in layers or f"`{name}`" in layers, path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_file_and_folder_that_is_named_exists(page: Path) -> None:
    for name in re.findall(r"`([\w./-]+(?:\.(?:py|c|md)|/))`", page.read_text(encoding="utf-8")):
        places = [SOURCE, SOURCE / "server", ROOT]
        assert any((place / name).exists() for place in places), f"{page.name} names {name}"


def members(name: str) -> set[str]:
    """The methods and annotated fields of the classes with this name."""
    found: set[str] = set()
    for tree in modules().values():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and node.name == name:
                for part in node.body:
                    if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef):
                        found.add(part.name)
                    elif isinstance(part, ast.AnnAssign):
                        found.add(ast.unparse(part.target))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_method_and_field_that_is_named_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for name, member in re.findall(r"`([A-Z]\w+)\.(\w+)`", text):
        assert member in members(name), f"{page.name} names {name}.{member}"


def test_each_station_of_an_event_names_its_files() -> None:
    rows = re.findall(r"^\| (\d) ([a-z ]+) \|(.*)", ARCHITECTURE, re.MULTILINE)
    stations = [
        "accept",
        "route",
        "authenticate",
        "parse",
        "validate",
        "store",
        "check order",
        "fan out",
        "send",
    ]
    assert [name for _, name, _ in rows] == stations
    assert all(re.search(r"`[\w/]+\.py`", files) for *_, files in rows)


def test_each_limit_is_among_the_bounds() -> None:
    bounds = (ROOT / "docs" / "bounds.md").read_text(encoding="utf-8")
    assert set(re.findall(r"`limits\.(\w+)`", bounds)) == set(LimitSettings.model_fields)


def test_no_source_file_and_no_function_is_too_long_to_read_at_a_glance() -> None:
    web = [path for kind in ("js", "css", "html") for path in (ROOT / "web").rglob(f"*.{kind}")]
    long_files = {
        str(path.relative_to(ROOT)): lines
        for path in (*modules(), *client_modules(), *web)
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > FILE_LINES
        and "node_modules" not in path.parts
    }
    assert not long_files
    functions = (
        (path, node)
        for path, module in (modules() | client_modules()).items()
        for node in ast.walk(module)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    long_functions = {
        f"{path.relative_to(ROOT)}:{node.lineno}": node.name
        for path, node in functions
        if node.end_lineno is not None and node.end_lineno - node.lineno >= FUNCTION_LINES
    }
    assert not long_functions


def test_no_test_file_is_too_long_but_those_that_are_listed() -> None:
    tests = ROOT / "tests"
    found = {
        str(path.relative_to(tests))
        for path in tests.rglob("*.py")
        if "node_modules" not in path.parts
        and len(path.read_text(encoding="utf-8").splitlines()) > FILE_LINES
    }
    assert not found - LONG_TESTS, "split it by subject"
    assert not LONG_TESTS - found, "it is no longer too long: remove it from the list"
