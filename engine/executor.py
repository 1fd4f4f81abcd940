"""Runs commands and tasks in the engine's namespace, one at a time, in the calling thread.

Whatever user code does, exactly one row comes out for each request: the loops here are below all of
it, and everything it can raise ends in one of their handlers. See
`ctrlhub.engine.interrupts` for why the first statement of each handler is what it is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, MutableSequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter, thread_time, time  # by name, which user code cannot replace
from typing import Any
from weakref import WeakSet, ref

from ctrlhub.engine.actions import ON_THE_ENGINE, Actions
from ctrlhub.engine.board import IDENTITY
from ctrlhub.engine.cells import Cells
from ctrlhub.engine.each_row import SomeRaised, Values, caller, together
from ctrlhub.engine.forks import end_copy
from ctrlhub.engine.interrupts import IDLE, Gate
from ctrlhub.engine.namespace import Namespace
from ctrlhub.engine.output import Output
from ctrlhub.engine.tracing import around
from ctrlhub.engine.unloadable import NotLoaded, Unloadable
from ctrlhub.engine.uploads import Uploads
from ctrlhub.engine.work import Callee, CommandWork, Function, Row, Supplied, TaskWork, Traced
from ctrlhub.wire.codec import size_of
from ctrlhub.wire.dependencies import is_unmet
from ctrlhub.wire.each_row import EachRow
from ctrlhub.wire.errors import SerializationError, pack_failure
from ctrlhub.wire.messages import Action, Payload, Status
from ctrlhub.wire.rebuild import failure_from_exception
from ctrlhub.wire.references import arrive_in, resolved
from ctrlhub.wire.serialize import STAYED_THERE, detached, dumps, loads
from ctrlhub.wire.supplied import supply

SETTLE_INTERVAL = 0.0001
"""How often (seconds) to look, while there are more tasks, for what was written behind Python's back."""

ALERT = 1.0
"""Where something was found, it is looked for after each task for so long (seconds)."""

FLUSH_INTERVAL = 0.002
"""Results wait for company no longer than this (seconds), while more tasks run."""

KEPT_BLOB = 1024 * 1024
"""The serialized form of a function up to this size (bytes) is kept, to be loaded again."""

_OK, _ERROR, _CANCELLED = int(Status.OK), int(Status.ERROR), int(Status.CANCELLED)
_UNMET, _PARTLY = int(Status.UNMET), int(Status.PARTLY)


