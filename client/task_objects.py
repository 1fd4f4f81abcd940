"""Tasks as the original had them: objects that say what is to be done, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from types import SimpleNamespace
from typing import Any

from ctrlhub.client.async_result import AsyncResult
from ctrlhub.wire.task_steps import Frame, run_expression, run_function

Call = tuple[Callable[..., Any], tuple[Any, ...]]


class BaseTask:
    """What all tasks have.

    Parameters
    ----------
    clear_before, clear_after
        Empty the engine's namespace before or after the task. What other clients have queued there
        stays.
    retries
        How often the task is run again if it raises.
    recovery_task
        What is run in its place, under the same id, if it has failed for good. It has retries, and
        perhaps a recovery task, of its own; no task of such a chain runs twice.
    depend
        Called on an engine with its properties, the dict that is called `properties` in its
        namespace (an empty one where there is none). Where it is not true, or raises, the task goes to
        another engine; where no engine is left it fails with `ImpossibleDependency`.
    """

    def __init__(
        self,
        clear_before: bool = False,
        clear_after: bool = False,
        retries: int = 0,
        recovery_task: BaseTask | None = None,
        depend: Callable[[Mapping[str, Any]], Any] | None = None,
    ) -> None:
        if type(retries) is not int or retries < 0:
            raise TypeError(f"retries must be a number from 0 on, not {retries!r}")
        if recovery_task is not None and not isinstance(recovery_task, BaseTask):
            raise TypeError(f"recovery_task must be a task, not {type(recovery_task).__name__}")
        if depend is not None and not callable(depend):
            raise TypeError(f"depend must be a function of properties, not {depend!r}")
        self.clear_before = bool(clear_before)
        self.clear_after = bool(clear_after)
        self.retries = retries
        self.recovery_task = recovery_task
        self.depend = depend

    def _frame(self) -> Frame:
        return Frame(self.clear_before, self.clear_after, self.depend)

    def call(self) -> Call:
        """Return what an engine calls, and with what."""
        raise NotImplementedError

    def outcome(self, taskid: int, result: AsyncResult) -> Any:
        """Return, or raise, what there is to say of a result that is there."""
        raise NotImplementedError


class StringTask(BaseTask):
    """A task of source code, in the engine's namespace.

    Parameters
    ----------
    expression
        Statements.
    pull
        A name, or several, whose values are the result.
    push
        Values by name, set before.
    clear_before, clear_after, retries, recovery_task, depend
        As for `BaseTask`.
    """

    def __init__(
        self,
        expression: str,
        pull: str | Sequence[str] | None = None,
        push: Mapping[str, Any] | None = None,
        clear_before: bool = False,
        clear_after: bool = False,
        retries: int = 0,
        recovery_task: BaseTask | None = None,
        depend: Callable[[Mapping[str, Any]], Any] | None = None,
    ) -> None:
        super().__init__(clear_before, clear_after, retries, recovery_task, depend)
        if not isinstance(expression, str):
            raise TypeError(f"expression must be text, not {type(expression).__name__}")
        names = (pull,) if isinstance(pull, str) else tuple(pull or ())
        if not all(isinstance(name, str) for name in names):
            raise TypeError(f"pull must be a name or several, not {pull!r}")
        if push is not None and not isinstance(push, Mapping):
            raise TypeError(f"push must be a dict of values by name, not {type(push).__name__}")
        values = dict(push or {})
        if not all(isinstance(name, str) for name in values):
            raise TypeError(f"the names in push must be text: {list(values)}")
        self.expression = expression
        self.pull = names
        self.push = values

    def __repr__(self) -> str:
        return f"StringTask({self.expression!r})"

    def call(self) -> Call:
        """Return what an engine calls, and with what."""
        return run_expression, (self._frame(), self.expression, self.push, self.pull)

    def outcome(self, taskid: int, result: AsyncResult) -> TaskResult:
        """Return a `TaskResult`, also of a task that has failed."""
        return TaskResult(taskid, self.pull, result)


class MapTask(BaseTask):
    """A task of a function.

    Parameters
    ----------
    function
        The function.
    args, kwargs
        Its arguments.
    clear_before, clear_after, retries, recovery_task, depend
        As for `BaseTask`.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        clear_before: bool = False,
        clear_after: bool = False,
        retries: int = 0,
        recovery_task: BaseTask | None = None,
        depend: Callable[[Mapping[str, Any]], Any] | None = None,
    ) -> None:
        super().__init__(clear_before, clear_after, retries, recovery_task, depend)
        if not callable(function):
            raise TypeError(f"function must be a function, not {type(function).__name__}")
        if args is not None and not isinstance(args, list | tuple):
            raise TypeError(f"args must be a list or a tuple, not {type(args).__name__}")
        if kwargs is not None and not isinstance(kwargs, Mapping):
            raise TypeError(f"kwargs must be a dict, not {type(kwargs).__name__}")
        self.function = function
        self.args = tuple(args or ())
        self.kwargs = dict(kwargs or {})

    def __repr__(self) -> str:
        return f"MapTask({getattr(self.function, '__name__', self.function)!r})"

    def call(self) -> Call:
        """Return what an engine calls, and with what."""
        return run_function, (self._frame(), self.function, self.args, self.kwargs)

    def outcome(self, taskid: int, result: AsyncResult) -> Any:
        """Return the function's value, or raise what it raised."""
        return result.result(0)


class TaskResult:
    """What came of a `StringTask`. A failure is raised by whoever asks for a value.

    Attributes
    ----------
    taskid : int
        The task's id.
    failure : BaseException or None
        What it raised.
    engineid : int or None
        Where it ran, if it did.
    submitted, completed : datetime
        When it was submitted, and when it ended.
    duration : float
        How long it ran, in seconds.
    """

    def __init__(self, taskid: int, names: Sequence[str], result: AsyncResult) -> None:
        known = result.metadata
        self.taskid = taskid
        self.failure: BaseException | None = None
        self.engineid: int | None = known.engine_id
        self.submitted: datetime = known.submitted
        self.completed: datetime | None = known.completed or known.received
        began = known.started
        took = (self.completed - began).total_seconds() if began and self.completed else 0.0
        self.duration: float = max(0.0, took)
        self._results: dict[str, Any] = {}
        try:
            self._results = dict(zip(names, result.result(0), strict=True))
        except Exception as error:  # raised to whoever asks for a value; a cancellation as well
            self.failure = error

    def raise_exception(self) -> None:
        """Raise what the task raised, if it did."""
        if self.failure is not None:
            raise self.failure.with_traceback(None)

    @property
    def results(self) -> dict[str, Any]:
        """The values by name."""
        self.raise_exception()
        return self._results

    @property
    def keys(self) -> list[str]:
        """The names."""
        return list(self.results)

    @property
    def ns(self) -> TaskNamespace:
        """The values as attributes, or by name."""
        return TaskNamespace(**self.results)

    def __getitem__(self, name: str) -> Any:
        return self.results[name]

    def __contains__(self, name: object) -> bool:
        return name in self.results

    def __iter__(self) -> Iterator[str]:
        return iter(self.results)

    def __repr__(self) -> str:
        shown = repr(self._results) if self.failure is None else repr(self.failure)
        return f"TaskResult[ID:{self.taskid}]:{shown}"


class TaskNamespace(SimpleNamespace):
    """Values as attributes, or by name."""

    def __getitem__(self, name: str) -> Any:
        return vars(self)[name]
