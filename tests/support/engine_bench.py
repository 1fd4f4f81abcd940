"""What the tests of executor, interrupts and session share."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from ctrlhub.engine.executor import Executor
from ctrlhub.engine.interrupts import Gate
from ctrlhub.engine.output import Output
from ctrlhub.engine.work import CommandWork, Function, Row, TaskWork
from ctrlhub.wire.errors import Failure, unpack_failure
from ctrlhub.wire.functions import encode
from ctrlhub.wire.messages import Action, Status
from ctrlhub.wire.serialize import dumps, loads


class Bench:
    """An executor, and short ways to have it run something."""

    def __init__(self) -> None:
        self.gate = Gate()
        self.output = Output(io.StringIO(), io.StringIO())
        self.board = [0, 0]
        self.executor = Executor(self.gate, self.output, board=self.board)
        self.flushes = 0
        self.handed_over = 0
        self.counter = 0

    @property
    def names(self) -> dict[str, Any]:
        """The engine's namespace."""
        return self.executor.namespace.names

    def command(self, action: Action, value: Any = None, call: Any = None) -> Row:
        """Run a command, which must not end the engine."""
        self.counter += 1
        work = CommandWork(
            self.counter, action.value, None if call is None else function(call), dumps(value)
        )
        row = self.executor.run_command(work)
        assert row is not None
        return row

    def execute(self, code: str, silent: bool = False) -> Row:
        """Execute code."""
        return self.command(Action.EXECUTE, {"code": code, "silent": silent})

    def tasks(self, call: Callable[..., Any], *values: Any) -> list[Row]:
        """Run a task for each value."""
        shared = function(call)
        work = [TaskWork(n + 1, 0, shared, dumps(((value,), {}))) for n, value in enumerate(values)]
        return self.run(work)

    def run(self, work: Sequence[TaskWork], urgent: deque[Any] | None = None) -> list[Row]:
        """Run tasks."""
        done: deque[Row] = deque()
        urgent = deque() if urgent is None else urgent
        self.executor.run_tasks(deque(work), urgent, done, self.flush, self.hand_over)
        return list(done)

    def flush(self) -> None:
        """Count."""
        self.flushes += 1

    def hand_over(self) -> None:
        """Count."""
        self.handed_over += 1


def function(call: Any) -> Function:
    """Return a function as it arrives."""
    return Function(*encode(call))


def value(row: Row) -> Any:
    """Return the value of a row that must be one."""
    assert row[2] == Status.OK, failure(row)
    return loads(row[3])


def failure(row: Row) -> Failure:
    """Return the failure of a row that must be one."""
    assert row[2] == Status.ERROR
    assert isinstance(row[3], bytes)
    return unpack_failure(row[3])
