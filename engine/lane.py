"""What an engine owes the hub on one stream."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Container, Iterator

from ctrlhub.engine.questions import Questions
from ctrlhub.engine.refusals import Refusals
from ctrlhub.engine.work import CommandWork, Row, TaskWork, digest_of, waits
from ctrlhub.wire.codec import FrameList, size_of_extras
from ctrlhub.wire.errors import Failure, ResultLost, pack_failure
from ctrlhub.wire.ids import Ranges, merged, select, to_ranges
from ctrlhub.wire.limits import BATCH_BYTES, BATCH_ROWS, INLINE_BYTES, MAX_FRAMES
from ctrlhub.wire.messages import ResultRow, Results, Status, Stream

_log = logging.getLogger(__name__)

KEPT_RANGES = 256
"""So many ranges of acknowledged requests are remembered."""

MOST_RANGES = 4096
"""Beyond so many ranges a hello names what is held by id, which takes the fewest."""


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
    questions : Questions
        The functions that were asked for.
    stored : deque
        What was acknowledged of late, as ranges.
    refusals : Refusals
        What the hub has refused, and what it may have.
    again : deque
        The requests whose results are sent again because of that, by message.
    replaced : set
        The requests whose results were refused even alone, and have a failure in their place.
    """

    __slots__ = (
        "again", "held", "parked", "questions", "refusals", "replaced", "results", "stored", "stream",
        "unsent",
    )  # fmt: skip

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.held: dict[int, int] = {}
        self.results: dict[int, Row] = {}
        self.unsent: deque[Row] = deque()
        self.parked: deque[TaskWork | CommandWork] = deque()
        self.questions = Questions()
        self.stored: deque[tuple[int, int]] = deque(maxlen=KEPT_RANGES)
        self.refusals = Refusals()
        self.again: deque[list[int]] = deque()
        self.replaced: set[int] = set()

    def ids(self) -> Ranges:
        """Return what is named in a hello: what has ended, then the rest in the order of its coming."""
        ranges = to_ranges((*sorted(self.results), *self.held))
        return ranges if len(ranges) <= MOST_RANGES else merged(ranges)

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
            self.replaced.discard(row[0])

    def unpark(
        self, lost: Container[bytes]
    ) -> tuple[list[TaskWork | CommandWork], list[TaskWork | CommandWork]]:
        """Return the parked work whose functions have come, and that whose functions are lost."""
        ready: list[TaskWork | CommandWork] = []
        hopeless: list[TaskWork | CommandWork] = []
        parked, self.parked = self.parked, deque()
        for work in parked:
            if waits(work) and digest_of(work) in lost:
                hopeless.append(work)
            elif waits(work) or (self.parked and isinstance(work, CommandWork)):
                self.parked.append(work)  # commands keep their order
            else:
                ready.append(work)
        return ready, hopeless

    def resume(self) -> None:
        """Send everything again: the connection is another."""
        self.unsent = deque(self.results.values())
        self.again.clear()
        self.refusals.clear()
        self.questions.doubt()

    def last_attempt(self, number: int) -> int:
        """Return the last attempt at a request that came here, as far as we know; -1 for none."""
        if number in self.held:
            return self.held[number]
        if number in self.results:
            return self.results[number][1]
        return 0 if any(first <= number <= last for first, last in self.stored) else -1

    def acknowledge(self, requests: Ranges) -> None:
        """Forget results that are safe with the hub."""
        results = self.results
        for number in select(requests, results):
            del results[number]
        self.stored.extend(requests)
        self.refusals.acknowledged(results)
        self.replaced.intersection_update(results)

    def settle(self, refusal: str, engine_id: int) -> None:
        """Go on with what was refused, once it is known: halve it, or fail what is left alone."""
        for numbers in self.refusals.settle(self.results):
            middle = len(numbers) // 2
            if middle:
                self.again.extend((numbers[:middle], numbers[middle:]))
            elif numbers[0] not in self.replaced:
                self._replace(numbers[0], refusal, engine_id)
            else:  # it stays named in hellos, so that it is not run again, and is sent after the next
                _log.error("the hub refused also the failure of request %d: given up", numbers[0])

    def _replace(self, number: int, refusal: str, engine_id: int) -> None:
        _log.error("the hub refused the result of request %d, which fails", number)
        error = ResultLost(f"the hub refused the result of this request: {refusal}")
        failure = pack_failure(Failure.from_error(error, engine_id=engine_id))
        _, attempt, _, _, started, elapsed, _ = self.results[number]
        self.results[number] = number, attempt, int(Status.ERROR), failure, started, elapsed, None
        self.replaced.add(number)
        self.again.append([number])

    def messages(self) -> Iterator[Results]:
        """Yield what is to be sent, in as few messages as the limits allow.

        Nothing is, as long as it is open which message was refused: it would have to be waited for.
        """
        if self.refusals.count:
            return
        while self.again:
            numbers = self.again.popleft()
            yield from self._batches(deque(self.results[n] for n in numbers if n in self.results))
        yield from self._batches(self.unsent)

    def _batches(self, unsent: deque[Row]) -> Iterator[Results]:
        while unsent:
            rows: list[ResultRow] = []
            frames = FrameList()
            size = 0
            while unsent and len(rows) < BATCH_ROWS and size < BATCH_BYTES:
                row = unsent.popleft()
                payload = row[3]
                if row[6] is not None:
                    size += size_of_extras(row[6])
                if type(payload) is bytes and len(payload) <= INLINE_BYTES:
                    size += len(payload)
                    rows.append(row)
                    continue
                parts = 1 if type(payload) is bytes else len(payload)
                if rows and len(frames.frames) + parts > MAX_FRAMES:
                    unsent.appendleft(row)
                    break
                rows.append((*row[:3], frames.add(payload), *row[4:]))
            self.refusals.sent([row[0] for row in rows])
            yield Results(rows, frames.frames)
