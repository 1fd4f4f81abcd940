"""What an engine owes the hub on one stream."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from ctrlhub.engine.work import CommandWork, Row, TaskWork
from ctrlhub.wire.codec import FrameList
from ctrlhub.wire.ids import Ranges, select, to_ranges
from ctrlhub.wire.limits import BATCH_BYTES, BATCH_ROWS, INLINE_BYTES, MAX_FRAMES
from ctrlhub.wire.messages import ResultRow, Results, Stream


class Lane:
    """The requests of one stream, from their arrival until the hub has acknowledged their end.

    Attributes
    ----------
    held : dict
        Attempts of the requests that are queued or running, by id.
    results : dict
        Results that the hub has not acknowledged, by id.
    unsent : deque
        Those of them that were not sent since the last hello.
    parked : deque
        Work whose function has not come.
    asked : deque
        The digests of each unanswered `NeedFunctions`.
    """

    __slots__ = ("asked", "held", "parked", "results", "stream", "unsent")

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.held: dict[int, int] = {}
        self.results: dict[int, Row] = {}
        self.unsent: deque[Row] = deque()
        self.parked: deque[TaskWork | CommandWork] = deque()
        self.asked: deque[Sequence[bytes]] = deque()

    def ids(self) -> Ranges:
        """Return what is named in a hello."""
        return to_ranges(sorted((*self.held, *self.results)))

    def known(self, number: int, attempt: int) -> bool:
        """Tell whether this is held; a result that is there already is sent again."""
        if self.held.get(number) == attempt:
            return True
        row = self.results.get(number)
        if row is None or row[1] != attempt:
            return False
        if not any(each is row for each in self.unsent):
            self.unsent.append(row)
        return True

    def finish(self, row: Row) -> None:
        """Take a result, unless its attempt was replaced."""
        if self.held.get(row[0]) == row[1]:
            del self.held[row[0]]
            self.results[row[0]] = row
            self.unsent.append(row)

    def acknowledge(self, requests: Ranges) -> None:
        """Forget results that are safe with the hub."""
        results = self.results
        for number in select(requests, results):
            del results[number]

    def messages(self) -> Iterable[Results]:
        """Yield what was not sent yet, in as few messages as the limits allow."""
        unsent = self.unsent
        while unsent:
            rows: list[ResultRow] = []
            frames = FrameList()
            size = 0
            while unsent and len(rows) < BATCH_ROWS and size < BATCH_BYTES:
                row = unsent.popleft()
                payload = row[3]
                if row[6] is not None:
                    size += sum(map(len, row[6].values()))
                if type(payload) is bytes and len(payload) <= INLINE_BYTES:
                    size += len(payload)
                    rows.append(row)
                    continue
                parts = 1 if type(payload) is bytes else len(payload)
                if rows and len(frames.frames) + parts > MAX_FRAMES:
                    unsent.appendleft(row)
                    break
                rows.append((*row[:3], frames.add(payload), *row[4:]))
            yield Results(rows, frames.frames)
