"""Whether this process has file descriptors for further peers.

ZeroMQ ends the process when it accepts a connection and there is none. So peers are refused while
there are still some: for those that are here and connect anew, for files, and for those refused.
"""

from __future__ import annotations

import os

from ctrlhub.controller.descriptor_limit import UNLIMITED, descriptor_limit

LEAST_SPARE, MOST_SPARE = 32, 1024
"""So many are kept free, and an eighth of all in between."""

PEER = 16
"""With room for so many descriptors one peer more is let in before they are counted again."""

_OPEN = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"


class DescriptorRoom:
    """Whether there is room for further peers.

    To count descriptors takes time that grows with their number, so it is not done for each peer:
    the more there are left, the more peers may come before the next time.
    """

    def __init__(self) -> None:
        self._limit = 0
        self._uncounted = 0

    def why_full(self) -> str:
        """Say why no further peer can be let in; empty where one can."""
        before, self._limit = self._limit, descriptor_limit()
        limit = self._limit
        if limit == UNLIMITED:
            return ""
        if self._uncounted > 0 and limit == before:
            self._uncounted -= 1
            return ""
        used = _count(limit)
        room = limit - used - min(max(LEAST_SPARE, limit // 8), MOST_SPARE)
        if room >= 0:
            self._uncounted = room // PEER
            return ""
        return (
            f"the hub has {used} of {limit} file descriptors in use, and keeps the rest for those who "
            "are here: raise its `ulimit -n`, or close clients that nobody needs"
        )


def _count(limit: int) -> int:
    try:
        return len(os.listdir(_OPEN))
    except OSError:  # there is none left to look with
        return limit
