"""History: requests that have ended and whose clients have the results, for whoever asks later.

Of a hundred thousand requests a second nearly none is ever asked for, so to remember one must cost
next to nothing. What the hub has anyway, the request's own record and its outcome, stays by reference,
in blocks, as receipts come; nothing is copied, and nothing is indexed before somebody asks. The
oldest block goes when there are too many requests or bytes, or when it is too old.

A durable store does the same with rows; what asks (`ctrlhub.controller.interfaces.recorded`) knows
only `add`, `find`, `numbers` and `purge`.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Generic, Protocol, TypeVar

import msgpack

from ctrlhub.controller.core.deliveries import Outcome
from ctrlhub.controller.core.effects import Expire, Operation, SaveResults
from ctrlhub.controller.core.ended_places import EndedPlaces
from ctrlhub.controller.core.functions import Function
from ctrlhub.wire.codec import size_of, size_of_extras
from ctrlhub.wire.errors import ResultLost
from ctrlhub.wire.failure import Failure, pack_failure
from ctrlhub.wire.ids import text_of
from ctrlhub.wire.messages import Payload, Status

GONE: Payload = ()
"""In place of arguments or a value that are not kept; no payload consists of no buffers."""

BLOCK = 512
"""The most requests of a block."""

BLOCK_SECONDS = 60.0
"""So long (seconds) a block takes in requests: age is told no better than that."""

OVERHEAD = 512
"""What a request takes besides its payloads, in bytes."""

SHARE = 16
"""A value, or arguments, of more than one part in so many of all bytes are not kept."""

LARGEST_ARGUMENTS = 256 * 1024
"""Arguments of more bytes go when their request ends: the hub is no place for bulk data."""


CHECKED = 16
"""So many requests are looked at by `check`."""


@dataclass(frozen=True, slots=True)
class Retention:
    """How much is remembered of what has ended, by each interface.

    Attributes
    ----------
    records
        The most requests.
    size
        The most bytes that they take: arguments, values, output, functions.
    age
        The longest time in seconds.
    """

    records: int = 4096
    size: int = 128 * 1024 * 1024
    age: float = 24 * 3600.0

    @property
    def largest(self) -> int:
        """The most bytes of one value."""
        return self.size // SHARE


def worth_keeping(payload: Payload) -> Payload:
    """Return the arguments of a request that has ended, or `GONE` if they are too large."""
    return payload if size_of(payload) <= LARGEST_ARGUMENTS else GONE


class Ended(Protocol):
    """A request that has ended, as its interface keeps it."""

    id: int
    payload: Payload


E = TypeVar("E", bound=Ended)


class _Block(Generic[E]):
    __slots__ = ("_outcomes", "_packed", "began", "functions", "requests", "size")

    def __init__(self, began: float) -> None:
        self.began = began
        self.size = 0
        self.requests: list[E] = []
        self._outcomes: list[Outcome] = []
        self._packed = b""
        self.functions: set[Function] = set()

    @property
    def outcomes(self) -> list[Outcome]:
        """How the requests have ended."""
        if self._packed:
            self._outcomes = list(msgpack.unpackb(self._packed, use_list=False))
            self._packed = b""
        return self._outcomes

    def pack(self) -> None:
        """Have the outcomes in one piece of memory, if there are no large ones among them."""
        if all(type(each[2]) is bytes and each[6] is None for each in self._outcomes):
            self._packed = self._packed or msgpack.packb(self._outcomes)
            self._outcomes = []


class History(Generic[E]):
    """The requests of one interface that are over, oldest first.

    Parameters
    ----------
    retention
        How much is remembered.

    Attributes
    ----------
    dropped
        What was forgotten, in lists; whoever takes note of it empties this.
    cut
        The outcomes whose values were too large to be kept; the same.
    """

    def __init__(self, retention: Retention) -> None:
        self._retention = retention
        self._largest = retention.largest
        self._most = max(1, min(BLOCK, retention.records // 8))
        self._blocks: deque[_Block[E]] = deque()
        self._uses: dict[Function, int] = {}  # by how many blocks
        self._count = self._size = 0
        self._index: dict[int, tuple[E, Outcome]] | None = None
        self._places = EndedPlaces()
        self.dropped: list[list[E]] = []
        self.cut: list[Outcome] = []

    def __len__(self) -> int:
        return self._count

    @property
    def size(self) -> int:
        """The bytes that are kept."""
        return self._size

    # ------------------------------------------------------------ coming

    def add(
        self,
        requests: Sequence[E],
        outcomes: Sequence[Outcome],
        functions: Iterable[Function],
        now: float,
    ) -> None:
        """Remember requests with their outcomes, and the functions that they called."""
        place, count = 0, len(requests)
        while place < count:
            block = self._blocks[-1] if self._blocks else None
            if (
                block is None
                or len(block.requests) >= self._most
                or block.size >= self._largest
                or now - block.began >= BLOCK_SECONDS
            ):
                block = _Block(now)
                self._blocks.append(block)
            end = min(count, place + self._most - len(block.requests))
            self._put(block, requests[place:end], outcomes[place:end], functions)
            place = end
        self._index = None
        while self._blocks and (
            self._count > self._retention.records or self._size > self._retention.size
        ):
            self._drop_oldest()

    def _put(
        self,
        block: _Block[E],
        requests: Sequence[E],
        outcomes: Sequence[Outcome],
        functions: Iterable[Function],
    ) -> None:
        block.requests += requests
        size, largest = OVERHEAD * len(requests), self._largest
        kept = block.outcomes
        for request, outcome in zip(requests, outcomes, strict=True):
            payload, value = request.payload, outcome[2]
            if type(payload) is bytes and type(value) is bytes and outcome[6] is None:
                more = len(payload) + len(value)
            else:
                more = _weight(request, outcome)
            if more > largest and size_of(value) > largest:
                outcome = (*outcome[:2], GONE, *outcome[3:])
                self.cut.append(outcome)
                more = _weight(request, outcome)
            if more > largest and size_of(payload) > largest:
                request.payload = GONE
                more = _weight(request, outcome)
            size += more
            kept.append(outcome)
        block.size += size
        self._size += size
        self._count += len(requests)
        for function in functions:
            if function not in block.functions:
                block.functions.add(function)
                self._use(function)

    # ------------------------------------------------------------ going

    def tick(self, now: float) -> None:
        """Forget what is too old."""
        while self._blocks and self._blocks[0].began + self._retention.age <= now:
            self._drop_oldest()

    def settle(self) -> None:
        """Let what is remembered lie together: nobody asks for it now.

        As thousands of small objects it lies wherever there was a gap as each came, and none of the
        pages around it could be given back.
        """
        self._index = None
        for block in islice(self._blocks, max(0, len(self._blocks) - 1)):
            block.pack()

    def next_deadline(self) -> float | None:
        """Say when `tick` is due."""
        return self._blocks[0].began + self._retention.age if self._blocks else None

    def take_lost(self) -> list[Operation]:
        """Take what a store is to be told of what is not kept, or not whole, any more."""
        operations: list[Operation] = [Expire(block) for block in self.dropped]
        if self.cut:
            operations.append(SaveResults([(outcome[0], outcome) for outcome in self.cut]))
        self.dropped, self.cut = [], []
        return operations

    def _drop_oldest(self) -> None:
        block = self._blocks.popleft()
        self.dropped.append(block.requests)
        self._places.add(block.outcomes)
        self._forget(block)

    def _forget(self, block: _Block[E]) -> None:
        self._index = None
        self._size -= block.size
        self._count -= len(block.requests)
        for function in block.functions:
            self._disuse(function)

    def purge(self, chosen: Callable[[E, Outcome], bool]) -> int:
        """Forget those that are chosen; return how many."""
        before = self._count
        blocks, self._blocks = self._blocks, deque()
        for block in blocks:
            pairs = list(zip(block.requests, block.outcomes, strict=True))
            left = [(r, outcome) for r, outcome in pairs if not chosen(r, outcome)]
            kept_ones = {r.id for r, _ in left}
            self.dropped.append([r for r, _ in pairs if r.id not in kept_ones])
            self._forget(block)
            if left:
                kept: _Block[E] = _Block(block.began)
                self._blocks.append(kept)
                requests, outcomes = zip(*left, strict=True)
                self._put(kept, requests, outcomes, block.functions)
        return before - self._count

    def _use(self, function: Function) -> None:
        uses = self._uses.get(function, 0)
        self._uses[function] = uses + 1
        if not uses:
            self._size += size_of(function.blob)

    def _disuse(self, function: Function) -> None:
        self._uses[function] -= 1
        if not self._uses[function]:
            del self._uses[function]
            self._size -= size_of(function.blob)

    # ------------------------------------------------------------ asking

    def find(self, number: int) -> tuple[E, Outcome] | None:
        """Return a request and its outcome."""
        return self._indexed().get(number)

    def place_of(self, number: int) -> int | None:
        """Return the engine of a request that was forgotten; None if that was, too."""
        return self._places.of(number)

    def numbers(self) -> Collection[int]:
        """Return the ids of all that are remembered."""
        return self._indexed().keys()

    def __iter__(self) -> Iterator[tuple[E, Outcome]]:
        return iter(self._indexed().values())

    def _indexed(self) -> dict[int, tuple[E, Outcome]]:
        if self._index is None:
            self._index = {
                request.id: (request, outcome)
                for block in self._blocks
                for request, outcome in zip(block.requests, block.outcomes, strict=True)
            }
        return self._index

    def check(self) -> None:
        """Assert that the counts agree with what is kept; of sizes, that of the last block."""
        assert self._count == sum(len(block.requests) for block in self._blocks)
        uses = Counter(chain.from_iterable(block.functions for block in self._blocks))
        assert uses == self._uses
        payloads = sum(block.size for block in self._blocks)
        assert self._size == payloads + sum(size_of(function.blob) for function in uses)
        if self._blocks:
            block = self._blocks[-1]
            pairs = zip(block.requests[-CHECKED:], block.outcomes[-CHECKED:], strict=True)
            weights = [OVERHEAD + _weight(*pair) for pair in pairs]
            assert weights
            assert block.size >= sum(weights)
            assert len(block.requests) > CHECKED or block.size == sum(weights)


def _weight(request: Ended, outcome: Outcome) -> int:
    extras = 0 if outcome[6] is None else size_of_extras(outcome[6])
    return size_of(request.payload) + size_of(outcome[2]) + extras

def too_large(outcome: Outcome) -> Outcome:
    """Make the outcome of a request whose value was too large to be kept."""
    error = ResultLost(
        f"the value of request {text_of(outcome[0])} was too large to be kept once its own client "
        "had it: raise the hub's history_bytes, or have an engine keep it under a name"
    )
    payload = pack_failure(Failure.from_error(error))
    return (outcome[0], int(Status.ERROR), payload, *outcome[3:])


def damaged(outcome: Outcome) -> Outcome:
    """Make the outcome of a request whose value was stored, and cannot be read again."""
    error = ResultLost(
        f"the value of request {text_of(outcome[0])} was damaged in the hub's store (its file is missing, "
        "short or altered): submit it anew"
    )
    payload = pack_failure(Failure.from_error(error))
    return (outcome[0], int(Status.ERROR), payload, *outcome[3:])


def how_ended(status: int) -> str:
    """Say how a request ended, as records do: a request of which some items failed has failed."""
    if status == Status.OK:
        return "ok"
    return "aborted" if status == Status.CANCELLED else "error"


def lost(number: int, error: ResultLost) -> Outcome:
    """Make the outcome of a request that is not known."""
    return (number, int(Status.ERROR), pack_failure(Failure.from_error(error)), -1, 0.0, 0.0, None)
