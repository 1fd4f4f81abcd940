"""The part of `TaskQueue` that takes back the tasks of the hub before this one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from ctrlhub.controller.core.awaiting import GRACE
from ctrlhub.controller.core.deaths import Death, Deaths
from ctrlhub.controller.core.engines import Engine
from ctrlhub.controller.core.former import Former
from ctrlhub.controller.core.functions import Function, FunctionTable
from ctrlhub.controller.core.held_back import HeldBack
from ctrlhub.controller.core.needs import ANYWHERE, Needs
from ctrlhub.controller.core.retries import Raised
from ctrlhub.controller.core.saved import Saved, SavedTask, SavedTemplate
from ctrlhub.controller.core.tasks import Task, TaskState, Template
from ctrlhub.controller.interfaces.base import Context
from ctrlhub.controller.interfaces.task_strays import TaskStrays
from ctrlhub.controller.service import IControllerBase
from ctrlhub.wire.errors import CtrlHubError, EngineError
from ctrlhub.wire.ids import Ranges
from ctrlhub.wire.options import PLAIN, TaskOptions


class TaskReturns(TaskStrays):
    """Takes tasks back, and finds out which engine has which.

    Parameters
    ----------
    controller, context
        As for `Interface`.
    """

    def __init__(self, controller: IControllerBase, context: Context) -> None:
        super().__init__(controller, context)
        self._functions = FunctionTable()
        self._held_back: HeldBack | None = None
        self._deaths = Deaths(context.outbox)
        self._raised = Raised(context.outbox)
        self._templates: dict[int, Template] = {}  # by identity of the saved one

    def _run(self, engine: Engine, tasks: Sequence[Task]) -> None:
        raise NotImplementedError

    # ------------------------------------------------------------ from the store

    def _saved_here(self, saved: Saved) -> Mapping[int, SavedTask]:
        return saved.tasks

    def _made_again(self, saved: SavedTask, former: Former) -> Task | None:
        blob = former.saved.functions.get(saved.template.digest)
        if blob is None:
            return None
        template = self._templates.get(id(saved.template))
        if template is None:
            function = self._functions.take_back(saved.template.digest, blob)
            # Never later than now, though the clock was set back: a timeout would last for longer.
            came = min(saved.template.submitted - former.unix_offset, self.context.now())
            template = _made_template(saved.template, function, came)
            self._templates[id(saved.template)] = template
        task = Task(saved.id, former.client_of(saved.id), template, saved.payload)
        task.losses = self._deaths.count(saved.id)
        task.failures = self._raised.count(saved.id)
        return task

    def restore(self, former: Former) -> None:
        """Take back tasks, the engines that they have killed, and how often they have raised."""
        charges = self._deaths, self._raised
        for charged in charges:
            charged.take_back(former.saved.kept)
        super().restore(former)
        for charged in charges:
            for number in charged.numbers():
                task = self._records.get(number)
                if task is None or task.state is TaskState.ENDED:
                    charged.forget(number)
                else:
                    self._tracked.add(task)

    def _has_ended(self, request: Task) -> None:
        request.state = TaskState.ENDED

    # ------------------------------------------------------------ the engines that they have killed

    def has_killed(self, request: int, death: Death) -> bool:
        """Charge a task, also one that this hub has not given to the engine that has died."""
        task = self._records.get(request)
        if task is None:
            if self.context.is_settling():  # its client may be on its way
                self._deaths.expect(request, death)
                return False
        elif task.state is not TaskState.ENDED and self._deaths.charge_once(task, death):
            self._tracked.add(task)
            self._end_if_deadly(task, death)
        return True

    def _end_if_deadly(self, task: Task, death: Death) -> bool:
        """End a task that has killed as many engines as it may, unless another one runs it by now."""
        if task.losses <= task.template.engine_retries or task.state is TaskState.DISPATCHED:
            return False
        if task.state is TaskState.QUEUED:
            self._scheduler.cancelled(task)
        self._give_up_on(task, death)
        return True

    def _give_up_on(self, task: Task, death: Death) -> None:
        self._fail(task, EngineError(self._deaths.story(task.id, death), death.engine), death.engine)

    def _take_early_deaths(self, tasks: Sequence[Task]) -> list[Task]:
        """Charge tasks that have come with what they did under another hub; return those that may run."""
        left = []
        for task in tasks:
            death = self._deaths.take_early(task)
            if death is not None:
                task.wait()
                self._tracked.add(task)
                if self._end_if_deadly(task, death):
                    continue
                task.state = TaskState.QUEUED
            left.append(task)
        return left

    def _go_on(self, requests: Sequence[Task], former: Former) -> None:
        self._templates.clear()
        self.returned += len(requests)
        engines = list(former.engines.values())
        if engines:
            self._held_back = HeldBack(engines, self.context.now() + GRACE)
        for _, tasks in groupby(requests, lambda task: task.session):
            self._place(tuple(tasks))

    # ------------------------------------------------------------ until engines have said what they have

    def _place(self, tasks: Sequence[Task]) -> None:
        """Queue new tasks of one client, or have them wait; of a client that is back, for engines."""
        if self._deaths.some_are_early:
            tasks = self._take_early_deaths(tasks)
        held = self._held_back
        if held is None or not tasks or not tasks[0].session.returned:
            if tasks:
                super()._place(tasks)
            return
        claimed, others = [], []
        for task in tasks:
            key = held.claimed_by(task)
            engine = None if key is None else self._engine_of(key)
            if engine is not None:
                claimed.append((engine, task))
            else:
                others.append(task)
        for engine, task in claimed:  # it is asked for its result, which it may have said before
            self._begin_held(task)
            self._adopt(engine, task)
        for engine in {engine for engine, _ in claimed}:
            self._put_in_order(engine, held)
        for engine, task in claimed:
            self._run(engine, [task])
        if not held.waits(self.context.now()):
            if others:
                super()._place(others)
            return
        for task in others:
            self._begin_held(task)
            held.hold(task)

    def _begin_held(self, task: Task) -> None:
        task.wait()
        self._tracked.add(task)

    def _engine_of(self, key: str) -> Engine | None:
        found = (slot.engine for slot in self._scheduler.slots() if slot.engine.key == key)
        return next(found, None)

    def _take_claimed(self, engine: Engine, held: Ranges) -> None:
        """Leave to an engine that is back what it has, unless that is not to be."""
        if self._held_back is not None:
            for task in self._held_back.back(engine.session, held, self._records):
                task.attempt = ADOPTED
                self._adopt(engine, task)
            self._put_in_order(engine, self._held_back)
        self._stop_strays(engine, held)

    def _adopt(self, engine: Engine, task: Task) -> None:
        if task.template.options.arguments and not self._has_arguments(task):
            return
        if task.state is TaskState.WAITING:
            task.release()
        self._scheduler.adopt(engine, task, self.context.now())
        if task.template.options.time_limit is not None:
            self._limit(task)

    def _put_in_order(self, engine: Engine, held: HeldBack) -> None:
        """Have what an engine had before in its order: the first is what runs, and is to be timed."""
        self._scheduler.put_first(engine, held.order_of(engine.key))
        self._look_at_first_alone(engine)

    def _has_arguments(self, task: Task) -> bool:
        """Find the values that a task is called with, should it have to be given to another engine.

        Where they are still to come, it waits for them, like a task that no engine has.
        """
        try:
            freed = self._dependencies.add(task)
        except CtrlHubError:  # they are forgotten: they have been with the engine
            return True
        if freed is None:
            task.attempt = 0
            return False
        self._free(freed)
        return True

    def _untrack(self, task: Task) -> None:
        super()._untrack(task)
        self._deaths.forget(task.id)
        self._raised.forget(task.id)
        if self._held_back is not None:
            self._held_back.discard(task)

    def _await_no_more(self, engine: Engine) -> None:
        if self._held_back is not None:
            self._held_back.gone(engine.key)

    def _release_held(self, now: float) -> None:
        """Queue what nobody has, once every engine has said so or is late."""
        held = self._held_back
        assert held is not None
        for key in self.context.perished():
            held.gone(key)
        if held.waits(now):
            return
        tasks = held.release()
        for task in tasks:
            task.state = TaskState.QUEUED
        for _, group in groupby(tasks, lambda task: task.session):
            super()._place(tuple(group))
        if now >= held.until:
            self._held_back = None

    # ------------------------------------------------------------ each turn, and time

    def flush(self, now: float) -> None:
        """Queue what is held back no longer."""
        super().flush(now)
        if self._held_back is not None:
            self._release_held(now)

    def next_deadline(self) -> float | None:
        """Say when `tick` is due."""
        times = (super().next_deadline(), self._held_back.until if self._held_back else None)
        return min((due for due in times if due is not None), default=None)

    # ------------------------------------------------------------ what is said of them

    def _is_held_back(self, task: Task) -> bool:
        return self._held_back is not None and task in self._held_back

    def _why(self, task: Task) -> str:
        if self._is_held_back(task):
            return "the hub was restarted, and its engines have yet to say which tasks they have"
        return super()._why(task)

    @property
    def unassigned(self) -> int:
        """How many tasks no engine has, or none that has said so."""
        held = self._held_back
        return super().unassigned + (0 if held is None else len(held))


ADOPTED = -1
"""The attempt of a task that an engine has from the hub before this one: its result tells which."""


def is_adopted(task: Task, attempt: int) -> bool:
    """Tell whether a task was with its engine before; its result says which attempt it is."""
    if task.attempt != ADOPTED:
        return False
    task.attempt = attempt
    return True


def _made_template(saved: SavedTemplate, function: Function, came: float) -> Template:
    _, retries, engine_retries, label, _, options = saved
    asked = PLAIN if options is None else TaskOptions.from_wire(options)
    return Template(function, retries, engine_retries, label, came, asked, needs_of(asked))


def needs_of(options: TaskOptions) -> Needs:
    """Return what options say of where a task may run."""
    if options.targets is None and not options.resources:
        return ANYWHERE
    targets = None if options.targets is None else frozenset(options.targets)
    return Needs(targets, options.resources)
