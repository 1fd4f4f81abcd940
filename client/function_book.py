"""The functions that a client has used, each as one object, which knows where it was sent."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any
from weakref import WeakValueDictionary

from ctrlhub.client.requests import Function
from ctrlhub.wire.functions import FunctionCache
from ctrlhub.wire.limits import INLINE_BYTES

RECENT = 256
"""So many functions stay without a request that needs them, unless they are large: who calls one
after the other does not send it each time."""


def name_of(f: Callable[..., Any]) -> str:
    """Return what to call a callable."""
    name = getattr(f, "__name__", None)
    return name if isinstance(name, str) else type(f).__name__


class FunctionBook:
    """Functions by digest, for any thread.

    Two threads that use a function for the first time at once may get two objects for it, and send
    it twice, which is harmless.
    """

    def __init__(self) -> None:
        self._cache = FunctionCache()
        self._known: WeakValueDictionary[bytes, Function] = WeakValueDictionary()
        self._recent: deque[Function] = deque(maxlen=RECENT)
        self.encode = self._cache.encode

    def function(self, f: Callable[..., Any]) -> Function:
        """Return a function as it is now.

        Raises
        ------
        TypeError
            It cannot be called.
        SerializationError
            It cannot be pickled.
        """
        if not callable(f):
            raise TypeError(f"a function is needed, not {type(f).__name__}")
        return self.of(*self.encode(f))

    def of(self, digest: bytes, blob: bytes) -> Function:
        """Return the object for a serialized function."""
        known = self._known.get(digest)
        if known is None:
            known = self._known[digest] = Function(digest, blob)
            if len(blob) <= INLINE_BYTES:
                self._recent.append(known)
        return known
