"""Completed rows, from the wire to what the caller gets.

A row keeps its shape ``(id, status, payload, engine, started, elapsed, extras)``. As it came, its
status is one of `ctrlhub.wire.messages.Status` and its payload is serialized; once *opened*, the
payload is the value itself, or the exception.
"""

from __future__ import annotations

from concurrent.futures import CancelledError
from typing import Any

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

_OK, _CANCELLED = int(Status.OK), int(Status.CANCELLED)


class TaskCancelled(TaskAborted, CancelledError):
    """The request was cancelled before it ended.

    Attributes
    ----------
    traceback : str or None
        Where its code was interrupted, if it ran.
    """

    traceback: str | None = None


def failed(number: int, error: BaseException) -> Row:
    """Make the row of a request that ended here, without a word from an engine."""
    return (number, RAISED, error, -1, 0.0, 0.0, None)


def is_open(row: Row) -> bool:
    """Say whether a row's payload is the value or the exception itself."""
    return bool(row[1] < 0)


def is_ok(row: Row) -> bool:
    """Say whether the request ended well."""
    return row[1] in (_OK, VALUE)


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
    if status == _OK:
        return (row[0], VALUE, loads(payload), *row[3:])
    if status < 0:
        return row
    error = _cancelled(payload) if status == _CANCELLED else _rebuilt(payload)
    return (row[0], RAISED, error, *row[3:])


def _cancelled(payload: Payload) -> TaskCancelled:
    error = TaskCancelled("it was cancelled")
    if payload:
        error.traceback = failure_of(payload).traceback
    return error


def _rebuilt(payload: Payload) -> BaseException:
    return exception_from(failure_of(payload))
