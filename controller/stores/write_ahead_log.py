"""What is wrong with a write-ahead log of SQLite's that a hub has left which was killed.

SQLite reads such a log up to the first frame whose checksum is not right, and takes the rest for what was
being written as the power failed. So damage in the midst of a log looks like its end, and what is behind
that is lost without a word. But each transaction is on the disk before the next one begins: at most one can
have been under way, and where only the process was killed, all that it had written is there, in order.
Frames that end transactions behind the first bad frame tell one from the other.
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

_INDEX = Struct("=IIIBBHI")
"""The beginning of the index that SQLite makes of a log: of that the version, and the last whole frame."""


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
    """

    has_header: bool
    whole: int = 0
    ends: Sequence[int] = ()
    last: int = 0

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


def look_at_log(database: Path, log: Path) -> Log | None:
    """Look at the log of a database that nobody writes; None if there is none, or nothing can be said."""
    try:
        descriptor = os.open(log, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        size = os.fstat(descriptor).st_size
        header = os.pread(descriptor, _HEADER.size, 0)
        if size < _HEADER.size + _FRAME_BYTES:
            return None
        if not _is_whole(header):
            # The header is on the disk before a frame is written; nothing but zeros was never there.
            return Log(has_header=False) if any(os.pread(descriptor, _FRAME_BYTES, len(header))) else None
        ends, last = _read_frames(descriptor, header, size)
    finally:
        os.close(descriptor)
    whole = _last_whole(database)
    return None if whole is None else Log(True, whole, ends, last)


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
        _, pages, run = _FRAME.unpack(os.pread(descriptor, _FRAME.size, place))
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


def _last_whole(database: Path) -> int | None:
    """Have SQLite read the log, which changes nothing; return the last frame that it takes for whole."""
    with closing(sqlite3.connect(f"file:{quote(str(database))}?mode=ro", uri=True)) as reader:
        reader.execute("SELECT count(*) FROM sqlite_master").fetchall()
    # Only now: to close a file of a database would let go of the locks that this process has.
    try:
        index = database.with_name(database.name + "-shm").read_bytes()[: _INDEX.size]
    except FileNotFoundError:
        return None
    if len(index) < _INDEX.size:
        return None
    version, _, _, is_made, _, _, whole = _INDEX.unpack(index)
    return int(whole) if (version, is_made) == (_VERSION, 1) else None
