"""What is wrong with a write-ahead log of SQLite's that a hub has left which was killed.

SQLite reads such a log up to the first frame whose checksum is not right, and takes the rest for what was
being written as the power failed. So damage in the midst of a log looks like its end, and what is behind
that is lost without a word. But each transaction is on the disk before the next one begins: at most one can
have been under way. Frames that end transactions behind the first bad frame tell one from the other.

Where only the process has ended, killed or for want of room as it wrote the last one, the index that SQLite
had made of the log is still there, and says how far the log was whole.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from struct import Struct
from typing import Literal, NamedTuple
from urllib.parse import quote

_HEADER = Struct(">IIIIQII")
"""Magic, version, size of pages, number of the run, salts, checksum."""

_FRAME = Struct(">IIQ")
"""Page, size of the database if this ends a transaction, salts; a checksum and the page follow."""

_FRAME_BYTES = 24
_MAGIC = 0x377F0682
_VERSION = 3_007_000

_INDEX = Struct("=IIIBBHI12s8s8s")
"""The beginning of the index that SQLite makes of a log, which stands there twice: of that the version, the
last whole frame, and the salts of the log."""


class Log(NamedTuple):
    """What a log has.

    Attributes
    ----------
    has_header
        Whether its header is whole: SQLite reads nothing else without.
    whole
        The last frame that SQLite reads; 0 for none.
    ends
        The frames that end transactions, of the run through the file that its header speaks of.
    last
        The last frame of that run.
    known
        The last frame that was whole for who wrote it last; None where that is not known.
    """

    has_header: bool
    whole: int = 0
    ends: Sequence[int] = ()
    last: int = 0
    known: int | None = None

    @property
    def lost(self) -> int:
        """How many transactions are there that SQLite does not read."""
        return sum(end > self.whole for end in self.ends)

    @property
    def has_rest(self) -> bool:
        """Whether there is more than SQLite reads, whatever it is."""
        return self.last > self.whole

    @property
    def damage(self) -> str:
        """What is wrong with it, if it is not only cut off."""
        if not self.has_header:
            return "nothing in it can be read"
        return (
            f"frame {self.whole + 1} of {self.last} is not whole, and {self.lost} transactions from there on "
            "cannot be read"
        )


def look_at_log(database: Path, log: Path, *, is_alone: bool = False) -> Log | None:
    """Look at the log of a database that nobody writes; None if there is none, or nothing can be said.

    Who `is_alone` with the database leaves the former index, for another look at damage.
    """
    try:
        descriptor = os.open(log, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        size = os.fstat(descriptor).st_size
        header = _read_at(descriptor, _HEADER.size, 0)
        if size < _HEADER.size + _FRAME_BYTES:
            return None
        if not _is_whole(header):
            # The header is on the disk before a frame is written; nothing but zeros was never there.
            return Log(has_header=False) if any(_read_at(descriptor, _FRAME_BYTES, len(header))) else None
        ends, last = _read_frames(descriptor, header, size)
    finally:
        os.close(descriptor)
    index = database.with_name(database.name + "-shm")
    former = _read_index(index)
    whole = _last_whole(database, index)
    if whole is None:
        return None
    known = _known(former, header)
    if is_alone and known is not None and whole < known:
        with open(index, "r+b") as file:
            file.write(former)
    return Log(True, whole, ends, last, known)


def _read_at(descriptor: int, nbytes: int, place: int) -> bytes:
    """Read at a place of a file of which nobody else reads by this descriptor."""
    os.lseek(descriptor, place, os.SEEK_SET)
    return os.read(descriptor, nbytes)


def _is_whole(header: bytes) -> bool:
    magic, version, _, _, _, *checksum = _HEADER.unpack(header)
    if (magic & ~1, version) != (_MAGIC, _VERSION):
        return False
    return _checksum(header[:-8], "big" if magic & 1 else "little") == tuple(checksum)


def _read_frames(descriptor: int, header: bytes, size: int) -> tuple[list[int], int]:
    _, _, page, _, salts, _, _ = _HEADER.unpack(header)
    ends, last = [], 0
    places = range(_HEADER.size, size - _FRAME_BYTES, _FRAME_BYTES + page)
    for number, place in enumerate(places, 1):
        _, pages, run = _FRAME.unpack(_read_at(descriptor, _FRAME.size, place))
        if run == salts:
            last = number
            ends += [number] if pages else []
    return ends, last


def _checksum(data: bytes, order: Literal["big", "little"]) -> tuple[int, int]:
    one = two = 0
    words = memoryview(data)
    for at in range(0, len(data), 8):
        one = one + int.from_bytes(words[at : at + 4], order) + two & 0xFFFFFFFF
        two = two + int.from_bytes(words[at + 4 : at + 8], order) + one & 0xFFFFFFFF
    return one, two


def _read_index(index: Path) -> bytes:
    try:
        with open(index, "rb") as file:
            return file.read(2 * _INDEX.size)
    except FileNotFoundError:
        return b""


def _known(index: bytes, header: bytes) -> int | None:
    """Return the last whole frame of an index, if that is whole itself and of a log with this header."""
    if len(index) < 2 * _INDEX.size or index[: _INDEX.size] != index[_INDEX.size :]:
        return None
    version, _, _, is_made, _, _, whole, _, salts, _ = _INDEX.unpack(index[: _INDEX.size])
    is_of_log = (version, is_made) == (_VERSION, 1) and salts == header[16:24]
    return int(whole) if is_of_log else None


def _last_whole(database: Path, place: Path) -> int | None:
    """Have SQLite read the log, which changes nothing; return the last frame that it takes for whole."""
    with closing(sqlite3.connect(f"file:{quote(str(database))}?mode=ro", uri=True)) as reader:
        reader.execute("SELECT count(*) FROM sqlite_master").fetchall()
    # Only now: to close a file of a database would let go of the locks that this process has.
    index = _read_index(place)[: _INDEX.size]
    if len(index) < _INDEX.size:
        return None
    version, _, _, is_made, _, _, whole, *_ = _INDEX.unpack(index)
    return int(whole) if (version, is_made) == (_VERSION, 1) else None
