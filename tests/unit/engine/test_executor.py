"""Running commands and tasks: exactly one row for each request, whatever user code does."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from typing import Any

import pytest

from ctrlhub.engine.executions import KEPT_SOURCES
from ctrlhub.engine.executor import FLUSH_INTERVAL, KEPT_BLOB
from ctrlhub.engine.work import CommandWork, Function, Row, TaskWork
from ctrlhub.wire.messages import Action, Status
from ctrlhub.wire.rebuild import exception_from
from ctrlhub.wire.serialize import dumps
from tests.support.engine_bench import Bench, failure, function, value


@pytest.fixture
def bench() -> Bench:
    """A fresh executor."""
    return Bench()


def text_of(row: Row) -> str | None:
    """The text of the value that an execution ended with."""
    result = (row[6] or {}).get("execute_result")
    return None if result is None else result["data"]["text/plain"]


# ---------------------------------------------------------------- commands


def test_execution_leaves_its_names_in_the_namespace(bench: Bench) -> None:
    """And its result is nothing but success."""
    row = bench.execute("x = 5\ny = x + 1")

    assert value(row) is None
    assert (bench.names["x"], bench.names["y"]) == (5, 6)


def test_an_expression_at_the_end_is_shown(bench: Bench) -> None:
    """As at a prompt: its repr, unless it is None or the execution is silent."""
    shown = [bench.execute("x = 5\nx + 1"), bench.execute("None"), bench.execute("6", silent=True)]

    assert [text_of(row) for row in shown] == ["6", None, None]


def test_what_is_printed_travels_with_the_result(bench: Bench) -> None:
    """Beside what is shown, and only with the request that printed it."""
    bench.names["out"] = bench.output.out
    first = bench.execute("print('hi', file=out)\n5")
    second = bench.execute("pass")

    assert (first[6]["stdout"], text_of(first)) == ("hi\n", "5")
    assert second[6] is None


def test_a_statement_that_raises_stops_its_execution_only(bench: Bench) -> None:
    """What ran before it stays, what follows does not run, the next execution does."""
    row = bench.execute("x = 1\nraise ValueError('no')\nx = 2")

    found = failure(row)
    assert (found.ename, found.evalue, found.method) == ("ValueError", "no", "execute")
    assert "raise ValueError('no')" in found.traceback
    assert bench.names["x"] == 1
    assert value(bench.execute("x = 3")) is None


def test_a_syntax_error_runs_nothing(bench: Bench) -> None:
    """The whole is read first."""
    found = failure(bench.execute("x = 1\nfor"))

    assert found.ename == "SyntaxError"
    assert "x" not in bench.names


def test_executions_inherit_no_future_of_ours(bench: Bench) -> None:
    """Annotations are evaluated, as in a fresh module."""
    bench.execute("def f(a: int): pass")

    assert bench.names["f"].__annotations__ == {"a": int}


def test_only_recent_sources_are_kept(bench: Bench) -> None:
    """An engine that executes for ever does not grow."""
    import linecache

    for _ in range(KEPT_SOURCES + 5):
        bench.execute("pass")

    kept = [name for name in linecache.cache if name.startswith("<execution ")]
    assert len(kept) <= KEPT_SOURCES


def test_push_and_pull(bench: Bench) -> None:
    """One name gives its value, a list gives a list; expressions are evaluated."""
    bench.command(Action.PUSH, {"a": 1, "b": [2]})

    assert value(bench.command(Action.PULL, "a")) == 1
    assert value(bench.command(Action.PULL, ["a", "b"])) == [1, [2]]
    assert value(bench.command(Action.PULL, ["b[0] + a"])) == [3]


def test_a_name_that_is_not_there_is_a_name_error(bench: Bench) -> None:
    """As in ipyparallel."""
    assert failure(bench.command(Action.PULL, "nowhere")).ename == "NameError"


def test_clear_empties_the_namespace(bench: Bench) -> None:
    """But code can still be executed."""
    bench.execute("x = 1")
    value(bench.command(Action.CLEAR))

    assert "x" not in bench.names
    assert value(bench.execute("y = len('abc')")) is None


def test_apply_calls_with_its_arguments(bench: Bench) -> None:
    """Positional and by name."""
    row = bench.command(Action.APPLY, ((7,), {"base": 2}), call=divmod_of)

    assert value(row) == (3, 1)


def divmod_of(number: int, base: int) -> tuple[int, int]:
    """Something to apply."""
    return divmod(number, base)


def test_what_is_pulled_is_a_copy(bench: Bench) -> None:
    """A later change on the engine does not change what is still on its way."""
    numpy = pytest.importorskip("numpy")
    bench.names["a"] = numpy.zeros(100_000)

    row = bench.command(Action.PULL, "a")
    bench.names["a"][:] = 1

    assert isinstance(row[3], tuple)
    assert value(row).sum() == 0


# ---------------------------------------------------------------- tasks


def test_tasks_give_one_row_each_in_order(bench: Bench) -> None:
    """With id, attempt, status and times."""
    rows = bench.tasks(lambda x: x * x, 2, 3)

    assert [(row[0], row[1], value(row), row[6]) for row in rows] == [
        (1, 0, 4, None),
        (2, 0, 9, None),
    ]
    assert all(abs(row[4] - time.time()) < 60 and row[5] >= 0 for row in rows)


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), KeyboardInterrupt("mine")])
def test_a_task_that_raises_fails_alone(bench: Bench, error: BaseException) -> None:
    """Neither sys.exit nor a KeyboardInterrupt of its own ends the engine."""

    def task(x: int) -> int:
        if x == 1:
            raise error
        return x

    first, second = bench.tasks(task, 1, 2)

    assert failure(first).ename == type(error).__name__
    assert value(second) == 2


def test_original_exceptions_can_be_rebuilt(bench: Bench) -> None:
    """``except ZeroDivisionError`` works at the client."""
    (row,) = bench.tasks(lambda x: 1 // x, 0)

    assert isinstance(exception_from(failure(row)), ZeroDivisionError)


def test_a_result_that_cannot_be_pickled_is_a_serialization_error(bench: Bench) -> None:
    """The message names the result."""
    (row,) = bench.tasks(lambda _: threading.Lock(), 0)

    assert failure(row).ename == "SerializationError"
    assert "the result (of type lock)" in failure(row).evalue


def test_an_exception_that_does_not_survive_pickling_arrives_as_text(bench: Bench) -> None:
    """It has its name and its words, and no pickle that would fail at the client."""

    class Awkward(Exception):
        def __init__(self) -> None:
            super().__init__("awkward")
            self.lock = threading.Lock()

        def __str__(self) -> str:
            with self.lock:
                return "awkward"

    def task(x: int) -> None:
        raise Awkward

    (row,) = bench.tasks(task, 0)

    found = failure(row)
    assert (found.ename, found.evalue, found.pickled) == ("Awkward", "awkward", None)


def test_arguments_of_a_missing_module_say_so(bench: Bench) -> None:
    """The module is named, and what to do."""
    blob = b"\x80\x05cno_such_module\nthing\n."
    work = TaskWork(1, 0, function(lambda x: x), blob)

    (row,) = bench.run([work])

    found = failure(row)
    assert found.ename == "ModuleNotFoundError"
    assert "no_such_module" in found.evalue
    assert "install it there" in found.evalue


def test_a_function_that_cannot_be_loaded_fails_its_task_only(bench: Bench) -> None:
    """And is tried again with the next task: the module may be there by then."""
    missing = function(None)
    missing.blob = b"\x80\x05cno_such_module\nthing\n."
    work = [
        TaskWork(1, 0, missing, dumps(((), {}))),
        TaskWork(2, 0, function(lambda: 5), dumps(((), {}))),
        TaskWork(3, 0, missing, dumps(((), {}))),
    ]

    first, second, third = bench.run(work)

    assert failure(first).ename == failure(third).ename == "ModuleNotFoundError"
    assert value(second) == 5


LOADS = []
"""One entry for each time that `NEVER_LOADED` was tried."""


def not_to_be_loaded() -> None:
    """Be what a serialized form needs, and fail."""
    LOADS.append(1)
    raise ImportError(f"attempt {len(LOADS)}")


NEVER_LOADED = f"c{__name__}\nnot_to_be_loaded\n(tR.".encode()


def test_many_tasks_of_a_function_that_cannot_be_loaded(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They fail with what came of the first, for a moment: to try costs more than many good tasks."""
    monkeypatch.setattr("ctrlhub.engine.unloadable.AGAIN", 3600.0)
    missing = function(None)
    missing.blob = NEVER_LOADED
    work = [TaskWork(n, 0, missing, dumps(((), {}))) for n in range(1, 101)]
    LOADS.clear()

    rows = bench.run(work)

    assert {failure(row).evalue[:9] for row in rows} == {"attempt 1"}
    assert {failure(row).ename for row in rows} == {"ImportError"}
    bench.execute("'a command may have brought what it lacks'")
    assert failure(bench.run(work[:1])[0]).evalue[:9] == "attempt 2"
    bench.run([TaskWork(101, 0, function(lambda: 5), dumps(((), {})))])
    assert failure(bench.run(work[:1])[0]).evalue[:9] == "attempt 3"
    monkeypatch.setattr("ctrlhub.engine.unloadable.AGAIN", 0.0)
    bench.execute("0")
    assert [failure(row).evalue[:9] for row in bench.run(work[:2])] == ["attempt 4", "attempt 5"]


