"""The shared memory that this process has open."""

from __future__ import annotations

import os
from contextlib import suppress


def memory_files() -> set[str]:
    """Name the memory files this process has open.

    Other descriptors are no affair of who tests shared memory: what other tests have left in this
    process may be closed at any moment.
    """
    found = set()
    for descriptor in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            path = f"/proc/self/fd/{descriptor}"
            if "memfd:" in os.readlink(path):
                found.add(f"{descriptor}: {os.stat(path).st_ino}")
    return found
