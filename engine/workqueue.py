"""Between the I/O thread, which brings work, and the main thread, which does it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from queue import SimpleQueue

from ctrlhub.engine.interrupts import Gate
from ctrlhub.engine.work import CommandWork, TaskWork


class WorkQueue:
    """Commands and tasks that have not begun.

    Every step is one operation on a deque, which is atomic; so whoever takes a piece of work out
    has it alone, be it to run or to withdraw it, and nobody ever waits for a lock.

    Attributes
    ----------
    urgent : deque
        Commands, and None for the end. These go before any task.
    tasks : deque
        Tasks.
    """

    def __init__(self, gate: Gate) -> None:
        self.urgent: deque[CommandWork | None] = deque()
        self.tasks: deque[TaskWork] = deque()
        self._gate = gate
        self._asleep = False
        self._wake: SimpleQueue[None] = SimpleQueue()

    def put_command(self, work: CommandWork) -> None:
        """Add a command."""
        self.urgent.append(work)
        self._rouse()

    def put_tasks(self, work: Sequence[TaskWork]) -> None:
        """Add tasks."""
        self.tasks.extend(work)
        self._rouse()

    def end(self) -> None:
        """Have nothing begin any more. May be called in a signal's handler: nothing here locks."""
        self.tasks.clear()
        self.urgent.appendleft(None)
        self._rouse()

    def finish(self) -> tuple[list[int], list[int]]:
        """Have nothing begin any more; return the tasks and the commands that have not begun."""
        tasks = self.give_back(len(self.tasks) + 1)
        commands = [w.id for w in list(self.urgent) if w is not None and _took(self.urgent, w)]
        self.end()
        return tasks, commands

    def has_work(self) -> bool:
        """Say whether there is something to do."""
        return bool(self.urgent or self.tasks)

    def wait(self) -> None:
        """Wait until there may be something to do."""
        # The sleep is announced before the last look, so that no work is overlooked.
        self._asleep = True
        if not self.urgent and not self.tasks:
            self._wake.get()
        self._asleep = False

    def _rouse(self) -> None:
        if self._asleep:
            self._asleep = False
            self._wake.put(None)

    def stop(self, requests: Sequence[int]) -> tuple[list[int], list[int]]:
        """Withdraw what has not begun, interrupt what runs.

        Returns
        -------
        tuple of lists
            What was withdrawn; and what was neither here nor running: about to begin, or ended.
        """
        wanted = set(requests)
        withdrawn = [w.id for w in list(self.tasks) if w.id in wanted and _took(self.tasks, w)]
        for work in list(self.urgent):
            if work is not None and work.id in wanted and _took(self.urgent, work):
                withdrawn.append(work.id)
        for number in withdrawn:  # of a task that the hub gave anew, another attempt may run
            self._gate.cancel(number)
        wanted.difference_update(withdrawn)
        return withdrawn, [number for number in wanted if not self._gate.cancel(number)]

    def give_back(self, most: int) -> list[int]:
        """Withdraw so many tasks that have not begun, the last first; return them."""
        withdrawn: list[int] = []
        while len(withdrawn) < most:
            try:
                withdrawn.append(self.tasks.pop().id)
            except IndexError:
                break
        return withdrawn

    def interrupt(self, requests: Iterable[int]) -> list[int]:
        """Interrupt that of the requests which runs; return it."""
        return [number for number in requests if self._gate.interrupt(number)]

    def interrupt_running(self) -> list[int]:
        """Interrupt whatever runs; return it."""
        return self.interrupt((self._gate.armed,))

    def insist(self, requests: Iterable[int]) -> None:
        """See to it that interrupts are not lost."""
        for number in requests:
            self._gate.insist(number)


def _took(queue: deque[TaskWork] | deque[CommandWork | None], work: TaskWork | CommandWork) -> bool:
    """Take work out, unless it was taken already; comparing it runs no Python code."""
    try:
        queue.remove(work)  # type: ignore[arg-type]
    except ValueError:
        return False
    return True
