"""A function that is called with many rows of arguments in one request.

It travels to engines as this description, and an engine makes of it what it calls
(`ctrlhub.engine.each_row`); what comes back of rows that raised, among others, is made here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class EachRow:
    """What is called with the place of the first row, and columns of arguments.

    A row that raises takes nothing from the others.

    Attributes
    ----------
    function
        What is called with each row.
    retries
        How often it is called again with a row that raised.
    """

    function: Callable[..., Any]
    retries: int = 0

    def adopted(self, adopt: Callable[[Any], Any]) -> EachRow:
        """Return it with its function adopted by an engine's namespace."""
        return EachRow(adopt(self.function), self.retries)


def name_item(error: BaseException, place: int) -> None:
    """Say in a note which item of a map raised, past any ``__setattr__`` of the class."""
    note, notes = f"item {place} of the map", getattr(error, "__notes__", ())
    if note not in notes:
        object.__setattr__(error, "__notes__", [*notes, note])


class Items(list[Any]):
    """The values of rows, with exceptions in the places of those that raised.

    Parameters
    ----------
    items
        Values and exceptions.
    raised
        The places of what was raised: a function may also return an exception.
    """

    def __init__(self, items: Iterable[Any], raised: Iterable[int]) -> None:
        super().__init__(items)
        self.raised = frozenset(raised)

    @property
    def errors(self) -> list[BaseException]:
        """What was raised, in order."""
        return [self[place] for place in sorted(self.raised)]


class Partly(list[Any]):
    """The values of rows, some of which raised. It arrives as `Items`.

    Parameters
    ----------
    values
        The values; whatever stands in the places of those that raised is replaced.
    failures
        What was raised: by place, as it travels.
    """

    def __init__(self, values: Iterable[Any], failures: Mapping[int, bytes]) -> None:
        super().__init__(values)
        self.failures = failures

    def __reduce__(self) -> tuple[Any, ...]:
        return _together, (list(self), dict(self.failures))


def _together(values: list[Any], failures: Mapping[int, bytes]) -> Items:
    from ctrlhub.wire.failure import unpack_failure
    from ctrlhub.wire.rebuild import exception_from

    for place, failure in failures.items():
        values[place] = exception_from(unpack_failure(failure))
    return Items(values, failures)
