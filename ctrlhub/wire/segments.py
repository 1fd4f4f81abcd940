"""Shared memory: large buffers that the processes of one host hand to each other by reference.

A segment is a memory file (``memfd_create``): memory of the kernel's without a name. Its maker writes
it and seals it, after which nobody can change it; its maker may use it for other data once nobody else
has it open (`ctrlhub.wire.warm`). It exists for as long as some process has it open or mapped: the
kernel sees to that, so nothing has to be swept after anybody's death, and there is no name to be
guessed, taken or left behind. What tells one content from the next is its *stamp*, a random number
that its maker sets as the file's time of modification.

Who has it open can lend it: another process of the same user opens ``/proc/PID/fd/DESCRIPTOR``. So a
message refers to a segment by its descriptor in the process that sends the message, and whoever owes a
buffer keeps it open, as it would keep the bytes. Who uses it maps it privately: what it writes goes
into pages of its own, and what it only reads is shared by all.

Where a system has none of this, or has no more of it, nothing here is made and the bytes travel.

This is system calls, in a package that has few of them, since who serializes makes segments, and who
encodes a message for a peer elsewhere reads them: both stand below everything that could hand it in.
Nothing here waits, but for the kernel to copy.
"""

from __future__ import annotations

import mmap
import os
import stat
import sys
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ctrlhub.wire.errors import SegmentLost
from ctrlhub.wire.limits import MAX_FRAME_BYTES, SEGMENT_BYTES, SEGMENTS, SHARED_BYTES
from ctrlhub.wire.mapping import map_file
from ctrlhub.wire.private import this_uid
from ctrlhub.wire.unread import Unread
from ctrlhub.wire.untouched import remember, remembered

if sys.platform == "linux":
    import fcntl

NAME = "ctrlhub"
"""What memory files are called in ``/proc``; it need not be unique."""

PROOF_BYTES = 16
"""How many bytes prove that one process can read what another one lends."""

AVAILABLE = hasattr(os, "memfd_create")
"""Whether the system has segments."""

_LINK = f"/memfd:{NAME}"
_PORTION = 64 * 1024 * 1024
"""So much is written (bytes) before a signal's handler has its turn."""

F_SEAL_FUTURE_WRITE = 0x10
"""Nobody can write any more, but through what its maker had mapped before. Python does not name it."""

FIXED_SIZE = 0x7 if AVAILABLE else 0
"""The seals against shrinking, growing and further sealing."""

_held: dict[int, int] = {}
"""The segments that this process has open: sizes (bytes) by descriptor."""

_closers: dict[int, weakref.ref[Any]] = {}


@dataclass(frozen=True, slots=True)
class SegmentRef:
    """Names a segment within the process that lends it; what a message carries in place of bytes."""

    descriptor: int
    stamp: int
    nbytes: int
    pid: int = 0
    """The process that lends it; 0 for the sender of the message."""

    @classmethod
    def of(cls, numbers: Sequence[int]) -> SegmentRef:
        """Return the reference of three numbers, or of four with a process id.

        Raises
        ------
        ValueError
            They are none.
        """
        if len(numbers) not in (3, 4) or not all(type(n) is int and n >= 0 for n in numbers):
            raise ValueError("a segment is named by descriptor, stamp and size")
        ref = cls(*numbers)
        if not 0 < ref.nbytes <= MAX_FRAME_BYTES:
            raise ValueError(f"a segment of {ref.nbytes} bytes")
        return ref


@dataclass(frozen=True, slots=True)
class Carried:
    """A segment to be sent as bytes, to a peer that is to keep and lend it."""

    segment: Segment


@dataclass(frozen=True, slots=True)
class Keep:
    """Bytes that have come, and are to be kept in a segment and lent to others."""

    buffer: Any


