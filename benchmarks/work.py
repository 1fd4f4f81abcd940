"""The functions that engines run: importable on both sides, so every peer sends them by name."""

from __future__ import annotations

import functools
import os
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[np.float64]]


def nap(seconds: float) -> None:
    """Do nothing for a while. A function of Python's own, since not every peer takes a builtin."""
    time.sleep(seconds)


def noop(*_: object) -> None:
    """Nothing: what is left is the cost of having it done elsewhere."""


def pid() -> int:
    """Return the number of the process that runs this."""
    return os.getpid()


def pid_after(seconds: float) -> int:
    """Hold the engine for a moment, so that the next task goes to another."""
    time.sleep(seconds)
    return os.getpid()


@functools.lru_cache(maxsize=1)
def sample(nbytes: int) -> Array:
    """Return an array made once for each process, so that fetching it costs the transfer alone."""
    import numpy as np

    return np.arange(nbytes // 8, dtype=np.float64)


def swallow(array: Array) -> int:
    """Take an array and return how large it was."""
    return array.nbytes
