"""Reads a growing file by whole lines, through rotation, and remembers where it stands.

What is seen                              What happens
the path names another file               the old one is read to its end, then those that were
                                          renamed since (app.log.1, app.log-20261130), then the new
the file is shorter than what was read    it was emptied in place: from its beginning
at the start, the path names another one  the file that was read before is looked for beside it, by
                                          inode, and finished first
that one is not there (compressed, say)   what it had left is lost, which is said
another file has its inode, as its        the same, and this one is read from its beginning
first bytes are others

A file that is emptied, and grows beyond what was read between two looks of a running reader, is not
noticed.
"""

import glob
import hashlib
import json
import os
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO

QUIET_LOOKS = 8
_RENAMED = re.compile(r"[.-]\d[\dT:.-]*")
"""What rotation adds to a name."""
BATCH_LINES = 500
BATCH_BYTES = 512 * 1024
KNOWN_BYTES = 1024
LINE_BYTES = 256 * 1024
"""A longer line is cut into several."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a reader stands in its file. `sending` ends the batch that may be stored already."""

    device: int
    inode: int
    written: int = 0
    """When the file was last written to, in nanoseconds. Those renamed later are newer."""
    offset: int = 0
    generation: int = 0
    sending: int | None = None
    known: int = 0
    first: str = ""
    """A hash of the first `known` bytes: an inode is used again when its file is gone."""
    passed: Sequence[int] = ()
    """Inodes of files that were read before, and were last written to at the same time."""


@dataclass(frozen=True, slots=True)
class LineBatch:
    """Lines that are sent together, always the same ones under the same key."""

    lines: list[str]
    end: int
    key: str