class Segment(Unread):
    """A segment that this process has open; it is let go with the last reference to this object.

    Parameters
    ----------
    owned
        The descriptor of the open memory file, which this object closes, unless it is not in the
        list any more.
    stamp, nbytes
        Its identity and its size.
    """

    __slots__ = ("__weakref__", "descriptor", "nbytes", "stamp")

    def __init__(self, owned: list[int], stamp: int, nbytes: int) -> None:
        self.descriptor = descriptor = owned[0]
        self.stamp = stamp
        self.nbytes = nbytes
        close_with(self, owned, map(_held.pop, (descriptor,), (0,)))
        _held[descriptor] = nbytes

    def __repr__(self) -> str:
        return f"<Segment of {self.nbytes} bytes>"

    @property
    def ref(self) -> SegmentRef:
        """What to call it in a message of this process."""
        return SegmentRef(self.descriptor, self.stamp, self.nbytes)

    def view(self) -> memoryview:
        """Map it to be read, for whoever has to be sent the bytes."""
        return memoryview(self._map()).toreadonly()

    def read(self, start: int, nbytes: int) -> bytes:
        """Copy a part of it, which is not mapped."""
        data = os.pread(self.descriptor, nbytes, start)
        if len(data) < nbytes:
            raise SegmentLost(f"of {nbytes} bytes at {start}, {len(data)} are there")
        return data

    def read_into(self, place: memoryview, start: int) -> None:
        """Copy a part of it, which is not mapped, to a place of the part's size."""
        found = os.preadv(self.descriptor, [place], start)
        if found < place.nbytes:
            raise SegmentLost(f"of {place.nbytes} bytes at {start}, {found} are there")

    def private(self) -> memoryview:
        """Map it to be used: what is written stays here, in pages of our own.

        Raises
        ------
        SegmentLost
            There is no room for it.
        """
        place = self._map()
        remember(place, self)
        return memoryview(place)

    def _map(self) -> mmap.mmap:
        try:
            return map_file(self.descriptor, self.nbytes, mmap.MAP_PRIVATE)
        except OSError as error:
            raise SegmentLost(
                f"a segment of {self.nbytes} bytes cannot be mapped: {error.strerror}"
            ) from error


def close_with(owner: object, owned: list[int], *first: Iterator[object]) -> None:
    """Have the only descriptor of a list closed when an object goes, if it is still in the list.

    It is done by C code alone. A signal's handler that raised in a `__del__` would be dropped, and
    Ctrl-C with it; so the steps are an iterator, and the callback takes its only item.
    """
    steps = zip(*first, map(os.close, owned), map(list.clear, (owned,)), strict=False)
    _closers[owned[0]] = weakref.ref(owner, partial(next, steps))


def share(
    buffer: memoryview, most: int = SEGMENTS, size: int = SHARED_BYTES
) -> Segment | None:
    """Copy a buffer into a segment.

    Parameters
    ----------
    buffer
        The bytes.
    most, size
        How many segments, and bytes in them, this process may have open together.

    Returns
    -------
    Segment or None
        None where there are no segments, no room for one, or too many already.
    """
    if not AVAILABLE or not has_room(buffer.nbytes, most, size):
        return None
    owned: list[int] = []
    try:
        # Into the list in one step: no exception of a signal's handler comes between.
        owned.extend(map(os.memfd_create, (NAME,), (os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING,)))
        fill(owned[0], buffer)
        fcntl.fcntl(owned[0], fcntl.F_ADD_SEALS, FIXED_SIZE | fcntl.F_SEAL_WRITE)
        return Segment(owned, new_stamp(owned[0]), buffer.nbytes)
    except OSError:
        close(owned)
        return None
    except BaseException:  # Ctrl-C
        close(owned)
        raise


class Draft:
    """A segment that is written piece by piece.

    Parameters
    ----------
    nbytes
        How large it will be.

    Raises
    ------
    OSError
        There is no descriptor for it.
    """

    __slots__ = ("__weakref__", "_nbytes", "_owned")

    def __init__(self, nbytes: int) -> None:
        self._nbytes = nbytes
        self._owned: list[int] = []
        flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
        self._owned.extend(map(os.memfd_create, (NAME,), (flags,)))
        close_with(self, self._owned)

    def write(self, chunk: Any) -> None:
        """Add to its end; OSError where memory has run out."""
        fill(self._owned[0], memoryview(chunk))

    def finish(self) -> Segment:
        """Seal it, and return it."""
        descriptor = self._owned[0]
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, FIXED_SIZE | fcntl.F_SEAL_WRITE)
        number = new_stamp(descriptor)
        # In one step: the descriptor has one owner at any time, and is closed once.
        owned: list[int] = []
        owned.append(self._owned.pop())
        return Segment(owned, number, self._nbytes)


