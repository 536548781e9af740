"""Tests wait in one way: tests/harness/eventually.py, which is bounded and says what for."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = ("bench", "harness", "mutation", "simulation")
"""Folders below tests/: what is measured, the waiting itself, and no test."""
SLEEPERS = {
    "tests/contract/test_uvicorn.py": "a request that ends after a while",
    "tests/deploy/scene.py": "a silence that people notice",
    "tests/integration/attacks.py": "attackers at a pace",
    "tests/integration/checker.py": "a publisher that tries again, within a timeout",
    "tests/integration/client_faults.py": "how long a fault lasts",
    "tests/integration/client_trial.py": "load at a pace, until the trial is over",
    "tests/integration/comings.py": "load at a pace",
    "tests/integration/everything.py": "load at a pace",
    "tests/integration/injections.py": "load at a pace",
    "tests/integration/javascript_faults.py": "how long a fault lasts",
    "tests/integration/javascript_trial.py": "how long processes stand still",
    "tests/integration/rolling.py": "load at a pace, and samples",
    "tests/integration/steady_readers.py": "a reader at a pace",
    "tests/integration/test_attacks.py": "attackers at a pace, and what must not happen meanwhile",
    "tests/integration/test_floods.py": "attackers at a pace, and what must not happen meanwhile",
    "tests/integration/test_limits.py": "a slow line",
    "tests/integration/test_metrics.py": "a process that is kept from its work",
    "tests/integration/test_principal_limits.py": "a client that comes back when it is told to",
    "tests/integration/test_workers.py": "processes that stand still for longer than is allowed",
    "tests/unit/brokers/redis/test_publisher_faults.py": "a time-out, in the virtual time of its"
    " helper",
    "tests/unit/hub/test_hub_fanout.py": "a task that counts turns of the loop, and is cancelled",
    "tests/unit/server/publish/test_content_coding.py": "a task that counts turns of the loop,"
    " and ends",
    "tests/unit/server/security/test_jwks.py": "a server that sends single bytes",
}
"""Files that sleep in real time, or in a loop of their own, and what they do so for."""


def sleeps(node: ast.AST) -> Iterator[ast.Call]:
    """Calls of `sleep` here, and not in functions below."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.Call) and ast.unparse(child.func).endswith("sleep"):
            yield child
        yield from sleeps(child)


def waits_of_its_own(text: str) -> Iterator[str]:
    """Loops that sleep, and sleeps for a time that passes."""
    virtual = "virtual_time" in text or "tests.harness.clock" in text
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.While) and any(sleeps(node)):
            yield f"line {node.lineno}: while {ast.unparse(node.test)}"
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not virtual:
            for call in sleeps(node):
                if [ast.unparse(argument) for argument in call.args[:1]] != ["0"]:
                    yield f"line {call.lineno}: {ast.unparse(call)}"


def test_no_test_waits_in_a_way_of_its_own() -> None:
    found = {
        str(path.relative_to(ROOT)): waits
        for path in sorted((ROOT / "tests").rglob("*.py"))
        if path.relative_to(ROOT).parts[1] not in LEFT_OUT
        and "sleep" in (text := path.read_text(encoding="utf-8"))
        and (waits := list(waits_of_its_own(text)))
    }
    strange = {path: waits for path, waits in found.items() if path not in SLEEPERS}
    assert not strange, "tests/harness/eventually.py waits for what a test cannot be told"
    assert not set(SLEEPERS) - set(found), "a file that sleeps no more"


def test_what_a_wait_of_its_own_is() -> None:
    loops = "def f():\n while not x:\n  sleep(0)"
    assert list(waits_of_its_own(loops)) == ["line 2: while not x"]
    real = "import time\nasync def f():\n time.sleep(0.1)\n await asyncio.sleep(0)"
    assert list(waits_of_its_own(real)) == ["line 3: time.sleep(0.1)"]
    virtual = "from tests.harness.virtual_time import turns\nasync def f():\n await sleep(5)"
    assert list(waits_of_its_own(virtual)) == []
