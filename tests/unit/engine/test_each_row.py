"""Calls of a function with many rows of arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ctrlhub.engine.each_row import caller
from ctrlhub.wire.dependencies import UnmetDependency
from ctrlhub.wire.each_row import EachRow, name_item
from ctrlhub.wire.failure import pack_failure
from ctrlhub.wire.rebuild import failure_from_exception
from ctrlhub.wire.serialize import dumps, loads


def described(error: BaseException) -> bytes:
    """Describe an error as an engine does."""
    return pack_failure(failure_from_exception(error, 3, "apply"))


def calls(function: Callable[..., Any], *, keeps_errors: bool) -> Callable[..., list[Any]]:
    """Return what an engine calls for a function that has travelled."""
    return caller(loads(dumps(EachRow(function, keeps_errors))), described)  # type: ignore[arg-type]


@pytest.mark.parametrize("keeps_errors", [False, True])
def test_columns_are_called_row_by_row(keeps_errors: bool) -> None:
    """Any that can be iterated over, of one length; none give nothing."""
    call = calls(pow, keeps_errors=keeps_errors)

    assert call(0, [2, 3], (2, 2)) == [4, 9]
    assert call(7, [], ()) == []


def test_the_first_error_ends_it_and_is_named() -> None:
    """By its place in the whole map; what it was before it stays."""
    error = ValueError("no")
    error.add_note("mine")

    def fail(n: int) -> int:
        if n == 2:
            raise error
        return n

    with pytest.raises(ValueError, match="no") as caught:
        caller(EachRow(fail, False), described)(10, [0, 1, 2, 3])

    assert caught.value is error
    assert error.__notes__ == ["mine", "item 12 of the map"]


def test_kept_errors_arrive_in_their_places() -> None:
    """As what they were, with their engine."""
    values = calls(int, keeps_errors=True)(10, ["1", "x", "3"])

    arrived = loads(dumps(values))

    assert type(arrived) is list
    assert (arrived[0], arrived[2]) == (1, 3)
    assert isinstance(arrived[1], ValueError)
    assert arrived[1].__notes__ == ["item 11 of the map"]
    assert arrived[1].engine_id == 3  # type: ignore[attr-defined]


@pytest.mark.parametrize("error", [KeyboardInterrupt, UnmetDependency])
def test_what_is_no_error_of_an_item(error: type[BaseException]) -> None:
    """An interrupt is for the request; an unmet dependency sends all of it elsewhere."""

    def stop(n: int) -> int:
        raise error

    with pytest.raises(error):
        caller(EachRow(stop, True), described)(0, [1])


def test_an_error_that_takes_no_notes_has_one() -> None:
    """Its class may forbid to set attributes; the same note is not added twice."""

    class Frozen(Exception):
        def __setattr__(self, name: str, value: object) -> None:
            raise TypeError("frozen")

    error = Frozen()
    name_item(error, 1)
    name_item(error, 1)

    assert error.__notes__ == ["item 1 of the map"]
