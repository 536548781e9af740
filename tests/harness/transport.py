"""A connection as a protocol sees it, without a network: what is written is kept, what is asked for
is noted.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

ADDRESS = ("127.0.0.1", 50_000)


class RecordedTransport(asyncio.Transport):
    """`can_end`: its half can be ended alone, which TLS cannot. `info` is what a protocol may know
    of it, beside the peer's address.
    """

    def __init__(self, *, can_end: bool = True, info: Mapping[str, object] | None = None) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.reading = True
        self.ended = False
        self.closed = False
        self.aborted = False
        self.protocol: asyncio.BaseProtocol | None = None
        self.buffered = 0
        """What the peer has not taken, as a test says."""
        self.limits: tuple[int | None, int | None] | None = None
        self._can_end = can_end
        self._info = {"peername": ADDRESS, **(info or {})}

    @property
    def written(self) -> bytes:
        return b"".join(self.writes)

    def write(self, data: Any) -> None:
        assert not self.closed, f"written behind the end: {bytes(data)!r}"
        self.writes.append(bytes(data))

    def write_eof(self) -> None:
        assert self._can_end
        self.ended = True

    def can_write_eof(self) -> bool:
        return self._can_end

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_reading(self) -> bool:
        return self.reading

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True

    def is_closing(self) -> bool:
        return self.closed

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._info.get(name, default)

    def get_write_buffer_size(self) -> int:
        return self.buffered

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.limits = (high, low)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        assert self.protocol is not None
        return self.protocol
