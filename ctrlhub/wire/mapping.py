"""Memory files in the place of anonymous memory: mapped without a descriptor for each."""

from __future__ import annotations

import mmap
import os
from functools import cache
from typing import Any

from ctrlhub.wire.untouched import address_of

_MAP_FIXED = 0x10


def map_file(descriptor: int, nbytes: int, kind: int) -> mmap.mmap:
    """Map a memory file, privately or shared.

    Python's own keeps a descriptor for each mapping, of which a process has few; so the file takes
    the place of anonymous memory whose mapping is then kept.
    """
    place = mmap.mmap(-1, nbytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    _map_over(place, descriptor, kind)
    return place


def _map_over(place: mmap.mmap, descriptor: int, kind: int) -> None:
    """Map a memory file where something is mapped already."""
    import ctypes

    function, address = _system_mmap(), address_of(place)
    protection, flags = mmap.PROT_READ | mmap.PROT_WRITE, kind | _MAP_FIXED
    if function(address, len(place), protection, flags, descriptor, 0) in (None, ctypes.c_void_p(-1).value):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


@cache
def _system_mmap() -> Any:
    import ctypes

    function = ctypes.CDLL(None, use_errno=True).mmap
    function.restype = ctypes.c_void_p
    function.argtypes = [
        ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long,
    ]  # fmt: skip
    return function
