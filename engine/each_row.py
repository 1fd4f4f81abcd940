"""Calling a function with many rows of arguments in one request: each has a result of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ctrlhub.wire.dependencies import is_unmet
from ctrlhub.wire.each_row import EachRow, Partly, name_item
from ctrlhub.wire.errors import SerializationError
from ctrlhub.wire.messages import Payload
from ctrlhub.wire.serialize import STAYED_THERE, detached, dumps

Describe = Callable[[BaseException], bytes]
"""Makes the failure, as it travels, of what a row raised."""


class SomeRaised(Exception):
    """Some rows raised; what came of all of them is here.

    Parameters
    ----------
    values
        The values, and the failures.
    """

    def __init__(self, values: Partly) -> None:
        super().__init__(values)
        self.payload: Payload = detached(dumps(values, "the results", STAYED_THERE))


class Values(list[Any]):
    """The values of rows, none of which raised. It arrives as a list."""

    def __reduce__(self) -> tuple[Any, ...]:
        return list, (list(self),)


def caller(
    each: EachRow, described: Describe, note: Callable[[Values], object] = id
) -> Callable[..., Values]:
    """Return what calls a function with each row; it raises `SomeRaised` if some of them did.

    Parameters
    ----------
    each
        The function, and how often to try.
    described
        Makes the failure, as it travels, of what a row raised.
    note
        Called with the values before they are returned.
    """
    function, retries = each.function, each.retries

    def call_again(row: tuple[Any, ...], left: int) -> Any:
        while True:
            left -= 1
            try:
                return function(*row)
            except (Exception, SystemExit) as error:
                if not left or is_unmet(error):
                    raise

    def call_each(first: int, *columns: Any) -> Values:
        values = Values()
        failures: dict[int, bytes] = {}
        for row in zip(*columns):  # noqa: B905 - they are of one length
            try:
                value = call_again(row, 1 + retries) if retries else function(*row)
            except (Exception, SystemExit) as error:
                if is_unmet(error):
                    raise  # another engine is to try
                name_item(error, first + len(values))
                failures[len(values)] = described(error)
                value = None
            values.append(value)
        if failures:
            raise together(values, failures, described)
        note(values)
        return values

    return call_each


def together(values: list[Any], failures: dict[int, bytes], described: Describe) -> SomeRaised:
    """Return what came of rows some of which failed; values that cannot be pickled are failures, too."""
    try:
        return SomeRaised(Partly(values, failures))
    except SerializationError:
        kept, failed = [], dict(failures)
        for place, value in enumerate(values):
            try:
                dumps(value, "the result", STAYED_THERE)
            except SerializationError as error:
                failed[place] = described(error)
                value = None
            kept.append(value)
        return SomeRaised(Partly(kept, failed))
