"""Requests that were made here, held by who waits for them: so he knows how they have ended, whatever is kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias

from ctrlhub.client.async_result import AsyncResult
from ctrlhub.client.rows import Row
from ctrlhub.client.unopened import rows_of
from ctrlhub.gateway.api.outcomes import refusal_in
from ctrlhub.wire.errors import CtrlHubError

Held: TypeAlias = tuple[tuple[AsyncResult, int] | None, Row | None]
"""A request that is out, with its place in what it was submitted with; or else its row."""


def refusals_in(held: Iterable[Held]) -> Iterator[tuple[int, CtrlHubError]]:
    """Yield those of some requests that were refused, and why."""
    for row in map(row_of, held):
        error = None if row is None else refusal_in(row)
        if row is not None and error is not None:
            yield row[0], error


def row_of(held: Held) -> Row | None:
    """Return its row, once there is one."""
    out, row = held
    return row if out is None else rows_of(out[0])[out[1]]
