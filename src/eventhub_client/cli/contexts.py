"""Servers that a person uses often: a name, an address, and perhaps a credential.

They are in one JSON file with mode 0600, below $XDG_CONFIG_HOME (`~/.config`):
`{"current": "prod", "contexts": {"prod": {"url": "https://…", "api_key": "ehk_…"}}}`.
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Context:
    """A server and the credential for it."""

    url: str
    token: str | None = None
    api_key: str | None = None


class Contexts:
    """The file of contexts. Every change is written at once."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or _default_path()
        self.by_name: dict[str, Context] = {}
        self.current: str | None = None
        self._read()

    def get(self, name: str) -> Context:
        """Raises ValueError, which names those that there are."""
        if name not in self.by_name:
            known = ", ".join(sorted(self.by_name)) or "none"
            raise ValueError(f"there is no context {name!r} in {self._path}; there are: {known}")
        return self.by_name[name]

    def add(self, name: str, context: Context) -> None:
        """Add or replace. The first one is the current one."""
        self.by_name[name] = context
        self.current = self.current or name
        self._write()

    def use(self, name: str) -> None:
        """Make it the current one."""
        self.get(name)
        self.current = name
        self._write()

    def remove(self, name: str) -> None:
        """Forget it."""
        self.get(name)
        del self.by_name[name]
        if self.current == name:
            self.current = None
        self._write()

    def _read(self) -> None:
        try:
            stored = json.loads(self._path.read_bytes())
            self.by_name = {name: Context(**each) for name, each in stored["contexts"].items()}
            self.current = stored["current"]
        except FileNotFoundError:
            return
        except (ValueError, TypeError, KeyError, AttributeError):
            raise ValueError(
                f"{self._path} is not a list of contexts; remove it and add them again"
            ) from None

    def _write(self) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = self._path.with_name(f"{self._path.name}.{os.getpid()}.next")
        stored: dict[str, Any] = {
            "current": self.current,
            "contexts": {name: asdict(each) for name, each in self.by_name.items()},
        }
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(stored, file, indent=2)
        draft.replace(self._path)


def _default_path() -> Path:
    home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(home) / "eventhub" / "contexts.json"
