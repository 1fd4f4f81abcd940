"""Sleeping without the link's lock, so that another thread can send meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from threading import RLock
from typing import Protocol, TypeVar

A = TypeVar("A")
R = TypeVar("R")


class Sleeper(Protocol):
    """What sleeps: a link."""

    lock: RLock
    sleeping: bool


def asleep(link: Sleeper, wait: Callable[[A], R], timeout: A) -> R:
    """Return ``wait(timeout)``, letting go of the lock meanwhile if this thread holds it."""
    lock = link.lock
    try:
        lock.release()
    except RuntimeError:  # the link is used without a loop, by one thread alone
        return wait(timeout)
    try:
        link.sleeping = True
        return wait(timeout)
    finally:
        link.sleeping = False
        lock.acquire()
