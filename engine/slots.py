"""The slots of a nanny: which engine is to be started when, without I/O.

::

    WAITING --due--> STARTING --started--> RUNNING --left--> ENDED
       ^                |                     |
       +----- died -----+------- died --------+     later each time, unless a request is to blame
                        +------- died --------+---> GIVEN_UP, after too many early deaths

A slot that is to be restarted goes from any state to WAITING, without a wait: at once, or when the
process that is in it has ended. One that *retires* goes to ENDED in the same way, whatever its process
ends of. One that does not end when it is asked to is *stubborn* after a while.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ctrlhub.engine.config import RestartPolicy

NEVER = float("inf")


class SlotState(Enum):
    """Where a slot stands."""

    WAITING = "waiting to be started"
    STARTING = "being started"
    RUNNING = "running"
    ENDED = "ended as it should"
    GIVEN_UP = "given up"


@dataclass(slots=True)
class Slot:
    """One slot: the process in it, and its history as far as restarts need it.

    `killed_by` is the last signal that somebody asked to be sent to the process (0: none). `retiring`
    is one in which no other process is to follow, `overdue` one whose time to finish was over.
    """

    number: int
    state: SlotState = SlotState.WAITING
    pid: int = 0
    due: float = 0.0
    began: float = 0.0
    wait: float = 0.0
    early_deaths: int = 0
    restarting: bool = False
    stubborn_at: float = NEVER
    killed_by: int = 0
    retiring: bool = False
    overdue: bool = False


class Slots:
    """All slots of a nanny.

    Parameters
    ----------
    count
        How many there are.
    policy
        When to start again.
    """

    def __init__(self, count: int, policy: RestartPolicy) -> None:
        self._policy = policy
        self._slots = [Slot(number, wait=policy.first) for number in range(count)]
        self._stopping = False

    def __getitem__(self, number: int) -> Slot:
        return self._slots[number]

    def __len__(self) -> int:
        return len(self._slots)

    def grow(self, count: int, now: float) -> list[int]:
        """Have so many further engines started, in slots that are free, else in new ones; return these.

        A slot that was given up is none that is free: what ended its engines would end others.
        """
        if self._stopping:
            return []
        free = self.in_state(SlotState.ENDED)[:count]
        while len(free) < count:
            free.append(Slot(len(self._slots)))
            self._slots.append(free[-1])
        for slot in free:
            slot.retiring = slot.overdue = False
            self._renew(slot, now)
        return [slot.number for slot in free]

    def in_state(self, *states: SlotState) -> list[Slot]:
        """Return the slots in any of these states."""
        return [slot for slot in self._slots if slot.state in states]

    @property
    def active(self) -> bool:
        """Whether an engine runs, or will."""
        return bool(self.in_state(SlotState.WAITING, SlotState.STARTING, SlotState.RUNNING))

    def take_due(self, now: float) -> list[Slot]:
        """Return the slots whose engines are to be started now."""
        due = [slot for slot in self.in_state(SlotState.WAITING) if slot.due <= now]
        for slot in due:
            slot.state, slot.began, slot.killed_by = SlotState.STARTING, now, 0
        return due

    def take_stubborn(self, now: float) -> list[Slot]:
        """Return the slots whose engines have not ended although they were to, to be killed."""
        stubborn = [slot for slot in self._slots if slot.stubborn_at <= now]
        for slot in stubborn:
            slot.stubborn_at, slot.overdue = NEVER, slot.retiring
        return stubborn

    def next_deadline(self) -> float | None:
        """Tell when `take_due` or `take_stubborn` has something next."""
        due = [slot.due for slot in self.in_state(SlotState.WAITING)]
        due += [slot.stubborn_at for slot in self._slots if slot.stubborn_at != NEVER]
        return min(due, default=None)

    def started(self, number: int, pid: int) -> None:
        """Take note of a process in a slot."""
        slot = self._slots[number]
        slot.state, slot.pid = SlotState.RUNNING, pid

    def left(self, number: int) -> None:
        """Take note that an engine ended as it should: it is not started again."""
        slot = self._slots[number]
        slot.state, slot.pid, slot.stubborn_at = SlotState.ENDED, 0, NEVER

    def refused(self, number: int) -> None:
        """Take note that the hub does not want the engine: another one it would not want either."""
        slot = self._slots[number]
        slot.state, slot.pid, slot.stubborn_at = SlotState.GIVEN_UP, 0, NEVER

    def died(self, number: int, now: float, running: int = 0) -> bool:
        """Take note that an engine ended and should not have; tell whether it is started again.

        Parameters
        ----------
        number, now
            The slot, and the time in seconds.
        running
            The request that ran (0: none). It is to blame then, not the engine, which lived as far
            as that; the hub sees to it that no request does this for ever.
        """
        slot, policy = self._slots[number], self._policy
        slot.pid = 0
        if self._stopping or slot.retiring:
            slot.stubborn_at = NEVER
            slot.state = SlotState.ENDED
            return False
        if running or now - slot.began >= policy.early:
            slot.early_deaths, slot.wait = 0, policy.first
        else:
            slot.early_deaths += 1
        if slot.early_deaths >= policy.attempts:
            slot.state = SlotState.GIVEN_UP
            return False
        slot.state, slot.due = SlotState.WAITING, now + slot.wait
        slot.wait = min(slot.wait * policy.factor, policy.longest)
        return True

    def restart(self, number: int, now: float, grace: float) -> bool:
        """Have another engine in a slot, whatever its history; tell whether one has to be asked to go.

        Of several orders the most urgent one counts.
        """
        slot = self._slots[number]
        if slot.restarting or slot.retiring:
            slot.stubborn_at = min(slot.stubborn_at, now + grace)
        if slot.retiring:
            return slot.state is SlotState.RUNNING
        if self._stopping or slot.restarting:
            return False
        if slot.state in (SlotState.STARTING, SlotState.RUNNING):
            slot.restarting, slot.stubborn_at = True, now + grace
            return slot.state is SlotState.RUNNING
        self._renew(slot, now)
        return False

    def retire(self, number: int, deadline: float = NEVER) -> None:
        """Have no other engine in a slot; at the deadline, if there is one, its process is stubborn."""
        slot = self._slots[number]
        if slot.state is SlotState.WAITING:
            slot.state = SlotState.ENDED
        if slot.state in (SlotState.STARTING, SlotState.RUNNING):
            slot.retiring, slot.restarting = True, False
            slot.stubborn_at = min(slot.stubborn_at, deadline)

    def restarted(self, number: int, now: float) -> None:
        """Take note that an engine has ended that was to be restarted."""
        self._renew(self._slots[number], now)

    def _renew(self, slot: Slot, now: float) -> None:
        slot.pid, slot.restarting, slot.stubborn_at = 0, False, NEVER
        slot.early_deaths, slot.wait = 0, self._policy.first
        slot.state = SlotState.ENDED if self._stopping or slot.retiring else SlotState.WAITING
        slot.due = now

    def stop(self) -> None:
        """Start nothing any more."""
        self._stopping = True
        for slot in self.in_state(SlotState.WAITING):
            slot.state = SlotState.ENDED
