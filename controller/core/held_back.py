"""Tasks of the hub before this one, until the engines that may have them have said what they have.

Nobody has stored which engine a task was given to: an engine that lived on knows. So what is not known
to have ended is held back for a moment. Each engine of the former hub names what it has when it is back,
and is left with that; the rest is queued once all are back, are known to be dead, or are late.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from itertools import islice

from ctrlhub.controller.core.sessions import Session
from ctrlhub.controller.core.tasks import Task
from ctrlhub.wire.ids import Ranges, from_ranges, select

MOST_CLAIMS = 65_536
"""So many requests that nobody knows yet are remembered of what engines have."""


class HeldBack:
    """Tasks that engines may have.

    Parameters
    ----------
    engines
        The keys of the engines, and which of their processes the former hub knew.
    until
        When to wait no longer, on the hub's clock (seconds).
    """

    def __init__(self, engines: Iterable[tuple[str, bytes]], until: float) -> None:
        self.until = until
        self._awaited = dict(engines)
        self._replaced: dict[str, Session] = {}
        self._tasks: dict[int, Task] = {}
        self._claims: dict[int, str] = {}
        self._named: dict[str, Ranges] = {}

    def __contains__(self, task: Task) -> bool:
        return self._tasks.get(task.id) is task

    def __len__(self) -> int:
        return len(self._tasks)

    def hold(self, task: Task) -> None:
        """Hold a task back."""
        self._tasks[task.id] = task

    def discard(self, task: Task) -> None:
        """Hold a task back no longer, if it is."""
        if task in self:
            del self._tasks[task.id]

    def claimed_by(self, task: Task) -> str | None:
        """Return the key of the engine that has named a task before it was known here."""
        return self._claims.pop(task.id, None)

    def back(self, session: Session, held: Ranges, known: Container[int]) -> list[Task]:
        """Take what an engine that is back says it has; return those that are held back, in order.

        Where another process is back in its place, its nanny is still to say what the former one died of.

        Parameters
        ----------
        session
            The engine's.
        held
            What it names.
        known
            The requests that are known here: its client may still have to give the others.
        """
        key = session.key
        self._named[key] = held
        known_as = self._awaited.pop(key, None)
        if known_as not in (None, session.incarnation) and session.supervised:
            self._replaced[key] = session
        claimed = [self._tasks.pop(number) for number in sorted(select(held, self._tasks))]
        for number in islice(from_ranges(held), MOST_CLAIMS - len(self._claims)):
            if number not in known:
                self._claims[number] = key
        return claimed

    def order_of(self, key: str) -> Iterable[int]:
        """Return what an engine has named, in the order in which that runs."""
        return islice(from_ranges(self._named.get(key, ())), MOST_CLAIMS)

    def gone(self, key: str) -> None:
        """Wait no longer for an engine."""
        self._awaited.pop(key, None)
        self._replaced.pop(key, None)

    def waits(self, now: float) -> bool:
        """Tell whether engines may still name some, or nannies what they died of."""
        for session in tuple(self._replaced.values()):
            if session.nanny is not None or session.ended:  # it tells deaths before it vouches
                del self._replaced[session.key]
        return bool(self._awaited or self._replaced) and now < self.until

    def release(self) -> list[Task]:
        """Return what nobody has, by id, and hold it back no longer."""
        tasks, self._tasks = self._tasks, {}
        return [tasks[number] for number in sorted(tasks)]
