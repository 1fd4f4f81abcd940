"""Sleeping without the link's lock, so that another thread can send meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from threading import RLock
from typing import TypeVar

A = TypeVar("A")
R = TypeVar("R")


def asleep(lock: RLock, wait: Callable[[A], R], timeout: A) -> R:
    """Return ``wait(timeout)``, letting go of the lock meanwhile if this thread holds it."""
    try:
        lock.release()
    except RuntimeError:  # the link is used without a loop, by one thread alone
        return wait(timeout)
    try:
        return wait(timeout)
    finally:
        lock.acquire()
