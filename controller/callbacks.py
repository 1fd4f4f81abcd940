"""Callbacks: who is told of an event, in which order, and what happens when one fails."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

log = logging.getLogger(__name__)

Callback: TypeAlias = Callable[..., object]


def call_back(
    f: Callback, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
) -> None:
    """Call ``f``; what goes wrong in there is logged: it is not the caller's failure."""
    try:
        f(*args, **(kwargs or {}))
    except (Exception, SystemExit):
        log.exception("callback %r failed", f)


@dataclass(frozen=True, eq=False, slots=True)  # each addition is its own, also of the same f
class Listener:
    """One addition of a callback."""

    f: Callback
    include_id: bool
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def tell(self, id: int) -> None:
        """Call back about the engine with this id."""
        call_back(self.f, (id, *self.args) if self.include_id else self.args, self.kwargs)


class Listeners:
    """Those who hear of one kind of event, in the order in which they were added."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def add(self, listener: Listener) -> None:
        """Let one more hear of it."""
        self._listeners.append(listener)

    def remove(self, f: Callback) -> None:
        """Forget the first addition of ``f``, if there is one."""
        first = next((listener for listener in self._listeners if listener.f == f), None)
        if first is not None:
            self._listeners.remove(first)

    def now(self) -> tuple[Listener, ...]:
        """Those who listen at this moment."""
        return tuple(self._listeners)

    def __contains__(self, listener: Listener) -> bool:
        return listener in self._listeners


class Announcer:
    """Tells events one after the other: the next when everyone has heard of the one before.

    An event announced from within a callback waits its turn, so that all listeners hear of the
    same events in the same order. Who was listening when it happened hears of it, unless removed
    by then.

    Parameters
    ----------
    after_each
        Called when everyone has heard of an event.
    """

    def __init__(self, after_each: Callable[[], None]) -> None:
        self._after_each = after_each
        self._waiting: deque[tuple[Listeners, tuple[Listener, ...], int]] = deque()
        self._telling = False

    def announce(self, listeners: Listeners, id: int) -> None:
        """Tell the listeners about the engine with this id, now or in turn."""
        self._waiting.append((listeners, listeners.now(), id))
        if self._telling:
            return
        self._telling = True
        try:
            while self._waiting:
                self._tell(*self._waiting.popleft())
                self._after_each()
        finally:
            self._telling = False

    @staticmethod
    def _tell(listeners: Listeners, audience: tuple[Listener, ...], id: int) -> None:
        for listener in audience:
            if listener in listeners:
                listener.tell(id)


@dataclass(frozen=True, eq=False, slots=True)
class Waiter:
    """A callback for when a number is reached."""

    n: int
    f: Callback
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class Waiters:
    """Those who wait for a number of engines; each is called once."""

    def __init__(self) -> None:
        self._waiters: list[Waiter] = []

    def add(self, waiter: Waiter) -> None:
        """Let one more wait."""
        self._waiters.append(waiter)

    def reached(self, count: int) -> None:
        """Call everyone who waits for so many, or fewer, in the order in which they came."""
        ready = [waiter for waiter in self._waiters if waiter.n <= count]
        self._waiters = [waiter for waiter in self._waiters if waiter.n > count]
        for waiter in ready:
            call_back(waiter.f, waiter.args, waiter.kwargs)
