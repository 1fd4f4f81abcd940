"""What every store promises; a new store is one more way to make one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ctrlhub.controller.core.effects import Forget, Operation, SaveRequests, SaveResults
from ctrlhub.controller.stores.base import Store
from ctrlhub.controller.stores.memory import MemoryStore

WAYS: tuple[Callable[[], Store], ...] = (MemoryStore,)
"""How to make each store."""

HIGHEST = (1 << 63) - 1


@pytest.fixture(params=WAYS, ids=lambda way: way.__name__)
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """A store with nothing in it."""
    made = request.param()
    yield made
    made.close()


class Writer:
    """Writes, and remembers which writes are safe."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.done: list[int] = []
        self.count = 0

    def write(self, *operations: Operation) -> int:
        """Write; return the number of the write."""
        self.count += 1
        number = self.count
        self.store.write(operations, lambda: self.done.append(number))
        return number


@pytest.fixture
def writer(store: Store) -> Writer:
    """A writer to the store."""
    return Writer(store)


def a_row(number: int, payload: Any = b"value") -> tuple[Any, ...]:
    """Return a result as the hub gives it to a store."""
    return (number, 0, payload, 0, 1.5, 0.25, None)


def test_a_new_store_is_empty(store: Store) -> None:
    """Nothing is kept that nobody wrote."""
    assert list(store.requests()) == []
    assert list(store.results()) == []


def test_what_is_saved_is_kept(store: Store, writer: Writer) -> None:
    """Requests and results apart, by id, from the lowest id to the highest there can be."""
    writer.write(SaveRequests([(0, "first"), (HIGHEST, "last")]))
    writer.write(SaveResults([(HIGHEST, a_row(HIGHEST))]))
    assert dict(store.requests()) == {0: "first", HIGHEST: "last"}
    assert dict(store.results()) == {HIGHEST: a_row(HIGHEST)}


def test_every_write_is_done_once_in_order(writer: Writer) -> None:
    """`done` is called for each, also for one with nothing in it."""
    writer.write(SaveRequests([(1, "a")]))
    writer.write()
    writer.write(SaveResults([]), SaveRequests(()), Forget(()))
    writer.write(Forget(((1, 1),)))
    assert writer.done == [1, 2, 3, 4]


def test_it_is_safe_when_it_is_done(store: Store) -> None:
    """What `done` finds in the store is what was written."""
    found: list[dict[int, Any]] = []
    store.write([SaveRequests([(1, "a")])], lambda: found.append(dict(store.requests())))
    assert found == [{1: "a"}]


def test_the_operations_of_a_write_are_applied_in_order(store: Store, writer: Writer) -> None:
    """Saved and forgotten is gone; forgotten and saved is there."""
    writer.write(SaveRequests([(1, "a"), (2, "b")]), Forget(((1, 1),)))
    writer.write(Forget(((2, 2),)), SaveRequests([(2, "c")]))
    assert dict(store.requests()) == {2: "c"}


def test_forgetting_removes_request_and_result(store: Store, writer: Writer) -> None:
    """All of each range, and nothing else; ids that are not there do not matter."""
    writer.write(SaveRequests([(n, n) for n in range(10)]))
    writer.write(SaveResults([(n, a_row(n)) for n in range(10)]))
    writer.write(Forget(((0, 2), (5, 5), (8, 20))))
    assert sorted(dict(store.requests())) == sorted(dict(store.results())) == [3, 4, 6, 7]


def test_saving_again_changes_nothing_that_matters(store: Store, writer: Writer) -> None:
    """A request that was sent twice is one request."""
    writer.write(SaveRequests([(1, "a")]))
    writer.write(SaveRequests([(1, "a")]))
    assert list(store.requests()) == [(1, "a")]


@pytest.mark.parametrize(
    "payload", [b"", b"x" * 100_000, (b"one", b"two"), (memoryview(b"view"),)], ids=range(4)
)
def test_results_are_kept_whole(store: Store, writer: Writer, payload: Any) -> None:
    """Inline or in buffers."""
    writer.write(SaveResults([(1, a_row(1, payload))]))
    [(number, row)] = store.results()
    assert (number, row[2]) == (1, payload)


def test_many_at_once(store: Store, writer: Writer) -> None:
    """A batch is the normal case."""
    count = 10_000
    writer.write(SaveRequests([(n, "x") for n in range(count)]))
    writer.write(SaveResults([(n, a_row(n)) for n in range(count)]))
    writer.write(Forget(((0, count - 2),)))
    assert writer.done == [1, 2, 3]
    assert dict(store.requests()) == {count - 1: "x"}
