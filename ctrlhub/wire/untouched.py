"""Arrays that still are what was received: they are handed on as the segment that they came in.

An array that came in a segment is a private mapping of it. As long as nobody has written to it, its
pages are the segment's own, and the kernel says so (``/proc/self/pagemap``); so to send it there is
nothing to copy. Where the kernel does not say, or anything is in doubt, it is copied.
"""

from __future__ import annotations

import mmap
import os
import weakref
from functools import cache, partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ctrlhub.wire.segments import Segment

REMEMBERED = 64
"""Of so many mappings it is known where they came from: each takes a descriptor."""

WORTH_BYTES = 1024 * 1024
"""A smaller array is as soon copied (bytes)."""

_ENTRY_BYTES = 8
_TOP_BYTE = 7

_SWAPPED, _OF_FILE, _PRESENT = 0x40, 0x20, 0x80
"""Bits of an entry's highest byte."""

_CLEAN = bytes(
    byte for byte in range(256) if not byte & _SWAPPED and (not byte & _PRESENT or byte & _OF_FILE)
)
"""What that byte is for a page that is not mapped yet, or is the file's own."""

_origins: dict[int, tuple[Segment, weakref.ref[mmap.mmap]]] = {}
"""The segments that are mapped privately, by address."""


def remember(place: mmap.mmap, segment: Segment) -> None:
    """Remember what a private mapping shows, for as long as it lasts."""
    if len(place) >= WORTH_BYTES and len(_origins) < REMEMBERED:
        address = address_of(place)
        # The callback is C code alone, as in `segments.close_with`. It comes before the unmapping, so
        # nothing else can stand at this address while it is remembered.
        _origins[address] = segment, weakref.ref(place, partial(_origins.pop, address))


def remembered() -> list[Segment]:
    """Return the segments that are open only to be handed on perhaps."""
    return [segment for segment, _ in _origins.copy().values()]


def origin_of(buffer: memoryview) -> Segment | None:
    """Return the segment whose content a buffer is; None where it is none, or not any more."""
    if not _origins or buffer.nbytes < WORTH_BYTES:
        return None
    address = address_of(buffer)
    segment, _ = _origins.get(address, (None, None))
    if segment is None or segment.nbytes != buffer.nbytes:
        return None
    return segment if _can_be_told() and _is_clean(address, buffer.nbytes) else None


def address_of(buffer: Any) -> int:
    """Return where a buffer stands in memory, which may be read-only."""
    import ctypes

    # A Py_buffer begins with the address; what follows is of no interest, but needs room.
    view = (ctypes.c_void_p * 16)()
    ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(buffer), ctypes.byref(view), 0)
    address = view[0]
    ctypes.pythonapi.PyBuffer_Release(ctypes.byref(view))
    return address or 0


def _is_clean(address: int, nbytes: int) -> bool:
    """Tell whether no page of a private mapping was written to."""
    first, last = address // mmap.PAGESIZE, (address + nbytes - 1) // mmap.PAGESIZE
    wanted = (last - first + 1) * _ENTRY_BYTES
    try:
        with open("/proc/self/pagemap", "rb", buffering=0) as pagemap:
            pagemap.seek(first * _ENTRY_BYTES)
            entries = b"".join(_parts(pagemap, wanted))
    except OSError:
        return False
    return len(entries) == wanted and not entries[_TOP_BYTE::_ENTRY_BYTES].translate(None, _CLEAN)


def _parts(pagemap: Any, wanted: int) -> list[bytes]:
    parts: list[bytes] = []
    while wanted > 0 and (part := pagemap.read(wanted)):
        parts.append(part)
        wanted -= len(part)
    return parts


@cache
def _can_be_told() -> bool:
    """Try it out: some systems have the file, and nothing in it that one could rely on."""
    size = 2 * mmap.PAGESIZE
    try:
        descriptor = os.memfd_create("ctrlhub-pages", os.MFD_CLOEXEC)
    except OSError:
        return False
    try:
        os.write(descriptor, bytes(size))
        place = mmap.mmap(descriptor, size, flags=mmap.MAP_PRIVATE)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    address = address_of(place)
    was_clean = place[0] == 0 and _is_clean(address, size)
    place[mmap.PAGESIZE] = 1
    return was_clean and _is_clean(address, mmap.PAGESIZE) and not _is_clean(address, size)
