"""`map`, direct and balanced."""

from __future__ import annotations

from collections.abc import Iterator
from operator import add
from typing import Any

import numpy as np
import pytest

from ctrlhub import (
    AsyncMapResult,
    Client,
    CompositeError,
    DirectView,
    ImpossibleDependency,
    LoadBalancedView,
    RemoteError,
    SerializationError,
    depend,
)
from tests.contract.conftest import ENGINES

WAIT = 60.0

View = DirectView | LoadBalancedView


@pytest.fixture(params=["direct", "balanced"])
def view(client: Client, request: pytest.FixtureRequest) -> View:
    """Both views; what they share is said once."""
    return client[:] if request.param == "direct" else client.load_balanced_view()


def test_map_gives_the_values_in_order(view: View) -> None:
    """Now or later."""
    squares = [n * n for n in range(20)]

    assert view.map_sync(lambda n: n * n, range(20)) == squares
    result = view.map_async(lambda n: n * n, range(20))
    assert isinstance(result, AsyncMapResult)
    assert result.get(WAIT) == squares
    assert view.map(lambda n: n * n, range(20), block=True) == squares


def test_several_sequences(view: View) -> None:
    """One for each parameter."""
    assert view.map_sync(add, [1, 2, 3], (10, 20, 30)) == [11, 22, 33]


def test_sequences_of_unequal_length_end_with_the_shortest(view: View) -> None:
    """As the built-in does."""
    assert view.map_sync(add, range(100), [1, 2]) == [1, 3]
    assert view.map_sync(add, [], range(3)) == []


def test_iterators_and_generators(view: View) -> None:
    """Anything that can be iterated over, mixed with what has a length."""

    def numbers() -> Iterator[int]:
        yield from range(5)

    assert view.map_sync(add, numbers(), range(5)) == [0, 2, 4, 6, 8]
    assert view.map_sync(str.upper, {"a": 1, "b": 2}) == ["A", "B"]
    assert view.map_sync(lambda row: float(row.sum()), np.ones((4, 3))) == [3.0] * 4


@pytest.mark.parametrize("empty", [[], (), "", range(0), iter(())])
def test_nothing_to_map(view: View, empty: Any) -> None:
    """It is done at once."""
    result = view.map_async(int, empty)

    assert result.get(WAIT) == []
    assert result.ready()
    assert (len(result), result.progress, list(result)) == (0, 0, [])


def test_a_map_of_no_sequence(view: View) -> None:
    """It is an error here."""
    with pytest.raises(TypeError, match="at least one sequence"):
        view.map_async(int)


def test_a_map_of_no_function(view: View) -> None:
    """So is this."""
    with pytest.raises(TypeError, match="function is needed"):
        view.map_async(7, [1])  # type: ignore[arg-type]


def test_an_iterator_that_raises(client: Client) -> None:
    """Its error is the caller's; what was sent of it already is cancelled."""

    def broken() -> Iterator[int]:
        yield 1
        raise LookupError("no more")

    for view in (client[:], client.load_balanced_view()):
        with pytest.raises(LookupError, match="no more"):
            view.map_async(int, broken())


def test_iteration_gives_values_as_they_come(view: View) -> None:
    """In order; the result can also be indexed and sliced."""
    result = view.map_async(lambda n: -n, range(6))

    assert list(result) == [0, -1, -2, -3, -4, -5]
    assert result[2] == -2
    assert result[-2:] == [-4, -5]
    assert (len(result), result.progress) == (6, 6)


