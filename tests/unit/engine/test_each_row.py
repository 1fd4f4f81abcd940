"""Calls of a function with many rows of arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ctrlhub.engine.each_row import SomeRaised, caller, together
from ctrlhub.wire.dependencies import UnmetDependency
from ctrlhub.wire.each_row import EachRow, Items, name_item
from ctrlhub.wire.errors import SerializationError
from ctrlhub.wire.failure import pack_failure
from ctrlhub.wire.rebuild import failure_from_exception
from ctrlhub.wire.serialize import dumps, loads


def described(error: BaseException) -> bytes:
    """Describe an error as an engine does."""
    return pack_failure(failure_from_exception(error, 3, "apply"))


def calls(function: Callable[..., Any], retries: int = 0) -> Callable[..., list[Any]]:
    """Return what an engine calls for a function that has travelled."""
    return caller(loads(dumps(EachRow(function, retries))), described)  # type: ignore[arg-type]


def test_columns_are_called_row_by_row() -> None:
    """Any that can be iterated over, of one length; none give nothing. What arrives is a list."""
    call = calls(pow)

    assert call(0, [2, 3], (2, 2)) == [4, 9]
    assert call(7, [], ()) == []
    assert type(loads(dumps(call(0, [2], [2])))) is list


def test_errors_arrive_in_their_places() -> None:
    """As what they were, with their engine, and with what they had; the others have their values."""
    error = ValueError("no")
    error.add_note("mine")

    def fail(n: int) -> int:
        if n == 2:
            raise error
        return n

    with pytest.raises(SomeRaised) as caught:
        caller(EachRow(fail), described)(10, [0, 1, 2, 3])

    arrived = loads(caught.value.payload)
    assert type(arrived) is Items
    assert arrived.raised == {2}
    assert (arrived[:2], arrived[3]) == ([0, 1], 3)
    assert arrived.errors == [arrived[2]]
    assert isinstance(arrived[2], ValueError)
    assert arrived[2].__notes__ == ["mine", "item 12 of the map"]
    assert arrived[2].engine_id == 3  # type: ignore[attr-defined]


def test_an_exception_that_is_returned_is_a_value() -> None:
    """Nothing was raised."""
    values = calls(lambda n: ValueError(n))(0, [1])

    assert isinstance(values[0], ValueError)


def test_a_row_that_raises_is_tried_again() -> None:
    """It alone, so often as was wished; the last error counts."""
    tried: list[int] = []

    def third_time(n: int) -> int:
        tried.append(n)
        if tried.count(n) < 3:
            raise ValueError(tried.count(n))
        return n

    assert caller(EachRow(third_time, 2), described)(0, [1, 2]) == [1, 2]
    assert tried == [1, 1, 1, 2, 2, 2]

    tried.clear()
    with pytest.raises(SomeRaised) as caught:
        caller(EachRow(third_time, 1), described)(0, [1])
    assert [str(error) for error in loads(caught.value.payload).errors] == ["2"]


@pytest.mark.parametrize("raising", [False, True])
def test_a_value_that_cannot_be_pickled_is_an_error_of_its_row(raising: bool) -> None:
    """Where another one raised, and where none did: then whoever pickles has noted the values."""
    noted: list[Any] = []

    def value(n: int) -> Any:
        return 1 // n if n != 2 else (each for each in ())

    call = caller(EachRow(value), described, noted.append)
    if raising:
        with pytest.raises(SomeRaised) as caught:
            call(0, [1, 2, 0])
        some = caught.value
    else:
        values = call(0, [1, 2])
        assert noted == [values]
        some = together(values, {}, described)

    arrived = loads(some.payload)
    assert arrived[0] == 1
    assert arrived.raised == ({1, 2} if raising else {1})
    assert isinstance(arrived[1], SerializationError)


@pytest.mark.parametrize("error", [KeyboardInterrupt, UnmetDependency])
def test_what_is_no_error_of_an_item(error: type[BaseException]) -> None:
    """An interrupt is for the request; an unmet dependency sends all of it elsewhere."""

    def stop(n: int) -> int:
        raise error

    with pytest.raises(error):
        caller(EachRow(stop), described)(0, [1])


def test_an_error_that_takes_no_notes_has_one() -> None:
    """Its class may forbid to set attributes; the same note is not added twice."""

    class Frozen(Exception):
        def __setattr__(self, name: str, value: object) -> None:
            raise TypeError("frozen")

    error = Frozen()
    name_item(error, 1)
    name_item(error, 1)

    assert error.__notes__ == ["item 1 of the map"]
