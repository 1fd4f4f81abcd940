"""What was said of a function that could not be loaded.

There may be a hundred thousand tasks of it, and to try again, and to describe what came of it, takes
much longer than such a task is worth to anybody else who waits.
"""

from __future__ import annotations

from time import perf_counter

from ctrlhub.engine.work import Function
from ctrlhub.wire.messages import Payload

AGAIN = 0.1
"""So long (seconds) its tasks fail with the same error; then, and after any command or another function,
it is tried again."""


class NotLoaded(Exception):
    """A function cannot be loaded, which was tried and described a moment ago."""

    def __init__(self, failure: Payload) -> None:
        super().__init__()
        self.failure = failure


class Unloadable:
    """The last function that could not be loaded, for a moment.

    Attributes
    ----------
    function
        The function; None if there is none.
    """

    __slots__ = ("_failure", "_until", "function")

    def __init__(self) -> None:
        self.function: Function | None = None
        self._failure: Payload = b""
        self._until = 0.0

    def check(self, function: Function) -> None:
        """Raise `NotLoaded` for a function that was tried a moment ago."""
        if function is self.function and perf_counter() < self._until:
            raise NotLoaded(self._failure)

    def note(self, function: Function, failure: Payload) -> None:
        """Take note of what came of loading a function."""
        self.function, self._failure = function, failure
        self._until = perf_counter() + AGAIN

    def forget(self) -> None:
        """Have it tried again."""
        self.function, self._failure = None, b""