def test_a_function_is_loaded_once(bench: Bench) -> None:
    """Its serialized form is not needed any more after that: of a large one it is not kept."""
    shared, large = function(lambda x: x), function(lambda x, y=b"y" * KEPT_BLOB: x)
    for each in (shared, large):
        bench.run([TaskWork(n, 0, each, dumps(((n,), {}))) for n in (1, 2)])
    call = shared.call
    bench.run([TaskWork(3, 0, shared, dumps(((3,), {})))])

    assert shared.call is call
    assert large.blob == b""
    assert shared.call(3) == 3


def test_a_function_sees_names_pushed_to_the_engine(bench: Bench) -> None:
    """A function of the client's ``__main__``: the digest does not cover what it lacks."""
    bench.command(Action.PUSH, {"data": 5})
    scope: dict[str, Any] = {"__name__": "__main__"}
    exec("def f(x): return data + x", scope)

    assert [value(row) for row in bench.tasks(scope["f"], 1, 2)] == [6, 7]


@pytest.mark.parametrize(
    ("count", "intervals", "flushes"), [(3, 2.0, 3), (10, 0.09, 0), (10, 0.3, 2)]
)
def test_quick_tasks_wait_for_company_and_slow_ones_do_not(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, count: int, intervals: float, flushes: int
) -> None:
    """A flush after each task that took longer than the interval, or than it since the last."""
    works = timed_task(monkeypatch, share=1.0)
    run_each(bench, [works] * count, intervals)

    assert (bench.flushes, bench.handed_over) == (flushes, 0)


