"""Functions by hash: what clients sent, and which engines have it.

A function lives here as long as a request needs it, and a little longer: the most recent ones stay,
so that a client that calls the same function again need not send it again. Whoever turns out to lack
one asks for it by digest.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from weakref import WeakValueDictionary

from ctrlhub.wire.codec import FrameList, resolve, size_of
from ctrlhub.wire.messages import Buffer, FunctionRow, Functions, Payload

RECENT_FUNCTIONS = 512
RECENT_BYTES = 256 * 1024 * 1024
"""How many functions, and bytes of them, stay without a request that needs them."""

KNOWN_PER_ENGINE = 8192
"""Above this many digests the hub assumes that an engine has forgotten all of them."""


LONGEST_RUN = 1e9
"""What an engine reports beyond this, in seconds, is taken for this."""


UNKNOWN_DURATION = 0.020
"""What is expected of a function that never ran here, in seconds."""

OVERHEAD = 8e-6
"""What a task costs an engine at least, in seconds."""


class Function:
    """A serialized function, and how long it takes as far as the hub has seen.

    `duration` is a moving average in seconds, meaningful once `runs` is positive; `expected` is what
    the next run should take.
    """

    __slots__ = ("__weakref__", "blob", "digest", "duration", "expected", "runs")

    def __init__(self, digest: bytes, blob: Payload) -> None:
        self.digest = digest
        self.blob = blob
        self.duration = 0.0
        self.expected = UNKNOWN_DURATION
        self.runs = 0

    def took(self, mean: float, count: int) -> None:
        """Learn that `count` runs took `mean` seconds each; an engine may report any number."""
        mean = min(LONGEST_RUN, max(0.0, mean))  # in this order NaN becomes 0
        self.duration = mean if self.runs == 0 else 0.5 * (self.duration + mean)
        self.expected = self.duration + OVERHEAD
        self.runs += count


class FunctionTable:
    """The functions of one interface, by digest."""

    def __init__(self) -> None:
        self._functions: WeakValueDictionary[bytes, Function] = WeakValueDictionary()
        self._recent: OrderedDict[bytes, Function] = OrderedDict()
        self._bytes = 0
        self._known: dict[int, set[bytes]] = {}  # by engine id

    def learn(self, rows: Sequence[FunctionRow], frames: Sequence[Buffer]) -> None:
        """Take in functions that a client sent; those stay at least until the next ones come."""
        if not rows:
            return
        fresh = [
            Function(digest, resolve(ref, frames))
            for digest, ref in rows
            if digest not in self._functions
        ]
        for function in fresh:
            self._keep(function)
        while len(self._recent) > len(fresh) and (
            len(self._recent) > RECENT_FUNCTIONS or self._bytes > RECENT_BYTES
        ):
            self._bytes -= size_of(self._recent.popitem(last=False)[1].blob)

    def take_back(self, digest: bytes, blob: Payload) -> Function:
        """Take in a function of the hub before this one."""
        function = self._functions.get(digest)
        if function is None:
            function = Function(digest, blob)
            self._keep(function)
        return function

    def get(self, digest: bytes) -> Function | None:
        """Return a function, or None when it must be asked for."""
        function = self._recent.get(digest)
        if function is not None:
            self._recent.move_to_end(digest)
            return function
        function = self._functions.get(digest)
        if function is not None:
            self._keep(function)
        return function

    def wanted(self, digests: Iterable[bytes]) -> Functions:
        """Return the answer to who lacks functions: those that are here."""
        frames = FrameList()
        found = [f for digest in digests if (f := self.get(digest)) is not None]
        return Functions(function_rows(found, frames), frames.frames)

    def _keep(self, function: Function) -> None:
        self._functions[function.digest] = function
        self._recent[function.digest] = function
        self._bytes += size_of(function.blob)

    def unknown_to(self, engine: int, functions: Iterable[Function]) -> list[Function]:
        """Return those functions the engine was not sent yet, and count them as sent."""
        known = self._known.get(engine)
        if known is None or len(known) > KNOWN_PER_ENGINE:
            known = self._known[engine] = set()
        fresh = [function for function in functions if function.digest not in known]
        if fresh:
            known.update([function.digest for function in fresh])
        return fresh

    def forget_engine(self, engine: int) -> None:
        """Assume that an engine has no functions: it has come, or come back, or is gone."""
        self._known.pop(engine, None)


def function_rows(functions: Iterable[Function], frames: FrameList) -> tuple[FunctionRow, ...]:
    """Return the rows that carry functions in a message."""
    return tuple([(function.digest, frames.add(function.blob)) for function in functions])
