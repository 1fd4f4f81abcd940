"""The functions that an engine has, by digest."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from ctrlhub.engine.work import Function, Supplied
from ctrlhub.wire.codec import resolve, size_of
from ctrlhub.wire.ids import select
from ctrlhub.wire.messages import Payload, RunTasks, TemplateRow

MOST_FUNCTIONS = 4096
MOST_BYTES = 256 * 1024 * 1024
"""Beyond so many functions, or so much of them, the ones unused for longest are forgotten."""


class FunctionStore:
    """Functions by digest, bounded by number and size.

    Work refers to a `Function` itself, so forgetting one here takes it from nobody; the hub sends
    it again when it is asked.
    """

    def __init__(self, most: int = MOST_FUNCTIONS, most_bytes: int = MOST_BYTES) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._functions: OrderedDict[bytes, Function] = OrderedDict()
        self._sizes: dict[bytes, int] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._functions)

    def learn(self, functions: Iterable[tuple[bytes, Payload]]) -> None:
        """Take functions that came."""
        for digest, blob in functions:
            function = self.get(digest)
            if function.blob is None:
                function.blob = blob
                size = size_of(blob)
                self._sizes[digest] = size
                self._bytes += size
        while self._bytes > self._most_bytes and len(self._functions) > 1:
            self._forget()

    def get(self, digest: bytes) -> Function:
        """Return a function; its `blob` is None if it has not come."""
        function = self._functions.get(digest)
        if function is None:
            function = self._functions[digest] = Function(digest)
            if len(self._functions) > self._most:
                self._forget()
        else:
            self._functions.move_to_end(digest)
        return function

    def called_by(self, row: TemplateRow, message: RunTasks) -> Function | Supplied:
        """Return what tasks of a template call; the values that they need are in the message."""
        function = self.get(row[0])
        if len(row) < 5 or not message.values:
            return function
        refs = dict(message.values)
        wanted = select(row[4].get("arguments", ()), refs)
        return Supplied(function, {n: resolve(refs[n], message.frames) for n in wanted})

    def _forget(self) -> None:
        digest, _ = self._functions.popitem(last=False)
        self._bytes -= self._sizes.pop(digest, 0)
