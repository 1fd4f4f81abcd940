"""The scheduler: queued tasks meet engines with room."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import islice

from ctrlhub.controller.core.declined import DeclinedTasks
from ctrlhub.controller.core.engines import Engine
from ctrlhub.controller.core.policies import LeastLoad, Policy
from ctrlhub.controller.core.slots import MOST_AHEAD, Slot
from ctrlhub.controller.core.tasks import Task, TaskState

FEW_HUSKS = 1024
"""So many husks in the queue are never worth removing."""


class Scheduler:
    """A queue of tasks, a slot per engine, and a policy between them.

    The cost of an event does not depend on the length of the queue. A task that was cancelled while
    queued stays in the queue as a husk and is skipped when its turn comes; once husks are the majority
    they are removed together.

    Tasks that an engine declined wait apart and go first to the others. An idle engine for which
    there is nothing but what it has declined is set aside until something is queued.
    """

    def __init__(self, policy: Policy | None = None) -> None:
        self._queue: deque[Task] = deque()
        self._policy = policy if policy is not None else LeastLoad()
        self._slots: dict[int, Slot] = {}
        self._queued = 0
        self._declined = DeclinedTasks()
        self._aside: dict[Slot, None] = {}

    @property
    def queued(self) -> int:
        """How many tasks wait for an engine."""
        return self._queued

    @property
    def dispatched(self) -> int:
        """How many tasks are with engines."""
        return sum(len(slot.tasks) for slot in self._slots.values())

    @property
    def running(self) -> int:
        """How many tasks run: each engine that has any runs one, and the others wait there."""
        return sum(1 for slot in self._slots.values() if slot.tasks)

    def add_engine(self, engine: Engine) -> None:
        """Begin to use an engine."""
        self._slots[engine.id] = Slot(engine)
        engine.on_available(self.offer)
        self.offer(engine)

    def remove_engine(self, number: int) -> list[Task]:
        """Stop using an engine; return the tasks it held, in the order they were given."""
        slot = self._slots.pop(number, None)
        if slot is None:
            return []
        self._policy.discard(slot)
        self._aside.pop(slot, None)
        return list(slot.tasks.values())

    def tasks_of(self, number: int) -> list[Task]:
        """Return the tasks an engine holds, in the order they were given."""
        slot = self._slots.get(number)
        return list(slot.tasks.values()) if slot else []

    def waiting(self, most: int) -> list[Task]:
        """Return the first of the tasks that wait for an engine."""
        return list(islice((t for t in self._queue if t.state is TaskState.QUEUED), most))

    def offer(self, engine: Engine) -> None:
        """Consider an engine that may have become available."""
        slot = self._slots.get(engine.id)
        if slot is not None and slot.engine is engine and slot.wants_more():
            self._policy.add(slot)

    def add(self, tasks: Sequence[Task]) -> None:
        """Queue tasks behind the others."""
        self._queue.extend(tasks)
        self._queued += len(tasks)
        if self._aside:
            self._use_all()

    def add_again(self, tasks: Sequence[Task], *, first: bool = False) -> None:
        """Queue tasks that were taken back: behind the others, or `first`, in their order."""
        fresh = [task for task in tasks if not task.declined]
        if first:
            self._queue.extendleft(reversed(fresh))
        else:
            self._queue.extend(fresh)
        for task in reversed(tasks) if first else tasks:
            if task.declined:
                self._declined.add(task, first=first)
        self._queued += len(tasks)
        self._use_all()

    def hopeless(self) -> list[Task]:
        """Take out the tasks that every engine has declined; with no engines they may wait."""
        if not len(self._declined):
            return []
        tasks = self._declined.hopeless({slot.engine for slot in self._slots.values()})
        self._queued -= len(tasks)
        return tasks

    def _use_all(self) -> None:
        """Offer again the engines that were set aside."""
        aside, self._aside = self._aside, {}
        for slot in aside:
            self.offer(slot.engine)

    def cancelled(self, task: Task) -> None:
        """Note that a queued task ends; its state may still say that it is queued."""
        self._queued -= 1
        if task.declined:
            self._declined.discard(task)
            return
        if len(self._queue) > 2 * self._queued + FEW_HUSKS:
            queued = TaskState.QUEUED
            self._queue = deque(t for t in self._queue if t.state is queued and t is not task)

    def left(self, engine: Engine, tasks: Iterable[Task]) -> None:
        """Note that tasks have left an engine; it may get others."""
        slot = self._slots.get(engine.id)
        if slot is None or slot.engine is not engine:
            return
        for task in tasks:
            slot.take(task)
        if slot.wants_more():
            self._policy.add(slot)

    def assign(self) -> list[tuple[Engine, list[Task]]]:
        """Give queued tasks to engines with room; return who gets what.

        No engine gets more than its share of what is queued, so that a small job spreads.
        """
        given: dict[Slot, list[Task]] = {}
        while self._queued and len(self._policy):
            share = -(-self._queued // len(self._policy))
            slot = self._policy.next()
            if slot is None:
                break
            if not slot.wants_more():
                continue
            batch = self._fill(slot, min(share, MOST_AHEAD))
            if not batch:
                if not slot.tasks:
                    self._aside[slot] = None
                continue
            given.setdefault(slot, []).extend(batch)
            if slot.wants_more():
                self._policy.add(slot)
        return [(slot.engine, batch) for slot, batch in given.items()]

    def _fill(self, slot: Slot, most: int) -> list[Task]:
        batch: list[Task] = []
        if len(self._declined):
            self._fill_declined(slot, most, batch)
        queue = self._queue
        while queue and len(batch) < most:
            task = queue[0]
            if task.state is not TaskState.QUEUED:
                queue.popleft()
                continue
            if not slot.has_room(task):
                break
            queue.popleft()
            slot.give(task)
            batch.append(task)
        self._queued -= len(batch)
        return batch

    def _fill_declined(self, slot: Slot, most: int, batch: list[Task]) -> None:
        while len(batch) < most:
            task = self._declined.first_for(slot.engine)
            if task is None or not slot.has_room(task):
                return
            self._declined.discard(task)
            slot.give(task)
            batch.append(task)

    def check(self) -> None:
        """Assert that counts and slots agree with the tasks."""
        queued = sum(task.state is TaskState.QUEUED for task in self._queue)
        assert self._queued == queued + len(self._declined)
        self._declined.check()
        assert len(set(self._queue)) == len(self._queue)
        self._policy.check()
        for slot in self._slots.values():
            slot.check()
