"""The same done with several things at once: also while the interpreter ends, which starts no thread then."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

_MOST_AT_ONCE = 32


def at_once(things: Sequence[T], do: Callable[[T], R]) -> list[R]:
    """Do something with each thing at the same time, one by one where that cannot be; return the results."""

    def begin(thing: T) -> Callable[[], R]:
        try:
            return pool.submit(do, thing).result
        except RuntimeError:  # the interpreter is ending
            return partial(do, thing)

    if len(things) < 2:
        return [do(each) for each in things]
    with ThreadPoolExecutor(min(len(things), _MOST_AT_ONCE)) as pool:
        return [result() for result in [begin(each) for each in things]]
