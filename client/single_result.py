"""The result to come of one request."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

from ctrlhub.client.requests import About, Sender, Stirred, Template
from ctrlhub.client.result_base import Home, ResultBase
from ctrlhub.client.rows import VALUE, Row, is_cancelled, is_ok, opened
from ctrlhub.wire.errors import CtrlHubError
from ctrlhub.wire.messages import Payload

_clock = time.monotonic


class AsyncResult(ResultBase):
    """The result of one call to come: a `concurrent.futures.Future` that the hub completes.

    Views make them.

    Parameters
    ----------
    home
        The connection.
    number
        The id of the request.
    payload
        The arguments, which are kept until the result is there.
    about
        What was asked; a `Template` if it is a task.
    """

    # The one object that exists per task: eight fields, and made without a call to a base class.
    # _cell holds the serialized arguments until the row of the result takes their place.
    __slots__ = ("_cell", "_number", "_received")

    def __init__(self, home: Home, number: int, payload: Payload, about: About) -> None:
        self._home = home
        self._number = number
        self._about = about
        self._cell: Any = payload if type(payload) is bytes else list(payload)
        self._submitted = _clock()
        self._sync = None
        self._opener = None

    # ------------------------------------------------------------ for the session

    def _future(self) -> AsyncResult:
        return self

    def _enter(self, sender: Sender) -> None:
        sender.add_task(self._number, self, self._about, self._cell)  # type: ignore[arg-type]

    def _template(self) -> Template:
        assert isinstance(self._about, Template)
        return self._about

    def _payload(self, number: int) -> Payload:
        return self._cell if type(self._cell) is bytes else tuple(self._cell)

    def _settle(self, row: Row, now: float) -> Stirred | None:
        # First what there is to tell, then the look whether anybody waits: see lazy_future.
        self._received = now
        self._cell = row
        return self if self._sync is not None else None

    def _take(self, index: int, row: Row, now: float) -> Stirred | None:
        return self._settle(row, now)

    # ------------------------------------------------------------ of one request

    def _numbers(self) -> Sequence[int]:
        return (self._number,)

    def _rows(self) -> Sequence[Row | None]:
        return (self._cell if self.done() else None,)

    def _is_single(self) -> bool:
        return True

    def _stamp(self, index: int) -> float:
        return self._received

    def done(self) -> bool:
        """Return whether the result is there."""
        return type(self._cell) is tuple

    def cancelled(self) -> bool:
        """Return whether it was cancelled."""
        return self.done() and is_cancelled(self._cell)

    def _failed(self) -> bool:
        return not is_ok(self._cell)

    def _outcome(self) -> tuple[Any, BaseException | None]:
        if self._cell[1] >= 0:
            try:
                self._open_once(self._open)
            except (ImportError, CtrlHubError) as error:
                return None, error  # not for ever: what is missing here may come
        row = self._cell
        return (row[2], None) if row[1] == VALUE else (None, row[2])

    def _open(self) -> None:
        self._cell = opened(self._cell)

    def get(
        self,
        timeout: float | None = None,
        return_exceptions: bool | None = None,
        return_when: str | None = None,
    ) -> Any:
        """Return the value, or raise what the call raised.

        Parameters
        ----------
        timeout
            The longest wait in seconds; None or a negative number waits as long as it takes.
        return_exceptions
            Return an exception instead of raising it.
        return_when
            As for a result of several calls: here all ways are one.

        Raises
        ------
        TimeoutError
            It is not there yet. It goes on, and can be asked for again.
        """
        row = self._cell
        if type(row) is tuple and row[1] == VALUE:
            return row[2]
        __tracebackhide__ = True
        return super().get(timeout, return_exceptions, return_when)

    def __iter__(self) -> Iterator[Any]:
        raise TypeError("this is the result of one call: get() it, and iterate over that")

    def __getitem__(self, key: Any) -> Any:
        """Return an item of the metadata, by name, at once; or of the value, once it is there."""
        return self._of_each(key) if isinstance(key, str) else self.get()[key]

    @classmethod
    def join(cls, *results: AsyncResult) -> AsyncResult:
        """Make one result of several, in order; what `split` parts.

        Raises
        ------
        ValueError
            There are none.
        """
        from ctrlhub.client.async_result import join

        return join(*results)

    @property
    def metadata(self) -> Any:
        """What is known of the request."""
        return self._all_metadata()[0]