def fill(descriptor: int, buffer: memoryview) -> None:
    """Write a memory file.

    It is not written through a mapping: where memory has run out this fails, and does not kill.
    """
    written = 0
    while written < buffer.nbytes:
        written += os.write(descriptor, buffer[written : written + _PORTION])


def new_stamp(descriptor: int) -> int:
    """Give a memory file an identity that no other has, nor had; return it."""
    number = int.from_bytes(os.urandom(8), "little") >> 2
    os.utime(descriptor, ns=(number, number))
    return number


def close(owned: list[int]) -> None:
    """Close the descriptors of a list."""
    while owned:
        os.close(owned.pop())


def borrow(pid: int, ref: SegmentRef) -> Segment:
    """Open a segment that another process lends.

    It is opened by what the kernel says of it alone: a memory file of our user's, of the size that
    was told, which nobody can change or shorten any more.

    Raises
    ------
    SegmentLost
        There is no such segment, or none that we may open.
    """
    path = f"/proc/{pid}/fd/{ref.descriptor}"
    owned: list[int] = []
    try:
        if not os.readlink(path).startswith(_LINK):
            raise SegmentLost(f"descriptor {ref.descriptor} of process {pid} is no segment")
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
        owned.extend(map(os.open, (path,), (flags,)))  # in one step, as in `share`
    except OSError as error:
        raise SegmentLost(
            f"the segment of {ref.nbytes} bytes that process {pid} lent cannot be opened: "
            f"{error.strerror}"
        ) from error
    try:
        _check(owned[0], ref)
        return Segment(owned, ref.stamp, ref.nbytes)
    except BaseException:
        close(owned)
        raise


def read_proof(pid: int, ref: SegmentRef) -> bytes:
    """Read a small segment whose content proves that we can read what a process lends.

    Raises
    ------
    SegmentLost
        We cannot.
    """
    lent = borrow(pid, ref)  # by name: it is closed with its last reference
    return os.pread(lent.descriptor, PROOF_BYTES, 0)


def count_held() -> int:
    """Return how many segments this process has open."""
    return len(_held)


def nbytes_of(buffer: Any) -> int:
    """Return the bytes of a buffer or a segment."""
    if type(buffer) is Segment:
        return buffer.nbytes
    return buffer.segment.nbytes if type(buffer) is Carried else memoryview(buffer).nbytes


def node_name() -> str:
    """Name what shares processes and their memory with us; empty where that cannot be told."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}:{os.stat('/proc/self/ns/pid').st_ino}:{this_uid()}"
    except OSError:
        return ""


# ---------------------------------------------------------------- the system


def has_room(nbytes: int, most: int, size: int) -> bool:
    """Tell whether so many more bytes may be kept for others; what is only remembered counts not."""
    if nbytes < SEGMENT_BYTES:  # a proof: there are few
        return True
    known = {origin.descriptor: 0 for origin in remembered()}
    held = {**_held.copy(), **known}
    return len(held) - len(known) < most and nbytes + sum(held.values()) <= size


def _check(descriptor: int, ref: SegmentRef) -> None:
    found = os.fstat(descriptor)
    try:
        seals = fcntl.fcntl(descriptor, fcntl.F_GET_SEALS)
    except OSError:  # no memory file
        seals = 0
    if (
        not seals & (fcntl.F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)
        or seals & FIXED_SIZE != FIXED_SIZE
        or not stat.S_ISREG(found.st_mode)
        or found.st_uid != this_uid()
        or found.st_mtime_ns != ref.stamp
        or found.st_size < ref.nbytes
    ):
        raise SegmentLost(
            f"descriptor {ref.descriptor} is another segment than the one of {ref.nbytes} bytes "
            "that was lent, which has been let go since"
        )
