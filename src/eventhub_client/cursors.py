"""Where a follower stands in each channel, kept over restarts."""

import json
import os
from pathlib import Path
from typing import Protocol


class Cursor(Protocol):
    """Keeps the position of each channel. One follower at a time uses it."""

    def load(self) -> dict[str, str]:
        """The stored position of each channel."""
        ...

    def store(self, channel: str, position: str) -> None:
        """Replace the position of a channel, completely or not at all."""
        ...


class FileCursor:
    """Positions in a JSON file, which is replaced as a whole.

    It outlives kill -9. It is not forced to the disk each time: after a power cut it may be older,
    and then some events come a second time.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._positions: dict[str, str] | None = None

    def load(self) -> dict[str, str]:
        try:
            positions = json.loads(self._path.read_bytes())
            if not _are_positions(positions):
                raise ValueError  # one message for every damage
        except FileNotFoundError:
            positions = {}
        except ValueError:
            raise ValueError(
                f'{self._path} is not a cursor; expected JSON such as {{"orders.eu":"k3x9-41"}}. '
                "Without the file, following begins at `since`"
            ) from None
        self._positions = positions
        return dict(positions)

    def store(self, channel: str, position: str) -> None:
        positions = self._positions = {
            **(self.load() if self._positions is None else self._positions),
            channel: position,
        }
        draft = self._path.with_name(f"{self._path.name}.{os.getpid()}.next")
        draft.write_text(json.dumps(positions), encoding="utf-8")
        draft.replace(self._path)


def _are_positions(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(each, str) for each in value.values())
