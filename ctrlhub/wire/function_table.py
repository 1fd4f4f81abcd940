"""Functions by hash, at an engine: what was sent once, ready to be called many times."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from ctrlhub.wire.errors import SerializationError
from ctrlhub.wire.functions import digest_of
from ctrlhub.wire.serialize import loads

MAX_FUNCTIONS = 1024


class FunctionTable:
    """The functions an engine knows, by digest; the least recently used one is forgotten first.

    A function that was sent by value has globals of its own, from where it was defined, and keeps
    them from call to call.

    Parameters
    ----------
    max_functions
        How many functions are kept.
    """

    def __init__(self, max_functions: int = MAX_FUNCTIONS) -> None:
        self._max_functions = max_functions
        # Serialized until its first use, and a callable from then on.
        self._functions: OrderedDict[bytes, bytes | Callable[..., Any]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._functions)

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._functions

    def add(self, digest: bytes, blob: bytes) -> None:
        """Take in a serialized function; it is not loaded before it is called.

        Raises
        ------
        SerializationError
            The digest is another function's.
        """
        if digest not in self._functions:
            blob = bytes(blob)
            if digest_of(blob) != digest:
                raise SerializationError("a function does not have the digest it was sent under")
            self._functions[digest] = blob
        self._functions.move_to_end(digest)
        while len(self._functions) > self._max_functions:
            self._functions.popitem(last=False)

    def get(self, digest: bytes) -> Callable[..., Any]:
        """Give a function, loaded at its first use.

        Raises
        ------
        KeyError
            It was never sent, or is forgotten: it must be sent again.
        ImportError
            A module it needs is missing on the engine. The next use tries again.
        SerializationError
            It cannot be rebuilt.
        """
        self._functions.move_to_end(digest)
        function = self._functions[digest]
        if isinstance(function, bytes):
            loaded: Callable[..., Any] = loads(function, "on the engine")
            function = self._functions[digest] = loaded
        return function
