"""A place: where tasks with the same needs wait, with the engines that may run them."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from itertools import count
from math import inf

from ctrlhub.controller.core.lines import Append, Line, Shares, check_depths
from ctrlhub.controller.core.needs import Needs
from ctrlhub.controller.core.policies import Policy
from ctrlhub.controller.core.sessions import Session
from ctrlhub.controller.core.slots import LEAD, Slot
from ctrlhub.controller.core.tasks import Task, TaskState

QUANTUM = LEAD / 8
"""So much longer (seconds of expected work) a client keeps its turn than is its share."""

FEW_HUSKS = 1024
"""So many husks in a place are never worth removing."""


class Place:
    """Tasks with the same needs.

    A task that was cancelled while queued stays as a husk and is skipped when its turn comes; once
    husks are the majority they are removed together.

    Parameters
    ----------
    needs
        What they need.
    policy
        Which of the engines with room gets the next ones.
    shares
        How clients share.
    append
        How tasks join those that wait.

    Attributes
    ----------
    slots : dict
        The engines that may run them. Of the place of those that may run anywhere, none: it is all.
    queued : int
        How many wait.
    """

    __slots__ = (
        "_append", "_count", "_heap", "_husks", "_lines", "_shares", "needs", "policy", "queued", "slots",
    )  # fmt: skip

    def __init__(self, needs: Needs, policy: Policy, shares: Shares, append: Append) -> None:
        self.needs = needs
        self.policy = policy
        self.slots: dict[Slot, None] = {}
        self.queued = 0
        self._shares = shares
        self._append = append
        self._lines: dict[Session, Line] = {}
        # Clients by how much they have been served; an entry may say too little.
        self._heap: list[tuple[float, int, Session]] = []
        self._count = count()
        self._husks = 0

    def __iter__(self) -> Iterator[Task]:
        for line in self._lines.values():
            yield from (task for task in line if task.state is TaskState.QUEUED)

    def add(self, tasks: Sequence[Task]) -> None:
        """Queue tasks of one client and priority."""
        self._line(tasks[0].session).add(tasks, tasks[0].template.options.priority)
        self.queued += len(tasks)

    def add_first(self, task: Task) -> None:
        """Queue a task before those of its client and priority."""
        self._line(task.session).add_first(task)
        self.queued += 1

    def _line(self, session: Session) -> Line:
        line = self._lines.get(session)
        if line is None:
            line = self._lines[session] = Line(self._shares.join(session), self._append)
            heapq.heappush(self._heap, (line.share.served, next(self._count), session))
        return line

    def cancelled(self, task: Task) -> None:
        """Note that a queued task ends; its state may still say that it is queued."""
        self.queued -= 1
        self._husks += 1
        if not self.queued:
            self.clear()
            return
        self._lines[task.session].cancelled(task)
        if self._husks > self.queued + FEW_HUSKS:
            for line in self._lines.values():
                line.keep(lambda t: t.state is TaskState.QUEUED and t is not task)
                line.husks = 0
            self._husks = 0

    def clear(self) -> None:
        """Forget what does not wait any more."""
        for session in self._lines:
            self._shares.leave(session)
        self._lines.clear()
        self._heap.clear()
        self._husks = 0

    def take_out(self, session: Session) -> list[Task]:
        """Have nothing of a client wait here; return what did."""
        line = self._lines.get(session)
        if line is None:
            return []
        tasks = line.queued()
        self.queued -= len(tasks)
        # What else is in the line has ended, and is counted as long as it is.
        self._husks -= sum(1 for _ in line) - len(tasks)
        self._heap = [entry for entry in self._heap if entry[2] is not session]
        heapq.heapify(self._heap)
        self._leave(session, line)
        return tasks

    def forget(self, session: Session) -> None:
        """Forget a client that is gone, unless something of it waits here."""
        line = self._lines.get(session)
        if line is not None and line.head() is None:
            self._heap = [entry for entry in self._heap if entry[2] is not session]
            heapq.heapify(self._heap)
            self._leave(session, line)

    def _leave(self, session: Session, line: Line) -> None:
        self._husks -= line.husks
        del self._lines[session]
        self._shares.leave(session)

    def _next(self) -> Line | None:
        """Return the line whose turn it is."""
        heap = self._heap
        while heap:
            entry = heap[0]
            session = entry[2]
            line = self._lines[session]
            if line.head() is None:
                heapq.heappop(heap)
                self._leave(session, line)
            elif line.share.served > entry[0]:
                heapq.heapreplace(heap, (line.share.served, entry[1], session))
            else:
                return line
        return None

    def key(self) -> tuple[float, int, int]:
        """Return what says whether this place or another is next; something must wait here."""
        line = self._next()
        assert line is not None
        task = line.head()
        assert task is not None
        return line.share.served, -task.template.options.priority, task.id

    def give(self, slot: Slot, batch: list[Task], most: int) -> bool:
        """Give tasks to an engine, until it has so many; say whether it has room for more."""
        before = len(batch)
        has_room = True
        while has_room and len(batch) < most:
            line = self._next()
            if line is None:
                break
            heap = self._heap
            self._shares.clock = max(self._shares.clock, line.share.served)
            until = min(heap[1:3])[0] + QUANTUM if len(heap) > 1 else inf
            has_room = line.give(slot, batch, most, until)
            self._husks -= line.husks
            line.husks = 0
        self.queued -= len(batch) - before
        return has_room

    def lines(self) -> Iterator[tuple[Session, Line]]:
        """Yield the line of each client that may have something waiting."""
        yield from self._lines.items()

    def check(self) -> None:
        """Assert that count and lines agree."""
        for line in self._lines.values():
            check_depths(line)
        assert self.queued == sum(1 for _ in self)
        assert {session for _, _, session in self._heap} == set(self._lines)
        assert len(self._heap) == len(self._lines)
        everything = sum(1 for line in self._lines.values() for _ in line)
        taken_out = sum(line.husks for line in self._lines.values())
        assert self._husks - taken_out == everything - self.queued
        for task in self:
            assert task.needs == self.needs
        self.policy.check()
