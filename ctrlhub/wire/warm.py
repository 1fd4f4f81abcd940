"""Warm segments: memory that was shared once is used again, once everybody has let go of it.

Most of the time that it takes to fill a new segment goes into getting its pages from the kernel, which
clears each of them first. So who lends much keeps a few of its segments mapped, and writes the next
data into one that nobody else has open or mapped any more.

The kernel knows who has: it grants a *write lease* on a file only where nobody else has it open, and a
mapping counts. While the lease is held nobody can open the file, and in that time it loses its stamp;
so a reference to what it held leads nowhere from then on, however late somebody tries.

Such a segment is sealed against what anybody writes later, but for the mapping that its maker has had
before (``F_SEAL_FUTURE_WRITE``). Where a system knows none of this, each segment is a new one.
"""

from __future__ import annotations

import mmap
import os
import signal
import sys
from collections import deque
from contextlib import suppress

from ctrlhub.wire.errors import SegmentLost
from ctrlhub.wire.limits import SEGMENTS, SHARED_BYTES
from ctrlhub.wire.mapping import map_file
from ctrlhub.wire.segments import (
    AVAILABLE,
    F_SEAL_FUTURE_WRITE,
    FIXED_SIZE,
    NAME,
    Segment,
    SegmentRef,
    borrow,
    close,
    close_with,
    fill,
    has_room,
    new_stamp,
    share,
)
from ctrlhub.wire.untouched import address_of

if sys.platform == "linux":
    import fcntl

WARM_SEGMENTS = 16
"""The most segments that a client or engine keeps to use them again."""

WARM_BYTES = 512 * 1024 * 1024
"""The most bytes in them; a larger buffer gets a new segment each time."""

WARM_SECONDS = 10.0
"""How long (seconds) one is kept that is not used."""

LEAST_BYTES = 512 * 1024
"""A smaller buffer (bytes) gets a new segment: there is little to be won."""

_POPULATE_WRITE = 23
"""Maps all pages at once (``MADV_POPULATE_WRITE``), in a fifth of the time. Python does not name it."""

MOST_WASTE = 1.25
"""So many times larger than what it holds a segment may be."""

_PORTION = 64 * 1024 * 1024
"""So much is copied (bytes) before a signal's handler has its turn."""


class _Warm:
    """A segment of ours that is mapped to be written, and the only way to write it."""

    __slots__ = ("__weakref__", "descriptor", "is_populated", "nbytes", "owner", "place", "since")

    def __init__(self, owned: list[int], place: mmap.mmap) -> None:
        self.descriptor = owned[0]
        self.nbytes = len(place)
        self.owner = os.getpid()
        self.place = place
        self.is_populated = False
        self.since: float | None = None
        close_with(self, owned)

    def take(self) -> bool:
        """Have it for ourselves alone, if nobody else has it open; what referred to it is void."""
        try:
            fcntl.fcntl(self.descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        except OSError:
            return False
        try:
            new_stamp(self.descriptor)
        finally:
            fcntl.fcntl(self.descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        return True

    def write(self, buffer: memoryview) -> None:
        import ctypes

        if not self.is_populated:
            self.is_populated = True
            with suppress(OSError):  # an older kernel maps each page when it is written
                self.place.madvise(_POPULATE_WRITE)
        # Other threads run meanwhile, and signals' handlers between the portions.
        source, target = address_of(buffer), address_of(self.place)
        for at in range(0, buffer.nbytes, _PORTION):
            ctypes.memmove(target + at, source + at, min(_PORTION, buffer.nbytes - at))

    def lend(self, nbytes: int) -> Segment:
        """Open it once more, to be read: as long as this is open, or mapped, it is in use."""
        ref = SegmentRef(self.descriptor, new_stamp(self.descriptor), nbytes)
        return borrow(self.owner, ref)


_warm: deque[_Warm] = deque()
"""The least recently used first. Who uses one takes it out meanwhile, which is one step: no lock."""


def share_warm(buffer: memoryview, most: int = SEGMENTS, size: int = SHARED_BYTES) -> Segment | None:
    """Copy a buffer into a segment, in memory that is used again; as `segments.share`."""
    if not AVAILABLE or not LEAST_BYTES <= buffer.nbytes <= WARM_BYTES:
        return share(buffer, most, size)
    if not has_room(buffer.nbytes, most, size):
        return None
    warm = _free(buffer.nbytes)
    try:
        if warm is None:
            warm = _new(buffer)
        else:
            warm.write(buffer)
        segment = warm.lend(buffer.nbytes)
    except (OSError, SegmentLost):
        return share(buffer, most, size)
    warm.since = None
    _warm.append(warm)
    _trim()
    return segment


def count_warm() -> int:
    """Return how many segments are kept to be used again."""
    return len(_warm)


def cool(now: float) -> None:
    """Let go of what has not been used for long; called every few seconds or less."""
    for warm in list(_warm):
        if warm.since is None:
            warm.since = now
        elif now - warm.since >= WARM_SECONDS:
            _remove(warm)


def discard() -> None:
    """Keep nothing to be used again."""
    _warm.clear()


def _free(nbytes: int) -> _Warm | None:
    """Take out a segment that fits and that nobody uses."""
    for warm in list(_warm):
        if warm.owner != os.getpid():  # its maker writes it, and we were forked from that
            _remove(warm)
        elif nbytes <= warm.nbytes <= nbytes * MOST_WASTE and _remove(warm):
            if warm.take():
                return warm
            _warm.append(warm)
    return None


def _remove(warm: _Warm) -> bool:
    """Take one out; False if another thread was quicker."""
    try:
        _warm.remove(warm)
    except ValueError:
        return False
    return True


def _new(buffer: memoryview) -> _Warm:
    owned: list[int] = []
    try:
        # Into the list in one step: no exception of a signal's handler comes between. Opened once
        # more, since the kernel does not count the first descriptor of a memory file as a writer.
        made: list[int] = []
        try:
            made.extend(map(os.memfd_create, (NAME,), (os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING,)))
            path = f"/proc/self/fd/{made[0]}"
            owned.extend(map(os.open, (path,), (os.O_RDWR | os.O_CLOEXEC,)))
        finally:
            close(made)
        fill(owned[0], buffer)
        place = map_file(owned[0], buffer.nbytes, mmap.MAP_SHARED)
        fcntl.fcntl(owned[0], fcntl.F_ADD_SEALS, FIXED_SIZE | F_SEAL_FUTURE_WRITE)
        # Who wants to open it during a lease is refused, and we are told, by a signal that is ignored
        # by default; the usual one ends a process.
        fcntl.fcntl(owned[0], fcntl.F_SETSIG, signal.SIGURG)
        return _Warm(owned, place)
    except BaseException:
        close(owned)
        raise


def _trim() -> None:
    while len(_warm) > WARM_SEGMENTS or sum(warm.nbytes for warm in list(_warm)) > WARM_BYTES:
        try:
            _warm.popleft()
        except IndexError:  # another thread has them
            return
