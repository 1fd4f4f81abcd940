"""Lines: the tasks of one client that wait in one place, and how clients share engines.

Every client gets the same share of what engines do, however many tasks it has: of those that have
something to run, the one that has been served least so far has its turn. What counts is the time that
its tasks are expected to take. A client that comes, or comes back, begins where the others are: it
has no claim on what went before.

Within a line the higher priority goes first, and among equals what came first; or what came last, if
the order is turned round.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence

from ctrlhub.controller.core.sessions import Session
from ctrlhub.controller.core.slots import Slot
from ctrlhub.controller.core.tasks import Task, TaskState

Append = Callable[[deque[Task], Sequence[Task]], None]
"""How tasks join those that wait."""


class Share:
    """How much a client has been served (seconds of expected work), and how many lines it has."""

    __slots__ = ("lines", "served")

    def __init__(self) -> None:
        self.served = 0.0
        self.lines = 0


class Shares:
    """The shares of all clients that have had something to run.

    Attributes
    ----------
    clock : float
        Where those are who have been served last.
    """

    __slots__ = ("_by_session", "clock")

    def __init__(self) -> None:
        self._by_session: dict[Session, Share] = {}
        self.clock = 0.0

    def join(self, session: Session) -> Share:
        """Count a line of a client more; return the client's share."""
        share = self._by_session.get(session)
        if share is None:
            share = self._by_session[session] = Share()
        if not share.lines:
            share.served = max(share.served, self.clock)
        share.lines += 1
        return share

    def forget(self, session: Session) -> None:
        """Forget a client that is gone, unless it has a line still."""
        share = self._by_session.get(session)
        if share is not None and not share.lines:
            del self._by_session[session]

    def leave(self, session: Session) -> None:
        """Count a line of a client less; without any, it is known as long as it is ahead."""
        share = self._by_session[session]
        share.lines -= 1
        if not share.lines and (share.served <= self.clock or session.ended):
            del self._by_session[session]


def oldest_first(queue: deque[Task], tasks: Sequence[Task]) -> None:
    """Let tasks wait behind the others."""
    queue.extend(tasks)


def newest_first(queue: deque[Task], tasks: Sequence[Task]) -> None:
    """Let tasks go before the others, and of them the last first."""
    queue.extendleft(tasks)


class Line:
    """The tasks of one client in one place.

    Parameters
    ----------
    share
        The client's.
    append
        How tasks join those that wait.

    Attributes
    ----------
    husks : int
        How many of those that were taken out had ended before, since this was last set to 0.
    """

    __slots__ = ("_append", "_gone", "_levels", "_priorities", "husks", "share")

    def __init__(self, share: Share, append: Append) -> None:
        self.share = share
        self.husks = 0
        self._append = append
        self._levels: dict[int, deque[Task]] = {}
        self._gone: dict[int, int] = {}  # how many of a level have ended
        self._priorities: list[int] = []  # a heap of their negatives

    def __iter__(self) -> Iterator[Task]:
        for negative in sorted(self._priorities):
            yield from self._levels[-negative]

    def _level(self, priority: int) -> deque[Task]:
        level = self._levels.get(priority)
        if level is None:
            level = self._levels[priority] = deque()
            heapq.heappush(self._priorities, -priority)
        return level

    def add(self, tasks: Sequence[Task], priority: int) -> None:
        """Queue tasks of one priority."""
        self._append(self._level(priority), tasks)

    def add_first(self, task: Task) -> None:
        """Queue a task before those of its priority."""
        self._level(task.template.options.priority).appendleft(task)

    def queued(self) -> list[Task]:
        """Return the tasks that wait, in the order in which they would be given."""
        return [task for task in self if task.state is TaskState.QUEUED]

    def cancelled(self, task: Task) -> None:
        """Note that a task that waits here ends."""
        priority = task.template.options.priority
        self._gone[priority] = self._gone.get(priority, 0) + 1

    def _passed_over(self, task: Task) -> None:
        """Take note that one that had ended was taken out."""
        self.husks += 1
        self._gone[task.template.options.priority] -= 1

    def depths(self) -> Iterator[tuple[int, int]]:
        """Yield each priority of which anything waits, and how many."""
        for priority, level in self._levels.items():
            queued = len(level) - self._gone.get(priority, 0)
            if queued:
                yield priority, queued

    def oldest(self) -> float | None:
        """Return when the task came that waits for the longest, of the first and last of each priority."""
        times = []
        for level in self._levels.values():
            while level and level[0].state is not TaskState.QUEUED:
                self._passed_over(level.popleft())
            while level and level[-1].state is not TaskState.QUEUED:
                self._passed_over(level.pop())
            if level:
                times += [level[0].template.submitted, level[-1].template.submitted]
        return min(times, default=None)

    def keep(self, queued: Callable[[Task], bool]) -> None:
        """Leave out what is not queued any more."""
        self._gone.clear()
        levels = {p: deque(filter(queued, level)) for p, level in self._levels.items()}
        self._levels = {priority: level for priority, level in levels.items() if level}
        self._priorities = sorted(-priority for priority in self._levels)

    def head(self) -> Task | None:
        """Return the task that is next, if any is left."""
        while self._priorities:
            level = self._levels[-self._priorities[0]]
            while level:
                task = level[0]
                if task.state is TaskState.QUEUED:
                    return task
                self._passed_over(level.popleft())
            del self._levels[-heapq.heappop(self._priorities)]
        return None

    def give(self, slot: Slot, batch: list[Task], most: int, until: float) -> bool:
        """Give tasks to an engine, until it has so many, or this client has been served so much.

        Returns
        -------
        bool
            Whether the engine has room for more.
        """
        share = self.share
        while len(batch) < most and share.served <= until:
            if self.head() is None:
                return True
            level, before = self._levels[-self._priorities[0]], slot.backlog
            has_room = self._give(level, slot, batch, most, until - share.served + before)
            share.served += slot.backlog - before
            if not has_room:
                return False
        return True

    def _give(
        self, level: deque[Task], slot: Slot, batch: list[Task], most: int, until: float
    ) -> bool:
        queued = TaskState.QUEUED
        while level and len(batch) < most and slot.backlog <= until:
            task = level[0]
            if task.state is not queued:
                self._passed_over(level.popleft())
                continue
            if not slot.has_room(task):
                return False
            level.popleft()
            slot.give(task)
            batch.append(task)
        return True


def check_depths(line: Line) -> None:
    """Assert that the depths of a line are those of its tasks."""
    queued = Counter(task.template.options.priority for task in line.queued())
    assert dict(line.depths()) == queued


def of_one_kind(tasks: Iterable[Task]) -> Iterator[list[Task]]:
    """Yield runs of tasks of one client with the same needs and priority."""
    run: list[Task] = []
    for task in tasks:
        if run:
            last = run[-1]
            if (
                task.session is not last.session
                or task.needs != last.needs
                or task.template.options.priority != last.template.options.priority
            ):
                yield run
                run = []
        run.append(task)
    if run:
        yield run
