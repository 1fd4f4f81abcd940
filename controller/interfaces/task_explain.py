"""The part of `TaskQueue` that says why a task is where it is."""

from __future__ import annotations

from typing import Any

from ctrlhub.controller.core.deliveries import BEHIND_BYTES
from ctrlhub.controller.core.dependencies import Tie, named
from ctrlhub.controller.core.engines import Engine
from ctrlhub.controller.core.sessions import Session
from ctrlhub.controller.core.tasks import Task, TaskState
from ctrlhub.controller.interfaces.base import exposed
from ctrlhub.controller.interfaces.task_stops import TaskStops
from ctrlhub.wire.errors import InvalidRequest
from ctrlhub.wire.messages import Role, Status

_TIES = {
    Tie.AFTER: "it waits for",
    Tie.FOLLOW: "it follows, and waits for,",
    Tie.ARGUMENT: "it is called with the results of",
}

_ENDS = {
    int(Status.OK): "it has ended well",
    int(Status.ERROR): "it has failed",
    int(Status.CANCELLED): "it was cancelled",
    int(Status.PARTLY): "some of its items have failed",
}

FEW_ENGINES = 8
"""So many engines are looked at where it is said why none of them takes a task."""


class TaskExplanations(TaskStops):
    """Says why tasks do not run."""

    @exposed(Role.VIEW)
    def explain(self, caller: Session, request: int) -> dict[str, Any]:
        """Return the state of a task, and why that is so.

        Raises
        ------
        InvalidRequest
            It is not named by an id.
        """
        if type(request) is not int or request < 0:
            raise InvalidRequest("a task is named by its id")
        found = self.find(request)
        if found is None:
            why = "it has not arrived at the hub, or has ended so long ago that it was forgotten"
            return {"state": "unknown", "why": why}
        task, outcome = found
        if outcome is not None:
            why = f"{_ENDS.get(outcome[1], 'it has failed')}; its result is on its way, or was fetched"
            return {"state": "ended", "why": why}
        state = {TaskState.WAITING: "waiting", TaskState.QUEUED: "queued"}.get(task.state, "given")
        return {"state": state, "why": self._why(task)}

    def _why(self, task: Task) -> str:
        if task.state is TaskState.WAITING:
            return self._why_waiting(task)
        if task.state is TaskState.QUEUED:
            return self._why_queued(task)
        return self._where(task)

    def _why_waiting(self, task: Task) -> str:
        if task not in self._dependencies:
            return (
                f"its client has not read its results, of which more than {BEHIND_BYTES >> 20} MiB wait for "
                "it: it runs when the client has caught up"
            )
        reasons = []
        for tie, condition, left in self._dependencies.awaited(task):
            many = "one of " if not condition.all and len(left) > 1 else ""
            word = "request" if len(left) == 1 else "requests"
            reasons.append(f"{_TIES[tie]} {many}{word} {named(left)}{self._how_far(left)}")
        return "; ".join(reasons)

    def _how_far(self, numbers: list[int]) -> str:
        if len(numbers) != 1:
            return ""
        first = self._records.get(numbers[0])
        if first is None:
            there = any(each.find(numbers[0]) is not None for each in self._recorded)
            return ", which has not ended" if there else ", which has not arrived yet"
        states = {
            TaskState.WAITING: ", which waits itself",
            TaskState.QUEUED: ", which is queued",
        }
        if first.engine is not None:
            return f", which engine {first.engine.id} has"
        return states.get(first.state, "")

    def _why_queued(self, task: Task) -> str:
        engines = [slot.engine for slot in self._scheduler.slots()]
        if not engines:
            return "there is no engine: start some, with `ctrl-hub engine` or a Cluster"
        fit = [slot.engine for slot in self._scheduler.that_fit(task.needs)]
        if not fit and all(engine.drains for engine in engines):
            return "; ".join(map(self._why_not_now, engines[:FEW_ENGINES]))
        if not fit:
            return self._scheduler.why_nobody(task.needs)
        busy = "; ".join(self._why_not_now(engine) for engine in fit[:FEW_ENGINES])
        more = f"; and {len(fit) - FEW_ENGINES} more" if len(fit) > FEW_ENGINES else ""
        which = (
            "" if len(fit) == len(engines) else f"only {len(fit)} of {len(engines)} may run it; "
        )
        ahead = self._scheduler.queued - 1
        return f"{which}{busy}{more}; {ahead} other tasks are queued"

    def _why_not_now(self, engine: Engine) -> str:
        name = f"engine {engine.id}"
        if engine.failed_hooks:
            return f"{name} is not prepared: start hooks {sorted(engine.failed_hooks)} failed on it"
        if engine.session.suspect:
            return f"{name} has not been heard of for a while"
        if engine.drains:
            return f"{name} is draining, and takes nothing new ({engine.drain_reason})"
        if engine.restart or engine.cause:
            return f"{name} is being restarted"
        if engine.commands:
            return f"{name} has {engine.commands} commands to run first"
        if engine.tasks:
            return f"{name} is busy with {engine.tasks} tasks"
        return f"{name} is free, and gets it now"

    def _where(self, task: Task) -> str:
        engine = task.engine
        slot = self._scheduler.slot_of(engine) if engine is not None else None
        if engine is None or slot is None:
            return "it has ended"
        ahead = list(slot.tasks).index(task.id) if task.id in slot.tasks else 0
        stopping = ", and is to stop" if task.stopping else ""
        if engine.commands:
            return f"engine {engine.id} has it{stopping}; commands may run there before it"
        if ahead:
            return f"engine {engine.id} has it{stopping}, and runs {ahead} others before it"
        return f"it runs on engine {engine.id}{stopping}"
