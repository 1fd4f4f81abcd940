"""Functions by hash, at a client: each is named by a digest of its serialized form.

So an engine needs the form of a function once, and a client that maps a function a thousand times
need not serialize it a thousand times, as long as the form would come out the same. It is only used
again when nothing it depends on can have changed, which is when

- the other side imports the function by name, and the name still means this function; or
- a `Snapshot` of it still holds.

Anything else (partials, bound methods, instances, functions that use a list …) is serialized anew
for every call. That is never wrong; and an unchanged form has the same digest and is not sent again.

A cache may be used by several threads. It has no lock: an entry is complete and immutable before it
is stored, storing and looking up are single operations of a dict, and the worst a race can cost is
to serialize a function twice.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from types import BuiltinFunctionType, FunctionType
from typing import Any, TypeAlias

from ctrlhub.wire.each_row import EachRow
from ctrlhub.wire.naming import is_importable
from ctrlhub.wire.serialize import dumps_inline
from ctrlhub.wire.snapshot import Snapshot, cells_of, snapshot_of

DIGEST_BYTES = 16
MAX_ENTRIES = 256
MAX_BYTES = 64 * 1024 * 1024
"""Limits of a cache, which keeps what its functions refer to alive. The oldest entries go first."""

Encoded: TypeAlias = tuple[bytes, bytes]
"""(digest, serialized form)."""


def digest_of(blob: bytes) -> bytes:
    """Name a serialized form."""
    return blake2b(blob, digest_size=DIGEST_BYTES).digest()


def encode(f: Callable[..., Any] | EachRow) -> Encoded:
    """Serialize a function and name it, without a cache.

    Raises
    ------
    SerializationError
        It cannot be pickled; the message names the global, default or variable that cannot.
    """
    called = f.function if isinstance(f, EachRow) else f
    name = getattr(called, "__qualname__", None) or type(called).__qualname__
    blob = dumps_inline(f, f"the function {name}")
    return digest_of(blob), blob


class FunctionCache:
    """The serialized forms of functions that were used before."""

    def __init__(self, max_entries: int = MAX_ENTRIES, max_bytes: int = MAX_BYTES) -> None:
        self._entries: dict[Any, _Named | _Remembered] = {}
        self._max_entries = max_entries
        self._max_bytes = max_bytes

    def __len__(self) -> int:
        return len(self._entries)

    def encode(self, f: Callable[..., Any] | EachRow) -> Encoded:
        """Give the digest and the serialized form of a function, as it is now.

        Raises
        ------
        SerializationError
            It cannot be pickled.
        """
        if type(f) is FunctionType:
            plain = f.__defaults__ is None and f.__closure__ is None
            key: Any = id(f.__code__) if plain else _key(f)
        elif type(f) is BuiltinFunctionType or isinstance(f, type):
            key = id(f)
        else:
            return encode(f)
        entry = self._entries.get(key)
        if entry is not None and entry.holds_for(f):
            return entry.encoded
        return self._encode_anew(f, key)

    def _encode_anew(self, f: Callable[..., Any], key: object) -> Encoded:
        if is_importable(f):
            encoded = encode(f)
            self._store(key, _Named(f, encoded))
            return encoded
        if not isinstance(f, FunctionType):
            return encode(f)
        # Taken before and compared after, lest a thread changes something in between.
        snapshot = snapshot_of(f)
        encoded = encode(f)
        if snapshot is not None and snapshot.holds_for(f):
            self._store(key, _Remembered(snapshot, encoded))
        return encoded

    def _store(self, key: object, entry: _Named | _Remembered) -> None:
        self._entries.pop(key, None)
        self._entries[key] = entry
        entries = list(self._entries.items())
        size = sum(len(entry.encoded[1]) for _, entry in entries)
        for position, (old, entry) in enumerate(entries):
            if size <= self._max_bytes and len(entries) - position <= self._max_entries:
                break
            self._entries.pop(old, None)
            size -= len(entry.encoded[1])


class _Named:
    """A function or class that the other side imports by name."""

    __slots__ = ("_function", "encoded")

    def __init__(self, function: Callable[..., Any], encoded: Encoded) -> None:
        self._function = function
        self.encoded = encoded

    def holds_for(self, function: Callable[..., Any]) -> bool:
        return function is self._function and is_importable(function)


class _Remembered:
    """A function that is sent by value."""

    __slots__ = ("encoded", "holds_for")

    def __init__(self, snapshot: Snapshot, encoded: Encoded) -> None:
        self.holds_for: Callable[[Any], bool] = snapshot.holds_for
        self.encoded = encoded


def _key(function: FunctionType) -> object:
    """Find entries by code, defaults and cells: a lambda in a loop is a new function each time.

    An entry holds these very objects, so that no other can have the same id while it is stored.
    """
    defaults, closure = function.__defaults__, function.__closure__
    if defaults is None and closure is None:
        return id(function.__code__)
    return (id(function.__code__), *map(id, defaults or ()), *map(id, cells_of(function)))