def test_results_of_tasks_that_wait_are_sent_while_the_next_one_waits(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By another thread; but for the last one, behind which there is nothing."""
    waits = timed_task(monkeypatch, share=0.1)
    run_each(bench, [waits] * 3, 2.0)

    assert (bench.flushes, bench.handed_over) == (1, 2)


def test_results_of_tasks_that_wait_leave_before_a_task_of_which_that_is_not_known(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may hold the interpreter's lock, and no other thread would get to send them."""
    waits, other = timed_task(monkeypatch, share=0.1), function(abs)
    other.call = lambda seconds: None
    run_each(bench, [waits, other, waits, other], 2.0)

    assert (bench.flushes, bench.handed_over) == (2, 0)


def timed_task(monkeypatch: pytest.MonkeyPatch, share: float) -> Function:
    """A function that takes as long as it is told, and works for a share of that."""
    now, worked = [100.0], [50.0]
    for clock in ("perf_counter", "time"):
        monkeypatch.setattr(f"ctrlhub.engine.executor.{clock}", lambda: now[0])
    monkeypatch.setattr("ctrlhub.engine.executor.thread_time", lambda: worked[0])

    def task(seconds: float) -> None:
        now[0] += seconds
        worked[0] += seconds * share

    found = function(abs)
    found.call = task  # as it is: a copy would have clocks of its own
    return found


def run_each(bench: Bench, functions: list[Function], intervals: float) -> None:
    """Run tasks that take so many intervals of flushing each."""
    payload = dumps(((intervals * FLUSH_INTERVAL,), {}))
    bench.run([TaskWork(n, 0, each, payload) for n, each in enumerate(functions, 1)])


def test_something_urgent_goes_before_the_next_task(bench: Bench) -> None:
    """The task that runs ends first; the others stay where they are."""
    urgent: deque[Any] = deque()
    tasks = deque([TaskWork(n, 0, function(urgent_in(urgent)), dumps(((), {}))) for n in (1, 2)])
    for work in tasks:
        work.function.call = urgent_in(urgent)
    done: deque[Any] = deque()

    bench.executor.run_tasks(tasks, urgent, done, bench.flush, bench.hand_over)

    assert [row[0] for row in done] == [1]
    assert [work.id for work in tasks] == [2]


def urgent_in(queue: deque[Any]) -> Any:
    """A function that makes something urgent."""
    return lambda: queue.append(None)


def test_the_board_names_the_request_that_runs(bench: Bench) -> None:
    """So that the nanny can tell which one a dead engine was at."""
    seen: list[int] = []
    watch = function(lambda: None)
    watch.call = lambda: seen.append(bench.board[0])

    bench.run([TaskWork(17, 0, watch, dumps(((), {})))])
    bench.executor.run_command(CommandWork(18, Action.APPLY.value, watch, dumps(((), {}))))

    assert seen == [17, 18]


def test_a_request_is_on_the_board_until_its_row_is_handed_over(bench: Bench) -> None:
    """What it has done to the process may be deadly only then, and it is to blame."""
    bench.run([TaskWork(17, 0, function(str), dumps(((), {})))])
    assert bench.board[0] == 17

    bench.executor.run_command(CommandWork(18, Action.APPLY.value, function(str), dumps(((), {}))))
    assert bench.board[0] == 18

    bench.executor.rest()
    assert bench.board[0] == 0


def test_tasks_are_dated_right_where_the_process_is_held_up_as_they_begin(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process may have the processor for a while: no task ends after its row is there."""

    def held_up() -> float:
        time.sleep(0.05)
        return 0.0

    monkeypatch.setattr("ctrlhub.engine.executor.thread_time", held_up)
    [row] = bench.tasks(str, 1)

    assert row[4] + row[5] <= time.time()


@pytest.mark.parametrize("name", ["time", "perf_counter"])
def test_clocks_that_user_code_takes_away_are_not_missed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The engine has its own hold on them."""
    monkeypatch.setattr(time, name, None)

    assert value(bench.execute("x = 1")) is None
    assert [value(row) for row in bench.tasks(str, 1)] == ["1"]


def test_an_error_that_cannot_be_looked_at_is_one_row(bench: Bench) -> None:
    """Whatever an exception does when it is asked for its class, text or parts."""
    code = (
        "class Bad(Exception):\n"
        "    def __getattribute__(self, name): raise KeyboardInterrupt\n"
        "    def __str__(self): raise SystemExit(4)\n"
        "raise Bad"
    )

    assert failure(bench.execute(code)).ename == "Bad"
    assert value(bench.execute("x = 1")) is None


def test_a_task_may_fork(bench: Bench) -> None:
    """A child that ends by itself disturbs nothing."""

    def task(x: int) -> int:
        child = os.fork()
        if child == 0:
            os._exit(x)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    assert [value(row) for row in bench.tasks(task, 3)] == [3]


def test_a_cancelled_status_needs_an_interrupt_of_ours(bench: Bench) -> None:
    """User code that raises KeyboardInterrupt has failed, and is not said to be cancelled."""

    def task(x: int) -> None:
        raise KeyboardInterrupt

    (row,) = bench.tasks(task, 1)

    assert row[2] == Status.ERROR


class Falsy:
    """Can be called, and is false."""

    def __bool__(self) -> bool:
        """No."""
        return False

    def __call__(self, value: int) -> int:
        """Double a number."""
        return 2 * value


class Bag:
    """Can be called, and holds nothing."""

    def __len__(self) -> int:
        """Nothing."""
        return 0

    def __call__(self, value: int) -> int:
        """Double a number."""
        return 2 * value


@pytest.mark.parametrize("call", [Falsy(), Bag()], ids=["bool", "len"])
def test_what_is_false_can_be_called_again_and_again(bench: Bench, call: Any) -> None:
    """It is loaded once, like any other; in tasks and in commands."""
    assert [value(row) for row in bench.tasks(call, 1, 2, 3)] == [2, 4, 6]
    shared = function(call)
    rows = [
        bench.executor.run_command(CommandWork(n, "apply", shared, dumps(((n,), {}))))
        for n in (1, 2)
    ]
    assert [value(row) for row in rows if row is not None] == [2, 4]
