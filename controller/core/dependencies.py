"""Dependencies: which tasks wait for which requests, and what becomes of them.

Each task that waits has conditions, and each condition counts what has not ended yet of the requests
that it names. So the end of a request costs a step for each task that waits for it, whatever else
waits. A request must be known when it is named; therefore no circle can be made. Only one of another
client may be on its way: what is waited for already when it comes is seen not to wait for those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from typing import TypeAlias

from ctrlhub.controller.core.deliveries import Outcome
from ctrlhub.controller.core.history import GONE
from ctrlhub.controller.core.tasks import Task
from ctrlhub.wire.errors import (
    CtrlHubError,
    ImpossibleDependency,
    InvalidDependency,
    ResultLost,
)
from ctrlhub.wire.failure import summary_of
from ctrlhub.wire.ids import Ranges, from_ranges, text_of
from ctrlhub.wire.messages import Payload, Status
from ctrlhub.wire.options import Condition, TaskOptions

_OK, _ERROR, _CANCELLED = int(Status.OK), int(Status.ERROR), int(Status.CANCELLED)

FEW_SHOWN = 5
"""So many requests are named where it is said what a task waits for."""


class Unknown(Enum):
    """What is known of a request that has no outcome."""

    PENDING = "it has not ended"
    EXPECTED = "it may be on its way from its client"
    NOWHERE = "there is no such request"


LONG_AGO = -1
"""Stands for the engine, and for the time, of what has been forgotten."""

FORMER_HUB = -2
"""Stands for the engine of what a former hub knew."""


def forgotten(number: int, well: bool, engine: int | None) -> Outcome:
    """Make the outcome of a request of which is only known whether it ended well, and perhaps where."""
    place = LONG_AGO if engine is None else engine
    return (number, _OK if well else _ERROR, GONE, place, LONG_AGO, 0.0, None)


def of_former_hub(number: int) -> Outcome:
    """Make the outcome of a request that a client has fetched from a hub that was killed."""
    return (number, _OK, GONE, FORMER_HUB, 0.0, 0.0, None)


Lookup: TypeAlias = Callable[[int], "Outcome | Unknown"]
"""Returns the outcome of a request, or why there is none."""


class Tie(Enum):
    """What a condition is for."""

    AFTER = "after"
    FOLLOW = "follow"
    ARGUMENT = "argument"


class _Pending:
    """A condition of a task, as far as it has not been met."""

    __slots__ = ("condition", "left", "met", "tie", "waiting")

    def __init__(self, waiting: _Waiting, tie: Tie, condition: Condition) -> None:
        self.waiting = waiting
        self.tie = tie
        self.condition = condition
        self.left: dict[int, None] = {}
        self.met = False

    def take(self, outcome: Outcome) -> CtrlHubError | None:
        """Take note of how a request ended; return why the condition can never be met, if so."""
        condition, ok = self.condition, outcome[1] == _OK
        counts = condition.success if ok else condition.failure
        if self.tie is Tie.FOLLOW and counts and outcome[2] == GONE and outcome[3] < 0:
            why = (
                "ended before the hub was killed, and this one does not know where: name the engine "
                "with targets, and submit this task again"
                if outcome[3] == FORMER_HUB
                else "has ended so long ago that the hub has forgotten where: name the engine with targets"
            )
            return InvalidDependency(
                f"request {text_of(outcome[0])}, which this task follows, {why}"
            )
        if counts:
            self._count(outcome)
        if self.tie is Tie.ARGUMENT and outcome[2] == GONE:
            return ResultLost(
                f"the value of request {text_of(outcome[0])}, an argument of this task, "
                f"{_why_gone(outcome)}"
            )
        if condition.all:
            return None if counts else self._why_not(outcome)
        return None

    def _count(self, outcome: Outcome) -> None:
        waiting = self.waiting
        if self.tie is Tie.FOLLOW and outcome[3] >= 0:
            waiting.followed(outcome[3], all=self.condition.all, key=self)
        elif self.tie is Tie.ARGUMENT:
            waiting.values[outcome[0]] = outcome[2]
        if not self.condition.all:
            self.met = True

    def _why_not(self, outcome: Outcome) -> ImpossibleDependency:
        request = text_of(outcome[0])
        if outcome[1] == _OK:
            return ImpossibleDependency(
                f"request {request} ended well, and this task waits for its failure"
            )
        how = "was cancelled" if outcome[1] == _CANCELLED else f"failed{_summary(outcome)}"
        why = "it is an argument of" if self.tie is Tie.ARGUMENT else "its success is needed by"
        return ImpossibleDependency(f"request {request} {how}, and {why} this task")

    def verdict(self) -> CtrlHubError | None:
        """Conclude once all its requests have ended."""
        if self.left or self.met:
            return None
        if self.condition.all or not self.condition.requests:
            self.met = True
            return None
        return ImpossibleDependency(
            f"none of the {_few(self.condition.requests)} ended as this task needs it"
        )


class _Waiting:
    """A task, and the conditions that it has."""

    __slots__ = ("_places", "pending", "task", "unmet", "values")

    def __init__(self, task: Task) -> None:
        self.task = task
        self.pending: list[_Pending] = []
        self.unmet = 0
        self.values: dict[int, Payload] = {}
        self._places: dict[_Pending, set[int] | None] = {}

    def followed(self, engine: int, *, all: bool, key: _Pending) -> None:
        """Take note of where a request ran that is followed."""
        places = self._places.setdefault(key, set())
        assert places is not None
        places.add(engine)

    def targets(self) -> frozenset[int] | None:
        """Return where the task may run because of what it follows; None for anywhere."""
        found: frozenset[int] | None = None
        for pending, places in self._places.items():
            ran = frozenset(places or ())
            if pending.condition.all and len(ran) > 1:
                ran = frozenset()  # on several engines, and no one has run all
            found = ran if found is None else found & ran
        return found


class Freed:
    """A task that waits for nothing any more.

    Attributes
    ----------
    targets
        The engines on which it may run because of what it follows; None for any.
    values
        What it is called with, by request.
    """

    __slots__ = ("targets", "task", "values")

    def __init__(self, waiting: _Waiting) -> None:
        self.task = waiting.task
        self.targets = waiting.targets()
        self.values = waiting.values


class Dependencies:
    """The tasks that wait for other requests.

    Parameters
    ----------
    look
        Says how a request ended.
    watch
        Called with a request for whose end tasks begin to wait.
    """

    def __init__(self, look: Lookup, watch: Callable[[int], None]) -> None:
        self._look = look
        self._watch = watch
        self._waiting: dict[Task, _Waiting] = {}
        self._dependents: dict[int, dict[_Pending, None]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, task: object) -> bool:
        return task in self._waiting

    def add(self, task: Task) -> Freed | None:
        """Have a task wait for what its options say; return it if there is nothing to wait for.

        Raises
        ------
        CtrlHubError
            It can never run; the message says why.
        """
        waiting = _Waiting(task)
        for tie, condition in _conditions(task.template.options):
            pending = _Pending(waiting, tie, condition)
            places = dict(condition.places)
            for number in from_ranges(condition.requests):
                self._take_up(pending, number, places.get(number))
            error = pending.verdict()
            if error is not None:
                raise error
            if not pending.met:
                waiting.pending.append(pending)
        if not waiting.pending:
            return Freed(waiting)
        if task.id in self._dependents:
            self._refuse_circle(waiting)
        self._register(waiting)
        return None

    def _refuse_circle(self, waiting: _Waiting) -> None:
        behind = {waiting.task.id}
        ahead = [waiting.task.id]
        while ahead:
            for pending in self._dependents.get(ahead.pop(), ()):
                number = pending.waiting.task.id
                if number not in behind:
                    behind.add(number)
                    ahead.append(number)
        for pending in waiting.pending:
            for number in behind & pending.left.keys():
                raise InvalidDependency(
                    f"request {text_of(number)}, which this task waits for, waits for this task"
                )

    def _take_up(self, pending: _Pending, number: int, place: int | None) -> None:
        outcome = self._look(number)
        if place is not None and _is_vague(outcome):  # its client knows more
            outcome = forgotten(number, True, place)
        if outcome is Unknown.PENDING or outcome is Unknown.EXPECTED:
            if number == pending.waiting.task.id:
                raise InvalidDependency("a task cannot depend on itself")
            pending.left[number] = None
            return
        if isinstance(outcome, Unknown):
            raise _unknown(number)
        error = pending.take(outcome)
        if error is not None:
            raise error

    def _register(self, waiting: _Waiting) -> None:
        self._waiting[waiting.task] = waiting
        waiting.unmet = len(waiting.pending)
        for pending in waiting.pending:
            for number in pending.left:
                dependents = self._dependents.get(number)
                if dependents is None:
                    dependents = self._dependents[number] = {}
                    self._watch(number)
                dependents[pending] = None

    def ended(self, outcome: Outcome) -> Iterator[Freed | tuple[Task, CtrlHubError]]:
        """Take note of the end of a request; yield the tasks that wait no more, or in vain."""
        number = outcome[0]
        for pending in self._dependents.pop(number, ()):
            if number not in pending.left:  # its task was given up a moment ago
                continue
            waiting = pending.waiting
            del pending.left[number]
            error = pending.take(outcome) or pending.verdict()
            if error is not None:
                self.discard(waiting.task)
                yield waiting.task, error
            elif pending.met:
                self._drop(pending)
                waiting.unmet -= 1
                if not waiting.unmet:
                    del self._waiting[waiting.task]
                    yield Freed(waiting)

    def never_came(self, number: int) -> list[tuple[Task, CtrlHubError]]:
        """Give up a request that was expected; return the tasks that waited for it, in vain."""
        tasks = {pending.waiting.task: None for pending in self._dependents.get(number, ())}
        for task in tasks:
            self.discard(task)
        return [(task, _unknown(number)) for task in tasks]

    def discard(self, task: Task) -> None:
        """Forget a task that is not to run."""
        waiting = self._waiting.pop(task, None)
        if waiting is not None:
            for pending in waiting.pending:
                self._drop(pending)

    def _drop(self, pending: _Pending) -> None:
        for number in pending.left:
            dependents = self._dependents.get(number)
            if dependents is not None:
                dependents.pop(pending, None)
                if not dependents:
                    del self._dependents[number]
        pending.left.clear()

    def awaited(self, task: Task) -> list[tuple[Tie, Condition, list[int]]]:
        """Return what a task waits for: each condition, and the first of what has not ended of it."""
        waiting = self._waiting.get(task)
        if waiting is None:
            return []
        return [
            (pending.tie, pending.condition, list(pending.left))
            for pending in waiting.pending
            if not pending.met
        ]

    def check(self) -> None:
        """Assert that tasks and requests agree."""
        edges = {(n, p) for n, pendings in self._dependents.items() for p in pendings}
        pendings = [p for waiting in self._waiting.values() for p in waiting.pending]
        assert edges == {(n, p) for p in pendings for n in p.left}
        for task, waiting in self._waiting.items():
            assert waiting.task is task
            assert waiting.unmet == sum(not p.met for p in waiting.pending) > 0
            assert all(p.left or p.met for p in waiting.pending)


def _conditions(options: TaskOptions) -> Iterator[tuple[Tie, Condition]]:
    for condition in options.after:
        yield Tie.AFTER, condition
    for condition in options.follow:
        yield Tie.FOLLOW, condition
    if options.arguments:
        yield Tie.ARGUMENT, Condition(options.arguments)


def _is_vague(outcome: Outcome | Unknown) -> bool:
    if isinstance(outcome, Unknown):
        return outcome is Unknown.NOWHERE
    return outcome[2] == GONE and outcome[3] < 0 and outcome[1] == _OK


def _unknown(number: int) -> InvalidDependency:
    return InvalidDependency(
        f"request {text_of(number)} is not known to the hub: it was never made, or it has ended so "
        "long ago, or been purged, that the hub has forgotten it"
    )


def _why_gone(outcome: Outcome) -> str:
    if outcome[3] == FORMER_HUB:
        return (
            "went with the hub that was killed, since it had been fetched: submit both again, or give "
            "the value itself as the argument"
        )
    if outcome[4] == LONG_AGO:
        return (
            "was forgotten, since it was fetched long ago: give the value itself as the argument, or "
            "raise the hub's history_records"
        )
    return "was too large to be kept: raise the hub's history_bytes, or have an engine keep it"


def _summary(outcome: Outcome) -> str:
    what = summary_of(outcome[1], outcome[2])
    return f" ({what:.400})" if what else ""


def _few(requests: Ranges) -> str:
    return f"requests {named(from_ranges(requests))}"


def named(numbers: Iterable[int]) -> str:
    """Name some requests for people."""
    ordered = list(numbers)
    shown = ", ".join(text_of(number) for number in ordered[:FEW_SHOWN])
    more = len(ordered) - FEW_SHOWN
    return shown if more <= 0 else f"{shown} and {more} more"
