"""Commands that are imported when they are used: a short command must not load all others."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, cast

import typer
from typer.core import TyperGroup

TARGET_OPTIONS = ("--server", "--context", "--token", "--api-key")
"""Options of target.py. Each takes a value."""


class LazyGroup(TyperGroup):
    """The commands of `paths`: the name of each, and where it is, such as `package.module:tail`."""

    paths: Mapping[str, str] = {}

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = cast("Any", _Commands(self.paths))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """A target may also stand before the command: `eventhub --server URL pub …`."""
        return super().parse_args(ctx, _with_target_behind(args))

    def list_commands(self, ctx: Any) -> list[str]:
        """Their names, without an import."""
        return list(self.paths)


def lazy_group(commands: Mapping[str, str]) -> type[LazyGroup]:
    """The class of a `typer.Typer` that has these commands."""
    return type("Commands", (LazyGroup,), {"paths": commands})


def _with_target_behind(args: list[str]) -> list[str]:
    """Move the options of the target behind the name of the command."""
    at = 0
    while at < len(args) and args[at].partition("=")[0] in TARGET_OPTIONS:
        at += 1 if "=" in args[at] else 2
    if at >= len(args) or args[at].startswith("-"):
        return args
    return [args[at], *args[:at], *args[at + 1 :]]


class _Commands(Mapping[str, Any]):
    def __init__(self, paths: Mapping[str, str]) -> None:
        self._paths = paths

    def __getitem__(self, name: str) -> Any:
        module, _, attribute = self._paths[name].partition(":")
        found = getattr(import_module(module), attribute)
        if isinstance(found, typer.Typer):
            group = typer.main.get_group(found)
            group.name = name
            return group
        alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        alone.command(name)(found)
        return typer.main.get_command(alone)

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)
