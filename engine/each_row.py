"""Calling a function with many rows of arguments in one request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ctrlhub.wire.dependencies import is_unmet
from ctrlhub.wire.each_row import EachRow, Partly, name_item


def caller(each: EachRow, described: Callable[[BaseException], bytes]) -> Callable[..., list[Any]]:
    """Return what calls a function with each row.

    Parameters
    ----------
    each
        The function, and what to do with errors.
    described
        Makes the failure, as it travels, of what a row raised.
    """
    function = each.function

    def call_until_error(first: int, *columns: Any) -> list[Any]:
        values: list[Any] = []
        try:
            for row in zip(*columns):  # noqa: B905 - they are of one length
                values.append(function(*row))
        except Exception as error:
            name_item(error, first + len(values))
            raise
        return values

    def call_all(first: int, *columns: Any) -> list[Any]:
        values: list[Any] = []
        failures: dict[int, bytes] = {}
        for row in zip(*columns):  # noqa: B905 - they are of one length
            try:
                value = function(*row)
            except (Exception, SystemExit) as error:
                if is_unmet(error):
                    raise  # another engine is to try
                name_item(error, first + len(values))
                failures[len(values)] = described(error)
                value = None
            values.append(value)
        return Partly(values, failures) if failures else values

    return call_all if each.keeps_errors else call_until_error
