"""The times of a result."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, TypeAlias

from ctrlhub.client.rows import Row
from ctrlhub.wire.errors import ResultNotCompleted

Moments: TypeAlias = datetime | Iterable[datetime]
"""One point in time, or several: what `Timing.started` and its like are."""


class Timing:
    """The part of a result that tells when, and for how long."""

    __slots__ = ()

    _submitted: float

    def done(self) -> bool:
        """Return whether it is done."""
        raise NotImplementedError

    def _numbers(self) -> Sequence[int]:
        raise NotImplementedError

    def _rows(self) -> Sequence[Row | None]:
        raise NotImplementedError

    def _stamp(self, index: int) -> float:
        raise NotImplementedError

    def _of_each(self, name: str) -> Any:
        raise NotImplementedError

    @property
    def submitted(self) -> Any:
        """When it was submitted: a `datetime`, or a list of them for several requests."""
        return self._of_each("submitted")

    @property
    def started(self) -> Any:
        """When it began to run; None while that is not known."""
        return self._of_each("started")

    @property
    def completed(self) -> Any:
        """When it ended on the engine; None while that is not known."""
        return self._of_each("completed")

    @property
    def received(self) -> Any:
        """When its result arrived; None while it has not."""
        return self._of_each("received")

    @property
    def elapsed(self) -> float:
        """Seconds since it was submitted, until it was done."""
        return (self._last_stamp() if self.done() else time.monotonic()) - self._submitted

    @property
    def wall_time(self) -> float:
        """Seconds from the submission until the last result arrived.

        Raises
        ------
        ResultNotCompleted
            It is not done.
        """
        if not self.done():
            raise ResultNotCompleted("it is not done yet: `elapsed` is known at any time")
        return self._last_stamp() - self._submitted

    @property
    def serial_time(self) -> float:
        """Seconds that the engines spent on it, all together.

        Raises
        ------
        ResultNotCompleted
            It is not done.
        """
        if not self.done():
            raise ResultNotCompleted("it is not done yet: wait() for it")
        return float(sum(row[5] for row in self._rows() if row is not None))

    def timedelta(
        self,
        start: Moments,
        end: Moments,
        start_key: Callable[[Iterable[datetime]], datetime] = min,
        end_key: Callable[[Iterable[datetime]], datetime] = max,
    ) -> float:
        """Return the seconds between two points in time, or two groups of them.

        Parameters
        ----------
        start, end
            Such as ``ar.submitted`` and ``ar.received``.
        start_key, end_key
            Choose one of several: by default the earliest start and the latest end.

        Examples
        --------
        >>> ar.timedelta(ar.submitted, ar.started)  # until the first one began
        0.0012
        """
        first = start if isinstance(start, datetime) else start_key(start)
        last = end if isinstance(end, datetime) else end_key(end)
        return (last - first).total_seconds()

    def _last_stamp(self) -> float:
        return max((self._stamp(i) for i in range(len(self._numbers()))), default=self._submitted)
