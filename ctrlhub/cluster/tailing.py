"""The ends of files, and what is added to them: also when one is set aside, cut, or made anew.

A file is known by its inode. Who sets a log aside renames it, and another comes under its name: the old
one is read to its end first. Who cuts one makes it shorter: then it is read from its beginning.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from ctrlhub.link.log_file import aside

BLOCK = 64 * 1024
"""So much (bytes) is read at once."""

LONGEST_LINE = 1024 * 1024
"""A line longer than this (bytes) is shown in pieces."""


class Tail:
    """One file, from some lines before its end on.

    Parameters
    ----------
    path
        The file; it may come, go, and come again.
    lines
        How many lines of its end to begin with.
    """

    def __init__(self, path: Path, lines: int) -> None:
        self.path = path
        self._rest = b""
        self._file = _opened(path)
        if self._file is not None:
            begin, lacking = _begin_of_last(self._file, lines)
            self._file.seek(begin)
            if lacking and (before := _opened(aside(path))) is not None:
                self._file.close()
                before.seek(_begin_of_last(before, lacking)[0])
                self._file = before  # `read` goes on with the one that has the name

    def read(self) -> list[str]:
        """Return the whole lines that have come since."""
        self._file = self._file or _opened(self.path)
        if self._file is None:
            return []
        found: list[str] = []
        if os.fstat(self._file.fileno()).st_size < self._file.tell():
            found += self._flushed()  # it was cut
            self._file.seek(0)
        found += self._read_on(self._file)
        while self._file is not None and self._was_replaced(self._file):
            found += self._read_on(self._file)  # what was written before it was set aside, and after we read
            found += self._flushed()
            self._file = self._following(self._file)
            found += self._read_on(self._file) if self._file is not None else []
        return found

    def finish(self) -> list[str]:
        """Return what has come, also a last line that has no end yet."""
        return [*self.read(), *self._flushed()]

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _was_replaced(self, file: BinaryIO) -> bool:
        """Say whether another file has its name; one that has just gone may be about to have a follower."""
        try:
            there = self.path.stat()
        except FileNotFoundError:
            return False
        here = os.fstat(file.fileno())
        return (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino)

    def _following(self, file: BinaryIO) -> BinaryIO | None:
        """Let go of a file, and open the one that was written to next.

        If that was set aside as well meanwhile, it is not the one that has the name.
        """
        here = os.fstat(file.fileno())
        file.close()
        between = _opened(aside(self.path))
        if between is not None:
            there = os.fstat(between.fileno())
            if not os.path.samestat(there, here) and there.st_mtime_ns >= here.st_mtime_ns:
                return between
            between.close()
        return _opened(self.path)

    def _read_on(self, file: BinaryIO) -> list[str]:
        found: list[str] = []
        while block := file.read(BLOCK):
            *whole, self._rest = (self._rest + block).split(b"\n")
            found += map(_text, whole)
            if len(self._rest) > LONGEST_LINE:
                found += self._flushed()
        return found

    def _flushed(self) -> list[str]:
        rest, self._rest = self._rest, b""
        return [_text(rest)] if rest else []


def _opened(path: Path) -> BinaryIO | None:
    try:
        return path.open("rb")
    except FileNotFoundError:
        return None


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace").rstrip("\r")


def _begin_of_last(file: BinaryIO, lines: int) -> tuple[int, int]:
    """Return where the last lines of a file begin, and how many fewer it has."""
    end = place = file.seek(0, os.SEEK_END)
    if not lines:
        return end, 0
    # The newline at the very end ends the last line, and begins none.
    has_end = end > 0 and _byte_at(file, end - 1) == b"\n"
    wanted = lines + has_end
    while place:
        begin = max(0, place - BLOCK)
        file.seek(begin)
        block = file.read(place - begin)
        count = block.count(b"\n")
        if count >= wanted:
            at = len(block)
            for _ in range(wanted):
                at = block.rindex(b"\n", 0, at)
            return begin + at + 1, 0
        wanted -= count
        place = begin
    return 0, wanted - (1 if end else 0)


def _byte_at(file: BinaryIO, place: int) -> bytes:
    file.seek(place)
    return file.read(1)
