"""TaskClient: the original's calls for tasks, on a load-balanced view."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from concurrent.futures import wait as wait_for_futures
from typing import TYPE_CHECKING, Any

from ctrlhub.client.async_result import AsyncResult
from ctrlhub.client.balanced_view import LoadBalancedView
from ctrlhub.client.task_objects import BaseTask, MapTask

if TYPE_CHECKING:
    from ctrlhub.client.client import Client


class TaskClient:
    """Runs task objects on whichever engine has room, and keeps what came of them by id.

    Parameters
    ----------
    where
        A client, or a load-balanced view, whose flags hold for the tasks; their own `retries` come
        first.

    Examples
    --------
    >>> tc = TaskClient(client)
    >>> taskid = tc.run(StringTask("b = 10 * a", pull="b", push={"a": 4}))
    >>> tc.get_task_result(taskid, block=True).ns.b
    40
    """

    def __init__(self, where: Client | LoadBalancedView) -> None:
        view = where if isinstance(where, LoadBalancedView) else where.load_balanced_view()
        self._view = view._with(block=False)
        self._runs: dict[int, _Run] = {}
        self._lock = threading.Lock()
        self._next = 0

    def __repr__(self) -> str:
        return f"<TaskClient: {len(self._runs)} tasks on {self._view!r}>"

    def run(self, task: BaseTask, block: bool = False) -> Any:
        """Submit a task; return its id, or with `block` its result.

        Ctrl-C meanwhile stops the task: nobody knows its id.
        """
        if not isinstance(task, BaseTask):
            raise TypeError(f"a task is needed, such as a StringTask, not {type(task).__name__}")
        run = _Run(self._view, task)
        with self._lock:
            taskid, self._next = self._next, self._next + 1
            self._runs[taskid] = run
        if not block:
            return taskid
        try:
            return self.get_task_result(taskid, block=True)
        finally:
            if not run.ended.done():
                self._forget([taskid])

    def get_task_result(self, taskid: int, block: bool = False) -> Any:
        """Return the result of a task: a `TaskResult`, or the value of a `MapTask`.

        Parameters
        ----------
        taskid
            Its id.
        block
            Wait for it. Otherwise a task that has not ended gives None.

        Raises
        ------
        IndexError
            There is no such task, or it was cleared.
        """
        run = self._run(taskid)
        if not block and not run.ended.done():
            return None
        task, result = run.ended.result()
        return task.outcome(taskid, result)

    def barrier(self, taskids: Iterable[int], timeout: float | None = None) -> bool:
        """Wait until tasks have ended, well or not; say whether they have.

        Parameters
        ----------
        taskids
            Their ids.
        timeout
            The longest wait in seconds.

        Raises
        ------
        IndexError
            One of them is unknown.
        """
        runs = [self._run(taskid) for taskid in taskids]
        return not wait_for_futures([run.ended for run in runs], timeout).not_done

    def abort(self, taskid: int) -> None:
        """Stop a task: if it waits at once, if it runs by an interrupt. Its result is `TaskAborted`.

        Raises
        ------
        IndexError
            There is no such task, or it has ended.
        """
        run = self._run(taskid)
        if run.ended.done():
            state = "aborted" if run.aborted else "completed"
            raise IndexError(f"task {taskid} is {state} already")
        run.abort()

    def spin(self) -> bool:
        """Return False: there is never anything that has to be set going."""
        return False

    def queue_status(self, verbose: bool = False) -> dict[str, Any]:
        """Return how many tasks are pending (running), scheduled (waiting), failed and succeeded.

        Parameters
        ----------
        verbose
            Return lists of ids instead of numbers.
        """
        with self._lock:
            runs = dict(self._runs)
        of_engines = self._view.client.queue_status(verbose=True)
        running = {each["running"] for each in of_engines.values() if isinstance(each, dict)}
        status: dict[str, list[int]] = {
            "pending": [],
            "failed": [],
            "succeeded": [],
            "scheduled": [],
        }
        for taskid, run in runs.items():
            status[run.state(running)].append(taskid)
        if verbose:
            return dict(status)
        return {state: len(ids) for state, ids in status.items()}

    def clear(self, taskids: int | Sequence[int] | None = None) -> int:
        """Forget the results of tasks that have ended; return of how many.

        Parameters
        ----------
        taskids
            An id or several; None are all that have ended.

        Raises
        ------
        KeyError
            It names those that are unknown or have not ended; the others are forgotten.
        """
        with self._lock:
            ended = [taskid for taskid, run in self._runs.items() if run.ended.done()]
            wanted = [taskids] if isinstance(taskids, int) else taskids
            chosen = ended if wanted is None else [each for each in wanted if each in set(ended)]
            for taskid in chosen:
                self._runs.pop(taskid, None)
        missing = set(wanted or ()).difference(chosen)
        if missing:
            names = ", ".join(map(str, sorted(missing)))
            raise KeyError(f"no results of tasks {names}: they are unknown, or have not ended")
        return len(chosen)

    # ------------------------------------------------------------ maps

    def map(self, function: Callable[..., Any], *sequences: Iterable[Any]) -> list[Any]:
        """Call a function with each row of items, one task for each; return the values in order."""
        values: list[Any] = self.mapper().map(function, *sequences)
        return values

    def mapper(self, *, block: bool = True, **options: Any) -> TaskMapper:
        """Return a mapper.

        Parameters
        ----------
        block
            Whether its `map` returns values; otherwise the ids of the tasks.
        **options
            What `MapTask` takes: `clear_before`, `clear_after`, `retries`, `recovery_task`, `depend`.
        """
        return TaskMapper(self, block, options)

    def parallel(
        self, *, block: bool = True, **options: Any
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Return a decorator: the function is then called with sequences, as `map` does.

        Parameters
        ----------
        block, **options
            As for `mapper`.
        """
        mapper = self.mapper(block=block, **options)
        return lambda function: lambda *sequences: mapper.map(function, *sequences)

    def _forget(self, taskids: Iterable[int]) -> None:
        """Forget tasks that nobody can ask for any more, and stop those that have not ended."""
        with self._lock:
            runs = [self._runs.pop(taskid) for taskid in taskids if taskid in self._runs]
        out = [run.given_up() for run in runs if not run.ended.done()]
        if out and not self._view.client.closed:
            self._view.client.abort(out, block=False)

    def _run(self, taskid: int) -> _Run:
        if isinstance(taskid, bool) or not isinstance(taskid, int):
            raise TypeError(f"a task is named by a number, not {taskid!r}")
        try:
            return self._runs[taskid]
        except KeyError:
            raise IndexError(f"there is no task {taskid}, or it was cleared") from None