class Executor:
    """Runs what it is given, and tells what came of it.

    Parameters
    ----------
    gate
        Lets interrupts through to what runs.
    output
        Keeps what is printed.
    namespace
        Where commands run.
    board
        A place of one integer, in memory shared with the nanny, for the request that runs; so it
        is known after this process has died.
    cells
        Runs cells in IPython, where that is installed; without it they run as plain code.
    uploads
        Where to keep modules that are uploaded; None makes a temporary directory.

    Attributes
    ----------
    engine_id : int or None
        The engine's id, for error reports, once it has joined.
    is_copy : bool
        Whether this process is a copy of the engine that user code made by a fork.
    """

    def __init__(
        self,
        gate: Gate,
        output: Output,
        namespace: Namespace | None = None,
        board: MutableSequence[int] | None = None,
        cells: Cells | None = None,
        uploads: Path | None = None,
    ) -> None:
        self.gate = gate
        self.output = output
        self.namespace = Namespace() if namespace is None else namespace
        self.engine_id: int | None = None
        self.engine_uuid: str | None = None
        self.is_copy = False
        self._cells = cells
        self._board: MutableSequence[int] = [IDLE] if board is None else board
        self._loaded: WeakSet[Function] = WeakSet()
        self._unloadable = Unloadable()
        self._alert = 0.0
        self._replaced: list[Any] = []
        self._shown: dict[str, Any] | None = None
        self._is_supplied = False
        self._values: Callable[[], Values | None] = _nobody
        output.follow(self._runs, lambda: self._board[0] != IDLE)
        self._acts = Actions(
            self.namespace,
            cells,
            Uploads(uploads),
            load=self._load,
            loaded=self._loaded,
            replaced=self._replaced,
            show=self._show,
        )
        self._actions = self._acts.by_name

    def joined(self, engine_id: int, engine_uuid: str) -> None:
        """Take note of the engine's id and key; from the I/O thread."""
        self.engine_id = engine_id
        self.engine_uuid = engine_uuid
        if len(self._board) > IDENTITY:
            self._board[IDENTITY] = engine_id + 1

    def rested(self) -> None:
        """Take note that the log has lines of our own, which are not of what comes next."""
        if self._board[0] == IDLE:
            self.output.mark()

    # ------------------------------------------------------------ commands

    def run_command(self, work: CommandWork) -> Row | None:
        """Run a command and return its row; None if this process was told to end.

        It stays on the board until `rest`: what it has done may be deadly a moment later.
        """
        self._begin()
        if self._unloadable.function is not None:
            self._unloadable.forget()
        gate = self.gate
        started, began = time(), perf_counter()
        self._shown = None
        self._board[0] = work.id
        try:
            gate.armed = work.id
            payload = self._actions[work.action](work)
            gate.armed = IDLE
            status = _OK
        except BaseException as error:  # SystemExit too: user code does not end the engine
            gate.armed = IDLE
            if gate.ends(error):
                return None
            status, payload = self._failed(error, work.id, work.action)
        return (work.id, 0, status, payload, started, perf_counter() - began, self._extras())

    @property
    def on_board(self) -> int:
        """The request that would be to blame if this process ended now; `IDLE` for none."""
        return self._board[0]

    def rest(self) -> None:
        """Take note that the last row has been handed over: a death is nobody's fault any more.

        Whatever user code did to the handler of interrupts is undone, now that nobody waits.
        """
        self._board[0] = IDLE
        if self._replaced:
            self._replaced.clear()
        self.gate.reinstall()

    def _show(self, shown: dict[str, Any] | None) -> None:
        self._shown = shown

    def _extras(self) -> dict[str, Any] | None:
        self.output.end_request()
        extras: dict[str, Any] | None = self.output.take() if self.output.dirty else None
        if self._shown is None:
            return extras
        return {**(extras or {}), "execute_result": self._shown}

    # ------------------------------------------------------------ tasks

    def run_tasks(
        self,
        tasks: deque[TaskWork],
        urgent: deque[Any],
        done: deque[Row],
        flush: Callable[[], None],
        hand_over: Callable[[], None],
    ) -> None:
        """Run tasks until there are none, or something urgent has come.

        The last one stays on the board until `rest`, as a command does.

        Parameters
        ----------
        tasks
            What to run. The I/O thread adds at its end, and withdraws.
        urgent
            What goes before any further task, if there is any.
        done
            Where rows go. A slow task's goes at once, those of quick ones leave in batches.
        flush
            Has rows sent.
        hand_over
            Has another thread send them, while the next task waits for something, as this one did.
        """
        # The hot loop: every name local, one look at the clock per task, no call of our own.
        self._begin()
        gate, board, output = self.gate, self._board, self.output
        clock, take, append = perf_counter, tasks.popleft, done.append
        ended = flushed = settled = clock()
        origin = time() - ended  # beside each other: what lies between them misdates all tasks
        worked = thread_time()
        pause = 0.0 if settled < self._alert else SETTLE_INTERVAL
        while tasks and not urgent:
            try:
                number, attempt, function, payload = take()
            except IndexError:  # withdrawn in this moment
                break
            began = ended
            board[0] = number
            try:
                gate.armed = number
                call = function.call
                if call is None:
                    call = self._load(function)
                args, kwargs = loads(payload, ON_THE_ENGINE)
                result = dumps(call(*args, **kwargs), "the result", STAYED_THERE)
                if type(result) is tuple:
                    result = detached(result)
                gate.armed = IDLE
                status = _OK
            except BaseException as error:  # SystemExit too: user code does not end the engine
                gate.armed = IDLE
                if gate.ends(error):
                    return
                status, result = self._failed(error, number, Action.APPLY.value)
                if status == _ERROR and is_unmet(error):
                    status = _UNMET
            ended = clock()
            if ended - settled >= pause or not tasks:
                settled = ended
                if output.end_request():
                    self._alert = ended + ALERT
                pause = 0.0 if ended < self._alert else SETTLE_INTERVAL
            extras = output.take(attempt) if output.dirty else None
            append((number, attempt, status, result, origin + began, ended - began, extras))
            if ended - flushed > FLUSH_INTERVAL:
                used = thread_time()
                waited = used - worked < (ended - flushed) / 2
                send = hand_over if waited and _is_next(function, tasks) else flush
                send()
                flushed, worked = ended, used
        # What the last task held on to goes now, not with the next one.
        args = kwargs = result = payload = call = function = None  # type: ignore[assignment]
        if self._is_supplied:
            self._is_supplied = False
            supply({})

    # ------------------------------------------------------------ both

    def _runs(self) -> int:
        return max(self.gate.running, IDLE)  # a console's is none of ours

    def _begin(self) -> None:
        arrive_in(self.namespace)
        if self.output.dirty:  # printed by a thread of user code while nothing ran
            self.output.take()

    def _load(self, function: Callee) -> Any:
        if isinstance(function, Traced):
            inner = function.function
            return around(function, inner.call or self._load(inner), self.engine_id)
        if isinstance(function, Supplied):
            self._is_supplied = True
            supply(function.values)
            function = function.function
            if function.call is not None:
                return function.call
        assert isinstance(function, Function)
        before = resolved()
        self._unloadable.check(function)
        try:
            call = self.namespace.adopt(loads(function.blob, ON_THE_ENGINE))
        except Exception as error:
            if not is_unmet(error):
                self._unloadable.note(function, self._described(error, Action.APPLY.value))
            raise
        self._unloadable.forget()  # what has come in between may be what it lacked
        if type(call) is EachRow:
            call = caller(call, self._row_failed, self._note_values)
        if resolved() == before:  # what references gave may be something else the next time
            function.call = call
            if size_of(function.blob or b"") > KEPT_BLOB:
                function.blob = b""
            else:
                self._loaded.add(function)
        return call

    def _failed(self, error: BaseException, request: int, method: str) -> tuple[int, Payload]:
        """Return status and payload of a request that raised."""
        if self.is_copy:
            end_copy(error)
        if type(error) is SerializationError and (values := self._values()) is not None:
            error = self._one_by_one(values)  # else they would be gone
        if type(error) is NotLoaded:
            return _ERROR, error.failure
        if type(error) is SomeRaised:
            return _PARTLY, error.payload
        cancelled = self.gate.cancelled == request and issubclass(type(error), KeyboardInterrupt)
        return _CANCELLED if cancelled else _ERROR, self._described(error, method)

    def _one_by_one(self, values: Values) -> BaseException:
        """Return what is to be told of values that cannot be pickled together."""
        try:
            return together(values, {}, self._row_failed)
        except BaseException as error:  # user code, when it is pickled
            return error

    def _note_values(self, values: Values) -> None:
        """Know the values of rows, as long as somebody has them: until they are pickled."""
        self._values = ref(values)

    def _row_failed(self, error: BaseException) -> bytes:
        """Describe what one of many calls raised, which is no end of the request."""
        with self.gate.undisturbed():
            if self.is_copy:
                end_copy(error)
            return self._described(error, Action.APPLY.value)

    def _described(self, error: BaseException, method: str) -> bytes:
        failure = failure_from_exception(error, self.engine_id, method, engine_uuid=self.engine_uuid)
        if self._cells is not None and self._cells.shell is not None:
            text = self._cells.shell.traceback_of(error)
            failure = failure if text is None else replace(failure, traceback=text)
        return pack_failure(failure)


def _is_next(function: Callee, tasks: deque[TaskWork]) -> bool:
    """Tell whether the next task calls the same function."""
    try:
        return tasks[0].function is function
    except IndexError:
        return False


def _nobody() -> None:
    """Return nothing: there are no values of rows."""