class LogFile:
    """One file that grows. `say` tells what is lost.

    A renamed file is left after `looks` at its end: its writer may still write to it for a while.
    """

    def __init__(
        self, path: Path, state: Path, say: Callable[[str], None], looks: int = QUIET_LOOKS
    ) -> None:
        self._path = path
        self._state = state
        self._say = say
        self._said = ""
        self._file: IO[bytes] | None = None
        self._mark = Mark(0, 0)
        self._looks = self._looks_left = looks

    @property
    def was_found(self) -> bool:
        """Whether there is such a file, or was in an earlier run."""
        return self._file is not None or self._stored() is not None

    def next_batch(self) -> LineBatch | None:
        """The next lines, None while there are none. Call `done` when they are stored."""
        if self._file is None and not self._open():
            return None
        batch = self._read()
        while batch is None and self._move_on():
            batch = self._read()
        return batch

    def done(self, batch: LineBatch) -> None:
        """The lines are stored: go on behind them."""
        self._keep(replace(self._mark, offset=batch.end, sending=None))

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    # Which file

    def _say_once(self, text: str) -> None:
        """It is looked for four times a second."""
        if text != self._said:
            self._said = text
            self._say(text)

    def _open(self) -> bool:
        stored = self._stored()
        old = None if stored is None else self._find(stored)
        self._mark = stored or self._mark
        if stored is not None and old is not None:
            self._file = old.open("rb")
            if _hash(self._file.read(stored.known)) == stored.first or not stored.known:
                return True
            self.close()
        if stored is not None:
            self._say_once(
                f"{self._path}: the file that was read before is gone; "
                f"what it had after byte {stored.offset} is lost"
            )
        path = self._path if stored is None else self._following(stored) or old
        if path is None or not path.exists():
            if stored is None:
                self._say_once(f"{self._path}: there is no such file yet")
            return False
        self._begin(path, 0 if stored is None or path != old else stored.generation + 1)
        return True

    def _candidates(self) -> list[tuple[os.stat_result, Path]]:
        """The file at the path, and those that were renamed."""
        name = self._path.name
        found = []
        for each in self._path.parent.glob(f"{glob.escape(name)}*"):
            if each == self._path or _RENAMED.fullmatch(each.name.removeprefix(name)):
                with suppress(OSError):  # it was removed in between
                    found.append((each.stat(), each))
        return found

    def _find(self, mark: Mark) -> Path | None:
        """The file with this inode."""
        same = (path for stat, path in self._candidates() if _is(stat, mark))
        return next(same, None)

    def _following(self, mark: Mark) -> Path | None:
        """The oldest file that was written to after this one; the one at the path is the newest."""
        newer = [
            (path == self._path, stat.st_mtime_ns, path)
            for stat, path in self._candidates()
            if not _is(stat, mark) and (path == self._path or _is_after(stat, mark))
        ]
        return min(newer)[2] if newer else None

    def _begin(self, path: Path, generation: int = 0) -> None:
        self.close()
        self._file = path.open("rb")
        self._looks_left = self._looks
        before, found = self._mark, os.fstat(self._file.fileno())
        same = found.st_mtime_ns == before.written
        passed = (*before.passed, before.inode) if same else ()
        mark = Mark(found.st_dev, found.st_ino, found.st_mtime_ns, 0, generation, passed=passed)
        self._keep(mark)

    def _move_on(self) -> bool:
        """At the end: to the beginning of the next file. Whether there is more to read."""
        assert self._file is not None
        mark = self._mark
        if os.fstat(self._file.fileno()).st_size < (mark.sending or mark.offset):
            self._begin(self._path, mark.generation + 1)
            return True
        following = self._following(mark)
        if following is None or self._find(mark) == self._path:
            return False
        if self._looks_left:
            self._looks_left -= 1 if following == self._path else self._looks_left
            return not self._looks_left  # whether to read the last line, which may have no end
        self._begin(following)
        return True

    # Lines

    def _read(self) -> LineBatch | None:
        assert self._file is not None
        mark = self._mark
        self._file.seek(mark.offset)
        if mark.sending is not None:
            data = self._file.read(mark.sending - mark.offset)
            if len(data) < mark.sending - mark.offset:
                return None  # it was emptied since
        else:
            data = _whole_lines(self._file.read(BATCH_BYTES), cut=not self._looks_left)
            if not data:
                return None
            self._looks_left = self._looks if self._looks_left else 0
            written = os.fstat(self._file.fileno()).st_mtime_ns
            if mark.offset == 0:
                mark = replace(mark, known=len(data[:KNOWN_BYTES]), first=_hash(data[:KNOWN_BYTES]))
            self._keep(replace(mark, written=written, sending=mark.offset + len(data)))
        end = mark.offset + len(data)
        name = f"{mark.device} {mark.inode} {mark.generation} {mark.offset} {end} "
        key = "ship-" + hashlib.sha256(name.encode() + data[:64]).hexdigest()[:40]
        lines = [line.strip() for line in data.decode("utf-8", "replace").split("\n")]
        return LineBatch([line for line in lines if line], end, key)

    # What is remembered

    def _stored(self) -> Mark | None:
        try:
            return Mark(**json.loads(self._state.read_bytes()))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError):
            raise ValueError(
                f"{self._state} does not say where the file was read to; "
                "without it, the file is sent from its beginning"
            ) from None

    def _keep(self, mark: Mark) -> None:
        self._mark = mark
        self._state.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = self._state.with_name(f"{self._state.name}.{os.getpid()}.next")
        draft.write_text(json.dumps(asdict(mark)), encoding="utf-8")
        draft.replace(self._state)


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _is(stat: os.stat_result, mark: Mark) -> bool:
    return (stat.st_dev, stat.st_ino) == (mark.device, mark.inode)


def _is_after(stat: os.stat_result, mark: Mark) -> bool:
    """Of two files that were last written to at the same time, neither is read twice."""
    if stat.st_mtime_ns == mark.written:
        return stat.st_ino not in mark.passed
    return stat.st_mtime_ns > mark.written


def _whole_lines(data: bytes, *, cut: bool) -> bytes:
    """The first lines that make a batch. `cut`: the last one is whole even without its end."""
    end = 0
    for _ in range(BATCH_LINES):
        found = data.find(b"\n", end, end + LINE_BYTES)
        if found < 0:
            rest = len(data) - end
            if rest >= LINE_BYTES:
                return data[: end + LINE_BYTES]
            return data if cut and rest else data[:end]
        end = found + 1
    return data[:end]
