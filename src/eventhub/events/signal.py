"""A signal: a message for those who are there now. It is never stored and has no position."""

from collections.abc import Mapping
from typing import NamedTuple


class Signal(NamedTuple):
    """A validated signal. `data` is canonical JSON; `time` is when it was received."""

    channel: str
    data: bytes
    time: int
    attributes: Mapping[str, str] | None = None
