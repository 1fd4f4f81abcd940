"""The life of a task: its record, and the table of legal steps.

::

    WAITING --release--> QUEUED         what it depends on has ended; its client reads again
    QUEUED --dispatch--> DISPATCHED --finish--> ENDED --(client has the result)--> forgotten
       ^                     |
       +------ requeue ------+     engine lost, an exception with retries left, declined
                                        there, or given back
    WAITING, QUEUED or DISPATCHED --finish--> ENDED     cancelled, or given up

`attempt` grows with every requeue, and a result counts only with the attempt of the moment: a late one
from an engine that was given up is dropped, so the first accepted result is final.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NoReturn

from ctrlhub.controller.core.engines import Engine
from ctrlhub.controller.core.functions import Function
from ctrlhub.controller.core.history import worth_keeping
from ctrlhub.controller.core.needs import ANYWHERE, Needs
from ctrlhub.controller.core.sessions import Session
from ctrlhub.wire.messages import Payload
from ctrlhub.wire.options import PLAIN, TaskOptions


class TaskState(IntEnum):
    """Where a task is in its life; integers, since they hash quickly and every step looks up."""

    QUEUED = 1
    DISPATCHED = 2
    ENDED = 3
    WAITING = 4


class Step(IntEnum):
    """What can happen to a task."""

    DISPATCH = 0
    REQUEUE = 1
    FINISH = 2
    RELEASE = 3


TRANSITIONS = {
    Step.DISPATCH: {TaskState.QUEUED: TaskState.DISPATCHED},
    Step.REQUEUE: {TaskState.DISPATCHED: TaskState.QUEUED},
    Step.FINISH: {
        TaskState.QUEUED: TaskState.ENDED,
        TaskState.DISPATCHED: TaskState.ENDED,
        TaskState.WAITING: TaskState.ENDED,
    },
    Step.RELEASE: {TaskState.WAITING: TaskState.QUEUED},
}
"""All legal steps; any other is a bug in the hub."""

_DISPATCH, _REQUEUE, _FINISH, _RELEASE = (TRANSITIONS[step].get for step in Step)


class IllegalStep(Exception):
    """A step that the table does not allow; the text tells the task's story."""


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """What the tasks of one call share. Compared by identity: it is a key on the hot path."""

    function: Function
    retries: int
    engine_retries: int
    label: str
    submitted: float
    """When they came, on the hub's clock (seconds)."""
    options: TaskOptions = PLAIN
    needs: Needs = ANYWHERE
    """What the options say of where."""


class Task:
    """One task. There may be a million: slots, and nothing that is not needed.

    `needs` say where it may run, as far as that is known. `stopping` is set once nobody wants it any
    more: it is not run again, whatever happens to it.
    """

    __slots__ = (
        "attempt", "engine", "expected", "failures", "id", "losses", "needs", "payload", "session", "state",
        "stopping", "template",
    )  # fmt: skip

    def __init__(self, number: int, session: Session, template: Template, payload: Payload) -> None:
        self.id = number
        self.session = session
        self.template = template
        self.payload = payload
        self.state = TaskState.QUEUED
        self.attempt = 0
        self.engine: Engine | None = None
        self.needs = template.needs
        self.losses = 0
        self.failures = 0
        self.expected = 0.0
        self.stopping = False

    def dispatch(self, engine: Engine) -> None:
        """Give the task to an engine."""
        self.state = _DISPATCH(self.state) or self._refuse(Step.DISPATCH)
        self.engine = engine

    def wait(self) -> None:
        """Have a task that is new wait for others, or one that is queued for its client."""
        self.state = TaskState.WAITING

    def release(self) -> None:
        """Let the task run: what it depends on has ended."""
        self.state = _RELEASE(self.state) or self._refuse(Step.RELEASE)

    def requeue(self) -> None:
        """Take the task back; results of the attempt so far count no more."""
        self.state = _REQUEUE(self.state) or self._refuse(Step.REQUEUE)
        self.engine = None
        self.attempt += 1

    def finish(self) -> None:
        """End the task; its arguments stay, unless they are bulk data, for a resubmission."""
        self.state = _FINISH(self.state) or self._refuse(Step.FINISH)
        self.engine = None
        if type(self.payload) is not bytes:
            self.payload = worth_keeping(self.payload)

    def _refuse(self, step: Step) -> NoReturn:
        raise IllegalStep(f"{step.name.lower()} of {self!r}")

    def __repr__(self) -> str:
        """Tell the task's story so far."""
        where = f" on engine {self.engine.id}" if self.engine else ""
        return (
            f"<Task {self.id} {self.state.name.lower()}{where}, attempt {self.attempt}, "
            f"{self.losses} engines lost, {self.failures} exceptions>"
        )
