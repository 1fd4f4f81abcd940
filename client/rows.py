"""Completed rows, from the wire to what the caller gets.

A row keeps its shape ``(id, status, payload, engine, started, elapsed, extras)``. As it came, its
status is one of `ctrlhub.wire.messages.Status` and its payload is serialized; once *opened*, the
payload is the value itself, or the exception, and the status is below 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import CancelledError
from typing import Any

from ctrlhub.wire.each_row import Items
from ctrlhub.wire.errors import TaskAborted
from ctrlhub.wire.failure import failure_of
from ctrlhub.wire.messages import Payload, Status
from ctrlhub.wire.rebuild import exception_from
from ctrlhub.wire.serialize import loads

Row = tuple[Any, ...]

VALUE = -1
"""Status of an opened row whose payload is the value."""
RAISED = -2
"""Status of an opened row whose payload is the exception."""

OK = int(Status.OK)
"""Status of a row whose payload is a serialized value."""
_CANCELLED, _PARTLY = int(Status.CANCELLED), int(Status.PARTLY)


class TaskCancelled(TaskAborted, CancelledError):
    """The request was cancelled before it ended.

    Attributes
    ----------
    traceback : str
        Where its code was interrupted, if it ran.
    """


def failed(number: int, error: BaseException) -> Row:
    """Make the row of a request that ended here, without a word from an engine."""
    return (number, RAISED, error, -1, 0.0, 0.0, None)


def is_ok(row: Row) -> bool:
    """Say whether the request ended well."""
    return row[1] in (OK, VALUE)


def is_cancelled(row: Row) -> bool:
    """Say whether the request was cancelled."""
    return row[1] == _CANCELLED or (row[1] == RAISED and isinstance(row[2], CancelledError))


def opened(row: Row) -> Row:
    """Open a row: unpickle its value, or rebuild its exception.

    Raises
    ------
    ImportError, SerializationError
        The value cannot be rebuilt here.
    """
    status, payload = row[1], row[2]
    if status == OK and type(payload) is bytes:  # most are
        return (row[0], VALUE, loads(payload), *row[3:])
    items = items_of(row)
    if items is not None:
        errors = items.errors
        return (row[0], RAISED, errors[0], *row[3:]) if errors else (row[0], VALUE, items, *row[3:])
    if status == OK:
        return (row[0], VALUE, loads(payload), *row[3:])
    if status < 0:
        return row
    error = _cancelled(payload) if status == _CANCELLED else _rebuilt(payload)
    return (row[0], RAISED, error, *row[3:])


class Pieces(tuple[Row, ...]):
    """In the place of a payload: the rows of the items of a request, each of which was run alone."""

    __slots__ = ()


def joined(number: int, pieces: Iterable[Row]) -> Row:
    """Make the row of a request of those of its items."""
    rows = Pieces(pieces)
    bad = [row for row in rows if not is_ok(row)]
    status = OK if not bad else _CANCELLED if all(map(is_cancelled, bad)) else _PARTLY
    began = min((row[4] for row in rows if row[4]), default=0.0)
    return (number, status, rows, rows[-1][3], began, sum(row[5] for row in rows), None)


def items_of(row: Row) -> Items | None:
    """Return the items of a request, as it came, that keeps apart which of them raised; else None.

    Raises
    ------
    ImportError, SerializationError
        They cannot be rebuilt here.
    """
    payload = row[2]
    if type(payload) is not Pieces:
        return loads(payload) if row[1] == _PARTLY else None
    found, raised = [], []
    for place, piece in enumerate(payload):
        value = opened(piece)
        found.append(value[2] if value[1] == RAISED else value[2][0])
        if value[1] == RAISED:
            raised.append(place)
    return Items(found, raised)


def _cancelled(payload: Payload) -> TaskCancelled:
    error = TaskCancelled("it was cancelled")
    if payload:
        error.traceback = failure_of(payload).traceback
    return error


def _rebuilt(payload: Payload) -> BaseException:
    return exception_from(failure_of(payload))
