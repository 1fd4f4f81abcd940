"""A function that is called with many rows of arguments in one request.

It travels to engines as this description, and an engine makes of it what it calls
(`ctrlhub.engine.each_row`); what comes back of rows that raised, among others, is made here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class EachRow:
    """What is called with the place of the first row, and columns of arguments.

    Attributes
    ----------
    function
        What is called with each row.
    keeps_errors
        Whether a row that raises leaves what it raised in its place, rather than end the request.
    """

    function: Callable[..., Any]
    keeps_errors: bool

    def adopted(self, adopt: Callable[[Any], Any]) -> EachRow:
        """Return it with its function adopted by an engine's namespace."""
        return EachRow(adopt(self.function), self.keeps_errors)


def name_item(error: BaseException, place: int) -> None:
    """Say in a note which item of a map raised, past any ``__setattr__`` of the class."""
    note, notes = f"item {place} of the map", getattr(error, "__notes__", ())
    if note not in notes:
        object.__setattr__(error, "__notes__", [*notes, note])


class Partly(list[Any]):
    """The values of rows, some of which raised. It arrives as the list of values and exceptions.

    Parameters
    ----------
    values
        The values; whatever stands in the places of those that raised is replaced.
    failures
        What was raised: by place, as it travels.
    """

    def __init__(self, values: list[Any], failures: Mapping[int, bytes]) -> None:
        super().__init__(values)
        self.failures = failures

    def __reduce__(self) -> tuple[Any, ...]:
        return _together, (list(self), dict(self.failures))


def _together(values: list[Any], failures: Mapping[int, bytes]) -> list[Any]:
    from ctrlhub.wire.failure import unpack_failure
    from ctrlhub.wire.rebuild import exception_from

    for place, failure in failures.items():
        values[place] = exception_from(unpack_failure(failure))
    return values
