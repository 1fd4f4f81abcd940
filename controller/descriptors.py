"""Whether this process has file descriptors for further peers.

ZeroMQ ends the process when it accepts a connection and there is none. So peers are refused while
there are still some: for those that are here and connect anew, for files, and for those refused.
"""

from __future__ import annotations

import os
import resource

LEAST_SPARE, MOST_SPARE = 32, 1024
"""So many are kept free, and an eighth of all in between."""

_OPEN = "/proc/self/fd"


def why_full() -> str:
    """Say why no further peer can be let in; empty where one can."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return ""
    spare = min(max(LEAST_SPARE, limit // 8), MOST_SPARE)
    try:
        used = _lowest_free()
    except OSError:
        used = limit
    if 2 * used > limit:  # near enough to count, which takes time
        used = _count(used)
    if used + spare <= limit:
        return ""
    return (
        f"the hub has {used} of {limit} file descriptors in use, and keeps the rest for those who are "
        "here: raise its `ulimit -n`, or close clients that nobody needs"
    )


def _lowest_free() -> int:
    descriptor = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    os.close(descriptor)
    return descriptor


def _count(lowest_free: int) -> int:
    try:
        return len(os.listdir(_OPEN))
    except OSError:  # another system, or there is none left to look with
        return lowest_free
