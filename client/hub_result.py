"""Results of requests that were made earlier, or by another client."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ctrlhub.client.async_result import AsyncGroup, AsyncResult
from ctrlhub.client.cancellations import STOP
from ctrlhub.client.requests import About
from ctrlhub.client.result_base import ResultBase
from ctrlhub.client.rows import VALUE, Row
from ctrlhub.client.seconds import check_grace
from ctrlhub.wire.errors import InvalidRequest
from ctrlhub.wire.ids import Ranges, session_of, text_of, to_ranges
from ctrlhub.wire.messages import Stream

if TYPE_CHECKING:
    from ctrlhub.client.connection import Connection


def _stopping(ranges: Ranges, grace: float | None) -> dict[str, Any]:
    return {"requests": ranges} if grace is None else {"requests": ranges, "grace": grace}


class OfAnyStream(ResultBase):
    """The part of such a result that stops its requests: they may be tasks, or commands, or both."""

    __slots__ = ()

    public_name = "AsyncHubResult"

    _home: Connection

    def cancel(self, grace: float | None = None) -> bool:
        """Stop one's own requests; see `AsyncResult.cancel`. A `grace` is for the tasks among them.

        Raises
        ------
        InvalidRequest
            Some are another client's: `Client.cancel_requests` stops them.
        """
        check_grace(grace, Stream.TASK)
        home, ranges = self._home, self._waiting()
        others = [first for first, _ in ranges if session_of(first) != home.session]
        if others:
            raise InvalidRequest(
                f"request {text_of(others[0])} is another client's: client.cancel_requests() stops it"
            )
        if ranges and home.is_io_thread():
            self._cancel_later(grace)
        elif ranges:
            for stream, (interface, method) in STOP.items():
                own = grace if stream is Stream.TASK else None
                home.cancel(stream, ranges, own)  # what may not have left yet
                home.call(interface, method, _stopping(ranges, own))
            self._await(self.done, home.timeout)
        return self.cancelled()

    def _cancel_later(self, grace: float | None = None) -> None:
        ranges = self._waiting()
        for stream, (interface, method) in STOP.items() if ranges else ():
            own = grace if stream is Stream.TASK else None
            self._home.cancel_later(stream, ranges, own)
            self._home.call_later(interface, method, _stopping(ranges, own))

    def _waiting(self) -> Ranges:
        rows = zip(self._numbers(), self._rows(), strict=True)
        return to_ranges(sorted({number for number, row in rows if row is None}))


class HubPart(OfAnyStream, AsyncResult):
    """The result of one of several such requests."""

    __slots__ = ()


class AsyncHubResult(OfAnyStream, AsyncGroup):
    """Results of any requests, which the hub sends once they are there, as often as one asks.

    `client.get_result` and `client.resubmit` make them.

    Parameters
    ----------
    home
        The connection.
    numbers
        The ids of the requests.
    single
        Have the value of the only request, not a list of values.
    what
        What is waited for, in words.
    """

    __slots__ = ("_single",)

    _part = HubPart

    def __init__(
        self, home: Connection, numbers: Sequence[int], *, single: bool, what: str = ""
    ) -> None:
        count = len(numbers)
        shown = f"request {text_of(numbers[0])}" if count == 1 else f"{count} requests"
        about = About(what or shown, Stream.MULTIENGINE, None)
        super().__init__(home, about, join=_first if single else None)
        self._single = single
        for number in numbers:
            self._extend(number, 1)

    def _is_single(self) -> bool:
        return self._single

    def _row(self, index: int) -> Row:
        row = super()._row(index)
        if row[1] == VALUE and row[2] is None and row[6] and row[6].get("execute_result"):
            from ctrlhub.client.execute_reply import ExecuteReply

            row = (*row[:2], ExecuteReply(self._metadata_of(index)), *row[3:])
        return row

    @property
    def metadata(self) -> Any:
        """What is known of each request, in order; of the only one, if it is single."""
        known = self._all_metadata()
        return known[0] if self._single else known

    def split(self) -> tuple[AsyncResult, ...]:
        """Return a result for each request; the same ones each time."""
        return (self,) if self._single else super().split()


def _first(values: list[Any]) -> Any:
    return values[0]
