"""Every place of the code where something that all share calls what belongs to one connection,
found in its syntax.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "eventhub"
SCHEDULES = {
    "_call", "_wake_for", "_soon", "_spawn", "add_done_callback", "add_reader", "call_at",
    "call_later", "call_soon",
    "call_soon_threadsafe", "create_task", "later", "run_in_executor", "set_exception_handler",
    "spawn", "to_thread",
}  # fmt: skip
"""Calls that have something done later, by the loop, a task or a thread of the process."""
DEADLINES = {"after", "set"}
"""The same, of what is called `deadlines`."""
CALLS = {
    "_end", "_fail", "_give", "_keep", "_lose", "_note", "_send", "_serve", "_write", "abort",
    "buffered", "contain",
    "contained", "decided", "deliver", "fail", "failed", "gap", "goodbye", "heartbeat",
    "on_message",
    "last_call", "_last_call", "retire", "send_away",
    "serving_failed", "started", "tell", "broadcast", "write", "write_all",
}  # fmt: skip
"""Calls of one connection's, reader's or peer's code, where they stand in a loop: one must not cost
the next.
"""


def places() -> set[str]:
    """As `file:function:call`."""
    return {
        place
        for file in sorted(SOURCE.rglob("*.py"))
        if file.name != "__main__.py" and file.parent.name != "cli"
        for place in _in(file)
    }


def _in(file: Path) -> Iterator[str]:
    tree = ast.parse(file.read_text())
    name = str(file.relative_to(SOURCE))

    def visit(node: ast.AST, where: str, *, loop: bool) -> Iterator[str]:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            where, loop = f"{where}.{node.name}" if where else node.name, False
        if isinstance(
            node,
            ast.For
            | ast.AsyncFor
            | ast.While
            | ast.ListComp
            | ast.GeneratorExp
            | ast.SetComp
            | ast.DictComp,
        ):
            loop = True
        if isinstance(node, ast.Call) and (found := _call(node, loop=loop)):
            yield f"{name}:{where}:{found}"
        for child in ast.iter_child_nodes(node):
            yield from visit(child, where, loop=loop)

    yield from visit(tree, "", loop=False)


def _call(node: ast.Call, *, loop: bool) -> str | None:
    called = node.func
    name = (
        called.attr
        if isinstance(called, ast.Attribute)
        else called.id
        if isinstance(called, ast.Name)
        else ""
    )
    if name in SCHEDULES:
        return name
    if (
        name in DEADLINES
        and isinstance(called, ast.Attribute)
        and "deadlines" in ast.unparse(called.value)
    ):
        return f"deadlines.{name}"
    return name if loop and name in CALLS else None