def test_errors_are_counted(view: View) -> None:
    """They are raised when all is done: of several engines together."""
    with pytest.raises(CompositeError) as caught:
        view.map_sync(lambda n: 1 // n, [0] * 6)

    assert {ename for ename, *_ in caught.value.elist} == {"ZeroDivisionError"}


@pytest.mark.parametrize("options", [{}, {"chunksize": 4}])
def test_errors_can_be_values(view: View, options: dict[str, int]) -> None:
    """Each in its place, whatever travelled with it; each knows its item and its engine."""
    if isinstance(view, DirectView):
        options = {}
    numbers = [1, 0, -1, 0, 5, 6, 0]
    result = view.map_async(lambda n: 1 // n, numbers, return_exceptions=True, **options)
    values = result.get(WAIT)

    assert [v for v in values if not isinstance(v, Exception)] == [1, -1, 0, 0]
    assert list(result) == values
    assert [result[place] for place in range(7)] == result[:] == values
    assert not result.successful()
    for place in (1, 3, 6):
        assert isinstance(values[place], ZeroDivisionError)
        assert values[place].__notes__ == [f"item {place} of the map"]
        assert values[place].engine_id in range(ENGINES)  # type: ignore[attr-defined]


@pytest.mark.parametrize("options", [{}, {"chunksize": 2}, {"chunksize": 100}])
def test_an_item_that_raises_takes_nothing_from_the_others(
    view: View, options: dict[str, int]
) -> None:
    """However many travel together: each can be had, and the errors are raised by who asks for all."""
    if isinstance(view, DirectView):
        options = {}
    result = view.map_async(lambda n: 1 // n, [1, 0, 2, 3, 0], **options)

    with pytest.raises(CompositeError, match="2 of 5 calls") as caught:
        result.get(WAIT)
    assert [error.__notes__ for error in caught.value.errors] == [
        ["item 1 of the map"], ["item 4 of the map"]
    ]  # fmt: skip
    assert (result[0], result[2:4]) == (1, [0, 0])
    with pytest.raises(ZeroDivisionError):
        _ = result[1]
    values = result.get(WAIT, return_exceptions=True)
    assert (values[0], values[2:4]) == (1, [0, 0])
    assert isinstance(values[1], ZeroDivisionError)
    assert isinstance(values[4], ZeroDivisionError)
    items = iter(result)
    assert next(items) == 1
    with pytest.raises(ZeroDivisionError):
        next(items)
    assert "error" in result.status


def test_an_exception_that_is_returned_is_no_failure(view: View) -> None:
    """Neither alone nor beside others."""
    options = {} if isinstance(view, DirectView) else {"chunksize": 2}
    values = view.map_async(lambda n: ValueError(n), [1, 2, 3], **options).get(WAIT)

    assert [type(value) for value in values] == [ValueError] * 3


def test_a_value_that_cannot_be_sent_takes_nothing_from_the_others(client: Client) -> None:
    """It is an error of its item."""
    view = client.load_balanced_view()

    def value(n: int) -> Any:
        return n if n else (each for each in ())

    values = view.map_async(value, [2, 0, 1], chunksize=3).get(WAIT, return_exceptions=True)

    assert (values[0], values[2]) == (2, 1)
    assert isinstance(values[1], SerializationError)


def test_an_item_of_a_chunk_is_tried_again(client: Client) -> None:
    """It alone, as often as the view's `retries` say."""
    view = client.load_balanced_view(retries=2)

    def third_time(n: int) -> tuple[int, int]:
        calls = globals().setdefault("calls", [])
        calls.append(n)
        if calls.count(n) < 3 and n == 1:
            raise ValueError(n)
        return n, calls.count(n)

    assert view.map_async(third_time, range(3), chunksize=3).get(WAIT) == [(0, 1), (1, 3), (2, 1)]


def test_what_is_to_follow_a_chunk_that_failed_fails(client: Client) -> None:
    """As after any other request that failed; its record says what was wrong."""
    view = client.load_balanced_view()
    chunk = view.map_async(lambda n: 1 // n, [1, 0], chunksize=2)
    after = view._with(after=chunk).apply_async(int)

    with pytest.raises(ImpossibleDependency, match="some of its items raised"):
        after.get(WAIT)
    with pytest.raises(ZeroDivisionError):
        client.get_result(chunk.msg_ids[0]).get(WAIT)
    record = client.db_query({"msg_id": chunk.msg_ids[0]}, ["status", "error"])[0]
    assert record["status"] == "error"
    assert "some of its items raised" in record["error"]


def test_an_item_that_leaves_is_an_error_like_others(view: View) -> None:
    """`SystemExit` ends neither the engine nor the items beside it."""

    def leave(n: int) -> int:
        if n == 2:
            raise SystemExit(3)
        return n

    values = view.map_sync(leave, range(5), return_exceptions=True)

    assert values[:2] + values[3:] == [0, 1, 3, 4]
    assert isinstance(values[2], RemoteError)
    assert values[2].ename == "SystemExit"


@pytest.mark.parametrize("chunksize", [None, 1, 3])
def test_the_item_that_failed_is_named(client: Client, chunksize: int | None) -> None:
    """Of a block, a chunk, or alone; the frames of ours that called it are not shown."""
    view: Any = client[:] if chunksize is None else client.load_balanced_view()
    options = {} if chunksize is None else {"chunksize": chunksize}

    with pytest.raises(CompositeError, match=r"ZeroDivisionError: .* \(item 5 of the map\)") as caught:
        view.map_sync(lambda n: 1 // n, [1, 2, 3, 4, 5, 0, 7], **options)

    (error,) = caught.value.errors
    assert isinstance(error, RemoteError)
    assert "call_" not in error.traceback


def test_an_item_that_another_engine_has_to_try(client: Client) -> None:
    """An unmet dependency is no error of an item: its task goes elsewhere, with all of its items."""
    client[:].scatter("me", range(ENGINES), flatten=True, block=True)

    @depend(lambda: me == 1)  # type: ignore[name-defined]  # noqa: F821
    def where(n: int) -> int:
        return n * me  # type: ignore[name-defined,no-any-return]  # noqa: F821

    values = client.load_balanced_view().map_sync(
        where, range(6), chunksize=3, return_exceptions=True
    )

    assert values == list(range(6))


def test_iteration_raises_at_the_item_that_failed(client: Client) -> None:
    """What came before is had before."""
    values = iter(client.load_balanced_view().map_async(lambda n: 1 // n, [1, 0]))

    assert next(values) == 1
    with pytest.raises(ZeroDivisionError):
        next(values)


@pytest.mark.parametrize("size", [1, 3, 100])
def test_chunks(client: Client, size: int) -> None:
    """They change how items travel, not what comes back."""
    result = client.load_balanced_view().map_async(add, range(10), range(10), chunksize=size)

    assert result.get(WAIT) == [2 * n for n in range(10)]
    assert (len(result), result.progress) == (10, 10)
    assert len(result.msg_ids) == -(-10 // size)


@pytest.mark.parametrize("size", [0, -1, 1.0, True, None])
def test_wrong_chunks(client: Client, size: Any) -> None:
    """They are refused."""
    with pytest.raises(ValueError, match="chunksize"):
        client.load_balanced_view().map_async(int, [1], chunksize=size)


def test_an_unordered_map_gives_what_is_there(client: Client, work: Any) -> None:
    """An item that takes long does not hold up the others."""
    held = work.held()
    result = client.load_balanced_view().map_async(
        lambda n: held() if n == 0 else n, range(4), ordered=False
    )
    values = iter(result)
    first = [next(values) for _ in range(3)]
    work.release()

    assert sorted(first) == [1, 2, 3]
    assert list(values) == ["held"]


def test_a_direct_map_is_one_block_for_each_engine(client: Client) -> None:
    """Engines hold consecutive items, and each has one request."""
    client[:].scatter("me", range(ENGINES), flatten=True, block=True)
    result = client[:].map_async(lambda n: me, range(7))  # type: ignore[name-defined]  # noqa: F821

    assert result.get(WAIT) == [0, 0, 0, 1, 1, 2, 2]
    assert len(result.msg_ids) == ENGINES


def test_a_balanced_map_uses_all_engines(client: Client, work: Any) -> None:
    """While one is busy, the others take what there is."""
    view = client.load_balanced_view()
    slow = [view.apply_async(work.held(f"held-{k}")) for k in range(ENGINES - 1)]
    for k in range(ENGINES - 1):
        work.begun(f"held-{k}")
    result = view.map_async(lambda n: n, range(20))

    assert result.get(WAIT) == list(range(20))
    for k in range(ENGINES - 1):
        work.release(f"held-{k}")
    assert len({r.get(WAIT) and r.engine_id for r in slow} | set(result.engine_id)) == ENGINES


def test_a_map_runs_while_it_is_still_read(client: Client) -> None:
    """The sequence may be longer than memory, or wait for results of the map."""
    view = client.load_balanced_view()
    begun = view.apply_async(int, "1")

    def numbers() -> Iterator[int]:
        yield 1
        begun.get(WAIT)
        yield 2

    assert view.map_sync(int, numbers()) == [1, 2]
