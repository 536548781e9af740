"""Commands that are imported when they are used: a short command must not load all others."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, cast

import typer
from typer.core import TyperGroup


class LazyGroup(TyperGroup):
    """The commands of `paths`: the name of each, and where it is, such as `package.module:tail`."""

    paths: Mapping[str, str] = {}

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = cast("Any", _Commands(self.paths))

    def list_commands(self, ctx: Any) -> list[str]:
        """Their names, without an import."""
        return list(self.paths)


def lazy_group(commands: Mapping[str, str]) -> type[LazyGroup]:
    """The class of a `typer.Typer` that has these commands."""
    return type("Commands", (LazyGroup,), {"paths": commands})


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
