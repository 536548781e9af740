"""Cutting a body's chunks into lines. No I/O."""


class LineSplitter:
    """Holds the line that no chunk has ended yet, up to `limit` bytes of it."""

    __slots__ = ("_limit", "_partial", "_skipping")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._partial = b""
        self._skipping = False  # the partial line is longer than the limit: its bytes are dropped

    def split(self, chunk: bytes, *, last: bool) -> list[bytes | None]:
        """The lines that the chunk ends; None for one whose bytes were dropped.

        `last`: the body ends with this chunk, and its last line may have no line break.
        """
        *ended, self._partial = (self._partial + chunk).split(b"\n")
        lines: list[bytes | None] = [*ended]
        if last and (self._partial or (self._skipping and not lines)):
            lines.append(self._partial)
            self._partial = b""
        if self._skipping and lines:
            lines[0], self._skipping = None, False
        if len(self._partial) > self._limit:
            self._skipping, self._partial = True, b""
        return lines

    @property
    def held(self) -> int:
        """Bytes of the line that has not ended."""
        return len(self._partial)
