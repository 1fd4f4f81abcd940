"""The same done with several things at once: also while the interpreter ends, which starts no thread then."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

_MOST_AT_ONCE = 32


def at_once(
    things: Sequence[T], do: Callable[[T], R], given_up: threading.Event | None = None
) -> list[R]:
    """Do something with each thing at the same time, one by one where that cannot be; return the results.

    Where that fails, or is interrupted, `given_up` is set for those that are still at work.
    """

    def begin(thing: T) -> Callable[[], R]:
        try:
            return pool.submit(do, thing).result
        except RuntimeError:  # the interpreter is ending
            return partial(do, thing)

    if len(things) < 2:
        return [do(each) for each in things]
    with ThreadPoolExecutor(min(len(things), _MOST_AT_ONCE)) as pool:
        try:
            return [result() for result in [begin(each) for each in things]]
        except BaseException:
            if given_up is not None:
                pool.shutdown(wait=False, cancel_futures=True)
                given_up.set()
            raise
