"""The part of `TaskQueue` that takes tasks from clients: what it lacks it asks for, and what it takes it acknowledges."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

from ctrlhub.controller.core.effects import Acknowledge, Commit, Forget, SaveRequests
from ctrlhub.controller.core.functions import Function
from ctrlhub.controller.core.sessions import Session
from ctrlhub.controller.core.tasks import Task, Template
from ctrlhub.controller.interfaces.base import Context
from ctrlhub.controller.interfaces.task_returns import TaskReturns, needs_of
from ctrlhub.controller.service import IControllerBase
from ctrlhub.wire.codec import resolve
from ctrlhub.wire.errors import CtrlHubError, InvalidRequest, LimitExceeded, TaskAborted
from ctrlhub.wire.failure import Failure, pack_failure
from ctrlhub.wire.ids import session_of, to_ranges
from ctrlhub.wire.messages import (
    Accepted,
    Functions,
    NeedFunctions,
    Status,
    Stream,
    SubmitTasks,
    TemplateRow,
)
from ctrlhub.wire.options import TaskOptions

MOST_WAITING = 65_536
"""The most messages of a client that may wait for a command given before them."""


class TaskSubmissions(TaskReturns):
    """Takes tasks in, and ends what a client leaves behind.

    Parameters
    ----------
    controller, context
        As for `Interface`.
    """

    def __init__(self, controller: IControllerBase, context: Context) -> None:
        super().__init__(controller, context)
        self._tasks = self._records
        self._waiting: dict[Session, list[SubmitTasks]] = {}
        self._lacking: set[Session] = set()
        self._accepted: dict[Session, list[Sequence[int]]] = {}
        self._saved: list[tuple[int, Any]] = []

    def submit(self, session: Session, message: SubmitTasks, stream: Stream, now: float) -> None:
        """Queue a batch of tasks, once its functions and the commands given before it are here."""
        self._functions.learn(message.functions, message.frames)
        if session in self._waiting:
            if len(self._waiting[session]) >= MOST_WAITING:
                raise LimitExceeded(f"{MOST_WAITING} messages wait for a command or function")
            self._waiting[session].append(message)
            return
        functions = [self._functions.get(row[0]) for row in message.templates]
        missing = [row[0] for row, f in zip(message.templates, functions, strict=True) if f is None]
        if missing:
            session.send(self.outbox, stream, NeedFunctions(tuple(missing)))
            self._lacking.add(session)
        if missing or message.after > session.last_command:
            self._waiting[session] = [message]
            return
        self._submit(session, message, [f for f in functions if f is not None], now)

    def _submit(
        self, session: Session, message: SubmitTasks, functions: Sequence[Function], now: float
    ) -> None:
        templates = [
            _template(function, row, now)
            for function, row in zip(functions, message.templates, strict=True)
        ]
        frames, known, number = message.frames, self._tasks, session.number
        fresh: dict[int, Task] = {}
        former = []
        for request, index, ref in message.rows:
            if session_of(request) != number or not 0 <= index < len(templates):
                raise InvalidRequest("a task of another session, or without a template")
            if request not in known:
                payload = ref if type(ref) is bytes else resolve(ref, frames)
                fresh[request] = Task(request, session, templates[index], payload)
            elif known[request].session is not session:
                former.append(request)
        kept = self._kept.get(session, 0) + len(fresh)
        refusal = self.context.refusal(kept)
        if former:
            self._refuse(session, former, TaskAborted(
                "it was cancelled when its client had been silent for too long, and runs still"
            ))  # fmt: skip
        self._accepted.setdefault(session, []).append([row[0] for row in message.rows])
        self._kept[session] = kept
        known.update(fresh)
        if self._spoilt:
            self._given_again(fresh)
        if refusal is not None:
            for task in fresh.values():
                task.finish()
            self._refuse(session, fresh, refusal)
            return
        self.submitted += len(fresh)
        self._saved.extend(fresh.items())
        for request in self._early.take(fresh) if self._early else ():
            self._end_here(fresh.pop(request), Status.CANCELLED, b"")
        if fresh:
            self._place(tuple(fresh.values()))

    def _refuse(self, session: Session, requests: Iterable[int], error: CtrlHubError) -> None:
        payload = pack_failure(Failure.from_error(error))
        for number in requests:
            outcome = (number, int(Status.ERROR), payload, -1, 0.0, 0.0, None)
            self._deliveries.add(session, outcome)

    def functions(self, session: Session, message: Functions, stream: Stream, now: float) -> None:
        """Take in functions that were asked for."""
        self._functions.learn(message.functions, message.frames)
        self._retry(session, now)

    def _retry(self, session: Session, now: float) -> None:
        """Submit again what waited, in order, until something has to wait again."""
        self._lacking.discard(session)
        for message in self._waiting.pop(session, ()):
            with self.context.refusing(session, Stream.TASK, message):
                self.submit(session, message, Stream.TASK, now)

    def handed_over(self, session: Session, now: float) -> None:
        """Drop what was not accepted: the process is gone that would have given its functions."""
        super().handed_over(session, now)
        self._waiting.pop(session, None)
        self._lacking.discard(session)

    def session_ended(self, session: Session, now: float) -> None:
        """Cancel what a client left behind, and drop results nobody will fetch.

        A task that an engine has keeps its record until the engine has answered.
        """
        self._waiting.pop(session, None)
        self._lacking.discard(session)
        self._accepted.pop(session, None)
        self._leave_results(session)
        if self._kept.pop(session, 0):  # else there is nothing to look for among everybody's
            self._stop_all_of(session)
        self._paused.pop(session, None)
        self._scheduler.session_ended(session)

    def _stop_all_of(self, session: Session) -> None:
        self._saved = [saved for saved in self._saved if saved[1].session is not session]
        mine = [task for task in self._tasks.values() if task.session is session]
        self._stop(mine)
        if mine:
            self.outbox.add(Commit((Forget(to_ranges(sorted(t.id for t in mine))),), ()))

    def _save_new(self) -> None:
        if self._saved:
            self.outbox.add(Commit((SaveRequests(self._saved),), ()))
            self._saved = []

    def _acknowledge(self) -> None:
        then = []
        for session, batches in self._accepted.items():
            connection = session.connections.get(Stream.TASK)
            if connection is not None:
                numbers = list(chain.from_iterable(batches))
                then.append(Acknowledge(connection, Accepted, numbers))
        soon = any(session.hurries for session in self._accepted)
        self.outbox.add(Commit((SaveRequests(self._saved),), then, soon))
        self._saved = []
        self._accepted.clear()


def _template(function: Function, row: TemplateRow, now: float) -> Template:
    retries, engine_retries = max(0, row[1]), max(0, row[2])
    if len(row) < 5:
        return Template(function, retries, engine_retries, row[3], now)
    options = TaskOptions.from_wire(row[4])
    return Template(function, retries, engine_retries, row[3], now, options, needs_of(options))