class TaskMapper:
    """Makes a task of each item.

    Parameters
    ----------
    client
        Who runs the tasks.
    block
        Whether to return values instead of the ids of tasks.
    options
        The tasks'.
    """

    def __init__(self, client: TaskClient, block: bool, options: dict[str, Any]) -> None:
        MapTask(int, **options)  # wrong ones are told now
        self._client = client
        self.block = block
        self.options = options

    def map(self, function: Callable[..., Any], *sequences: Iterable[Any]) -> list[Any]:
        """Call a function with each row of items of the sequences, up to the end of the shortest."""
        if not sequences:
            raise TypeError("map needs at least one sequence")
        rows = zip(*sequences)  # noqa: B905 - up to the shortest
        ids = [self._client.run(MapTask(function, row, **self.options)) for row in rows]
        if not self.block:
            return ids
        try:
            return [self._client.get_task_result(taskid, block=True) for taskid in ids]
        finally:
            self._client._forget(ids)


class _Run:
    """A task on its way, and those that run in its place when it has failed.

    Attributes
    ----------
    ended : Future
        In the end the task that ran last, and its result.
    aborted : bool
        Whether it was told to stop.
    """

    def __init__(self, view: LoadBalancedView, task: BaseTask) -> None:
        self.ended: Future[tuple[BaseTask, AsyncResult]] = Future()
        self.aborted = False
        self._view = view
        self._tried: list[BaseTask] = []
        self._lock = threading.RLock()
        self._result = self._submit(task)

    def _submit(self, task: BaseTask) -> AsyncResult:
        self._tried.append(task)
        function, args = task.call()
        result = self._view._with(retries=task.retries).apply_async(function, *args)
        self._result = result
        result.add_done_callback(lambda result: self._done(task, result))
        return result

    def _done(self, task: BaseTask, result: AsyncResult) -> None:
        """Take a result; called by the thread that brings it."""
        with self._lock:
            other = task.recovery_task
            recovers = result._failed() and not self.aborted and not result.cancelled()
            if recovers and other is not None and not any(other is each for each in self._tried):
                try:
                    self._submit(other)
                except Exception as error:  # it cannot be sent: that is what came of it
                    self.ended.set_exception(error)
                return
            self.ended.set_result((task, result))

    def abort(self) -> None:
        """Stop it."""
        self.given_up().cancel()

    def given_up(self) -> AsyncResult:
        """Take note that it is told to stop; return what is to be stopped."""
        with self._lock:
            self.aborted = True
            return self._result

    def state(self, running: set[Any]) -> str:
        """Return where it is, as `TaskClient.queue_status` says it."""
        if self.ended.done():
            good = self.ended.exception() is None and self._result.successful()
            return "succeeded" if good else "failed"
        return "pending" if self._result.msg_id in running else "scheduled"
