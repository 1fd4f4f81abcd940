"""Large payloads as files beside the database, each whole or not there."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from struct import Struct
from typing import BinaryIO
from zlib import crc32

from ctrlhub.controller.core.history import GONE
from ctrlhub.wire.messages import Buffer, Payload
from ctrlhub.wire.private import make_private_dir, sync_dir
from ctrlhub.wire.segments import Segment

IN_PLACE = 512 * 1024
"""What is read of a segment at a time (bytes), to be written at once: so much stays in a cache."""

PORTION = 4 * 1024 * 1024
"""So many bytes are written at a time."""

UNFINISHED = ".unfinished"

MAGIC = b"crc1"

FOOTER = Struct("<4sI")
"""What a file ends in: `MAGIC`, and the CRC-32 of its name and content."""


class PayloadFiles:
    """The directory of payloads.

    Parameters
    ----------
    directory
        Where; it is made, closed to others.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        make_private_dir(directory)

    def write(self, files: Iterable[tuple[str, Payload]]) -> None:
        """Write files; afterwards they are on disk, each with its name."""
        written = False
        for name, payload in files:
            buffers = (payload,) if isinstance(payload, bytes) else payload
            write_file(self._directory / name, _with_checksum(name, buffers))
            written = True
        if written:
            sync_dir(self._directory)

    def read(self, name: str, sizes: Sequence[int]) -> Payload:
        """Return the buffers of a file, which are read when they are used; `GONE` if it is not whole.

        Its content is read once for that. A file of an earlier version has no checksum.
        """
        return self._open(name, sizes, _is_whole)

    def look(self, name: str, sizes: Sequence[int]) -> Payload:
        """Return the buffers of a file of the right size; `GONE` if there is none."""
        return self._open(name, sizes, lambda *_: True)

    def _open(
        self, name: str, sizes: Sequence[int], is_whole: Callable[[str, BinaryIO, int], bool]
    ) -> Payload:
        count = sum(sizes)
        try:
            with open(self._directory / name, "rb", buffering=0) as file:
                size = os.fstat(file.fileno()).st_size
                if not count or size not in (count, count + FOOTER.size):
                    return GONE
                if size > count and not is_whole(name, file, count):
                    return GONE
                whole = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except FileNotFoundError:
            return GONE
        return in_buffers(whole, sizes)

    def remove(self, names: Iterable[str]) -> None:
        """Remove files."""
        for name in names:
            with suppress(FileNotFoundError):
                os.unlink(self._directory / name)

    def sweep(self, known: Collection[str]) -> None:
        """Remove what no transaction has come to know of."""
        self.remove(self.others(known))

    def set_aside(self, names: Collection[str], place: Path) -> int:
        """Move files that are there into a directory; return how many that were."""
        there = [name for name in names if (self._directory / name).exists()]
        if there:
            make_private_dir(place)
        for name in there:
            os.replace(self._directory / name, place / name)
        return len(there)

    def others(self, known: Collection[str]) -> list[str]:
        """Return the names of the files that are not among these."""
        with os.scandir(self._directory) as found:
            return [entry.name for entry in found if entry.name not in known]

    def __bool__(self) -> bool:
        """Tell whether there are any."""
        return bool(self.others(()))

    def size(self) -> int:
        """Return how many bytes the files take."""
        with os.scandir(self._directory) as found:
            return sum(entry.stat().st_size for entry in found)


def write_file(place: Path, pieces: Iterable[Buffer]) -> None:
    """Write a file whole or not at all; its content is on disk, its name once the directory is."""
    unfinished = place.with_name(place.name + UNFINISHED)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        for piece in pieces:
            view = memoryview(piece)
            while view:
                view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    except BaseException:  # the disk may be full, and what is half there would keep it so
        with suppress(OSError):
            os.unlink(unfinished)
        raise
    finally:
        os.close(descriptor)
    os.replace(unfinished, place)


def _with_checksum(name: str, buffers: Sequence[Buffer]) -> Iterator[Buffer]:
    """Yield what stands in a file: buffers in pieces, then a checksum of them and the file's name.

    A piece is to be written before the next is taken: it may stand in the same place.
    """
    checksum = crc32(name.encode())
    for buffer in buffers:
        for piece in _read_in_place(buffer) if type(buffer) is Segment else portions(buffer):
            checksum = crc32(piece, checksum)
            yield piece
    yield FOOTER.pack(MAGIC, checksum)


def _is_whole(name: str, file: BinaryIO, count: int) -> bool:
    """Say whether the first so many bytes of a file are those of which it has the checksum."""
    # Read, not mapped: what is mapped counts as this process's memory.
    checksum, left = crc32(name.encode()), count
    while left:
        piece = file.read(min(PORTION, left))
        if not piece:
            return False
        checksum = crc32(piece, checksum)
        left -= len(piece)
    return file.read(FOOTER.size) == FOOTER.pack(MAGIC, checksum)


def in_buffers(whole: memoryview, sizes: Sequence[int]) -> tuple[memoryview, ...]:
    """Return parts of these sizes."""
    buffers, at = [], 0
    for size in sizes:
        buffers.append(whole[at : at + size])
        at += size
    return tuple(buffers)


def _read_in_place(segment: Segment) -> Iterator[Buffer]:
    """Read a segment piece by piece into one place: new memory for each takes longer than the rest."""
    room = memoryview(bytearray(min(IN_PLACE, segment.nbytes)))
    for at in range(0, segment.nbytes, IN_PLACE):
        place = room[: min(IN_PLACE, segment.nbytes - at)]
        segment.read_into(place, at)
        yield place


def portions(buffer: Buffer) -> Iterable[Buffer]:
    """Return a buffer in pieces."""
    if type(buffer) is not Segment:
        view = memoryview(buffer).cast("B")
        return (view[at : at + PORTION] for at in range(0, len(view), PORTION))
    # Read, not mapped: what is mapped counts as this process's memory.
    ends = range(0, buffer.nbytes, PORTION)
    return (buffer.read(at, min(PORTION, buffer.nbytes - at)) for at in ends)
