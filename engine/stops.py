"""What of the requests here is to be stopped, until it has been. No I/O.

There are two ways. A request that is *cancelled*, by whoever made it, is dropped or interrupted, and
ends as cancelled. What is *interrupted*, by anybody, is what runs at the moment: it ends with the
KeyboardInterrupt that it got, and what waits behind it has its turn.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

from ctrlhub.engine.early import EarlyInterrupts, bounded
from ctrlhub.engine.lane import Lane
from ctrlhub.engine.taken import TakenIds
from ctrlhub.engine.work import Worker
from ctrlhub.wire.ids import Ranges, select
from ctrlhub.wire.messages import Status, Stream

RETRY_STOP = 0.02
"""How soon (seconds) to look again for a request to be stopped that was just about to begin."""

INSIST = 0.05
"""How soon (seconds) to look again at a request that was interrupted and has not ended."""

MOST_AWAITED = 4096
"""So many requests may be interrupted that have not come yet; the oldest are forgotten first."""

_NEVER = float("inf")


class Stops:
    """What is to be stopped.

    Parameters
    ----------
    lanes
        The requests that are here.
    worker
        Who runs them.

    Attributes
    ----------
    due : float
        When to `look` again.
    """

    def __init__(self, lanes: Mapping[Stream, Lane], worker: Worker) -> None:
        self._lanes = lanes
        self._commands, self._tasks = lanes[Stream.MULTIENGINE], lanes[Stream.TASK]
        self._worker = worker
        self._early = EarlyInterrupts()
        self._awaited: dict[int, None] = {}
        self._cancelling: list[int] = []
        self._interrupting: list[int] = []
        self._struck: list[int] = []
        self.due = _NEVER

    def cancel(self, requests: Ranges, taken: TakenIds, now: float) -> None:
        """Stop requests, also those that have not come yet; `taken` are commands that have."""
        for lane in self._lanes.values():
            self._cancelling += select(requests, lane.held)
        for number in bounded(requests):
            if number not in self._commands.held and number not in taken:  # those come once
                self._early.keep(number, self._tasks.last_attempt(number) + 1)
        self.look(now)

    def interrupt(self, commands: Ranges, taken: TakenIds, now: float) -> None:
        """Interrupt whatever runs now; if nothing does, commands as soon as they run."""
        running = self._worker.interrupt_running()
        if running:
            self._strike(running)
        else:
            self._await(commands, taken)
        self.look(now)

    def _await(self, commands: Ranges, taken: TakenIds) -> None:
        self._interrupting += select(commands, self._commands.held)
        for number in bounded(commands):
            if number not in self._commands.held and number not in taken:
                self._awaited[number] = None
                if len(self._awaited) > MOST_AWAITED:
                    del self._awaited[next(iter(self._awaited))]

    def forget_early(self) -> None:
        """Forget what has not come: another hub may mean other requests by the same ids."""
        self._early.clear()
        self._awaited.clear()

    def drops(self, number: int, attempt: int) -> bool:
        """Tell whether a request that comes was cancelled already; then it ends so."""
        if not self._early or not self._early.strikes(number, attempt):
            return False
        self._end((number,))
        return True

    def awaits(self, number: int, now: float) -> None:
        """Take note that a command has come; it may be interrupted already."""
        if self._awaited and number in self._awaited:
            del self._awaited[number]
            self._interrupting.append(number)
            self.due = now

    def look(self, now: float) -> None:
        """Stop what is to be stopped; as often as it takes.

        What is just between queued and running is tried again; what was interrupted, insisted on.
        """
        self._struck = self._present(self._struck)
        self._worker.insist(self._struck)
        self._look_at_cancelled(self._present(self._cancelling))
        self._look_at_interrupted(self._present(self._interrupting))
        again = RETRY_STOP if self._cancelling or self._interrupting else _NEVER
        if self._struck:
            again = min(again, INSIST)
        self.due = now + again

    def _look_at_cancelled(self, wanted: list[int]) -> None:
        self._cancelling = []
        if not wanted:
            return
        for lane in self._lanes.values():
            parked = [work.id for work in lane.parked if work.id in wanted]
            lane.parked = deque(work for work in lane.parked if work.id not in parked)
            self._end(parked)
        withdrawn, self._cancelling = self._worker.stop_requests(wanted)
        self._end(withdrawn)
        self._strike(n for n in self._present(wanted) if n not in self._cancelling)

    def _look_at_interrupted(self, wanted: list[int]) -> None:
        struck = self._worker.interrupt(wanted) if wanted else []
        self._interrupting = [number for number in wanted if number not in struck]
        self._strike(struck)

    def _strike(self, numbers: Iterable[int]) -> None:
        self._struck = list(dict.fromkeys((*self._struck, *numbers)))

    def _present(self, numbers: Iterable[int]) -> list[int]:
        commands, tasks = self._commands.held, self._tasks.held
        return [number for number in numbers if number in commands or number in tasks]

    def _end(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            for lane in self._lanes.values():
                attempt = lane.held.get(number)
                if attempt is not None:
                    lane.finish((number, attempt, int(Status.CANCELLED), b"", 0.0, 0.0, None))
