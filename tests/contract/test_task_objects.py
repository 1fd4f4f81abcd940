"""Tasks as the original had them, on every transport; its faults are named where they are absent."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ctrlhub import (
    AsyncResult,
    BaseTask,
    Client,
    ImpossibleDependency,
    MapTask,
    SerializationError,
    StringTask,
    TaskAborted,
    TaskClient,
    TaskResult,
)
from tests.contract.conftest import ENGINES
from tests.support.processes import until
from tests.support.work import Work

WAIT = 60.0


@pytest.fixture
def tc(client: Client) -> TaskClient:
    """The original's client for tasks."""
    return TaskClient(client)


def by_value() -> Callable[[int], int]:
    """Return a function that engines need not import."""

    def odd(n: int) -> int:
        if n % 2 == 0:
            raise ValueError(n)
        return n

    return odd


odd = by_value()
"""Returns an odd number, and fails with others."""


def test_ids_count(tc: TaskClient) -> None:
    """From 0 on."""
    ids = [tc.run(StringTask("a = 5")) for _ in range(4)]
    assert ids == [0, 1, 2, 3]
    assert tc.barrier(ids, WAIT)


def test_push_run_pull(tc: TaskClient) -> None:
    """A string task sets names, runs statements, and brings values back."""
    task = StringTask(
        "b = [10 * a]\nc = f(a)",
        pull=["b", "c"],
        push={"a": 4, "f": lambda n: n if n % 2 else None},
    )
    taskid = tc.run(task)
    result = tc.get_task_result(taskid, block=True)
    assert isinstance(result, TaskResult)
    assert (result.ns.b, result.ns["c"], result["b"]) == ([40], None, [40])
    assert (result.results, result.keys) == ({"b": [40], "c": None}, ["b", "c"])
    assert (result.failure, result.taskid) == (None, taskid)
    assert result.engineid in range(ENGINES)
    assert result.submitted <= result.completed
    assert result.duration >= 0
    assert repr(result) == f"TaskResult[ID:{taskid}]:{{'b': [40], 'c': None}}"
    assert tc.run(StringTask("é = 'ü'", pull="é"), block=True).ns.é == "ü", "any text"
    assert tc.run(StringTask("pass"), block=True).results == {}


def test_failures_wait_until_they_are_asked_for(tc: TaskClient) -> None:
    """A `TaskResult` raises whenever a value is wanted; statements behind the first error do not run."""
    for code, kind in (
        ("a = (", SyntaxError),
        ("a = undefined", NameError),
        ("1 / 0", ZeroDivisionError),
    ):
        result = tc.run(StringTask(f"{code}\nprint('not reached')"), block=True)
        assert isinstance(result.failure, kind)
        for ask in (lambda r: r.ns, lambda r: r["a"], lambda r: r.raise_exception()):
            with pytest.raises(kind):
                ask(result)
    missing = tc.run(StringTask("pass", pull="never_set"), block=True)
    with pytest.raises(NameError, match="never_set"):
        missing.results  # noqa: B018


def test_map_tasks(tc: TaskClient) -> None:
    """The value itself; a failure raises; nothing stays behind in the namespace."""
    assert tc.run(MapTask(pow, [2, 3]), block=True) == 8
    assert tc.run(MapTask(int, ["11"], {"base": 2}), block=True) == 3
    assert tc.run(MapTask(lambda: 7), block=True) == 7
    with pytest.raises(ValueError, match="2"):
        tc.run(MapTask(odd, [2]), block=True)
    left = StringTask("left = [n for n in globals() if 'task' in n]", pull="left")
    assert tc.run(left, block=True).ns.left == []


def test_functions_see_the_namespace(client: Client, tc: TaskClient) -> None:
    """As functions that are applied do."""
    client[:].push({"offset": 100}, block=True)
    assert tc.run(MapTask(lambda n: n + offset, [1]), block=True) == 101  # type: ignore[name-defined]  # noqa: F821


def test_wrong_arguments() -> None:
    """Are told when the task is made."""
    for make in (
        lambda: StringTask(5),
        lambda: StringTask("a", pull=[5]),
        lambda: StringTask("a", push=["b"]),
        lambda: StringTask("a", push={5: 5}),
        lambda: StringTask("a", retries=-1),
        lambda: StringTask("a", recovery_task="b"),
        lambda: StringTask("a", depend="b"),
        lambda: MapTask("f"),
        lambda: MapTask(int, "1"),
        lambda: MapTask(int, kwargs=[1]),
    ):
        with pytest.raises(TypeError):
            make()  # type: ignore[no-untyped-call]


def test_wrong_calls(tc: TaskClient) -> None:
    """Unknown ids are errors everywhere, also of a barrier; what cannot be sent is told at once."""
    for call in (tc.get_task_result, tc.abort, lambda n: tc.barrier([n])):
        with pytest.raises(IndexError, match="no task 99"):
            call(99)
        with pytest.raises(TypeError):
            call("0")
    with pytest.raises(TypeError, match="StringTask"):
        tc.run("a = 1")  # type: ignore[arg-type]
    with pytest.raises(SerializationError):
        tc.run(MapTask(len, [iter(lambda: 1, 2), (n for n in "ab")]))
    with pytest.raises(TypeError):
        tc.mapper(speed=5)
    assert tc.queue_status() == {"pending": 0, "failed": 0, "succeeded": 0, "scheduled": 0}
    assert tc.spin() is False


def test_clear_before_and_after(client: Client, tc: TaskClient) -> None:
    """Names of before are gone, those of the task do not stay; also when it fails."""
    client[:].push({"before": 1}, block=True)
    result = tc.run(StringTask("x = before", clear_before=True), block=True)
    assert isinstance(result.failure, NameError)
    for code in ("left = 1", "left = 1; 1 / 0"):
        engine = tc.run(StringTask(code, clear_after=True), block=True).engineid
        with pytest.raises(NameError):
            client[engine].pull("left", block=True)
    assert tc.run(MapTask(odd, [1], clear_before=True, clear_after=True), block=True) == 1


def test_clearing_takes_nothing_from_others(client: Client, other: Client, work: Work) -> None:
    """Other clients' queued commands run, though a task before them empties the namespace."""
    client[:].execute("pass", block=True)
    holding = TaskClient(client).run(MapTask(work.held(), clear_after=True))
    work.begun("held")
    queued = [other[n].apply_async(len, "abc") for n in range(ENGINES)]
    work.release()
    assert [result.get(WAIT) for result in queued] == [3] * ENGINES
    assert holding == 0


def test_retries(tc: TaskClient, tmp_path: Path) -> None:
    """A task that raises is run again, as often as it says."""
    count = (
        "import pathlib\n"
        "path = pathlib.Path(where)\n"
        "path.write_text(path.read_text() + 'x' if path.exists() else 'x')\n"
        "n = len(path.read_text())\n"
        "assert n > least\n"
    )
    where = str(tmp_path / "count")
    task = StringTask(count, pull="n", push={"where": where, "least": 10}, retries=9)
    assert isinstance(tc.run(task, block=True).failure, AssertionError)
    again = StringTask(count, pull="n", push={"where": where, "least": 15}, retries=10)
    assert tc.run(again, block=True).ns.n == 16


def test_recovery(tc: TaskClient) -> None:
    """Another task runs in the place of one that failed, under its id; a chain of them ends."""
    good = StringTask("a = 5", pull="a")
    taskid = tc.run(StringTask("1 / 0", pull="b", retries=1, recovery_task=good))
    assert tc.barrier([taskid], WAIT)
    assert tc.get_task_result(taskid).ns.a == 5
    chain = StringTask("1 / 0", recovery_task=MapTask(odd, [2], recovery_task=MapTask(odd, [3])))
    assert tc.run(chain, block=True) == 3
    ring = StringTask("first")
    ring.recovery_task = StringTask("second", recovery_task=ring)
    assert "second" in str(tc.run(ring, block=True).failure)
    unsendable = MapTask(len, [(n for n in "ab")])
    taskid = tc.run(StringTask("1 / 0", recovery_task=unsendable))
    assert tc.barrier([taskid], WAIT)
    with pytest.raises(SerializationError):
        tc.get_task_result(taskid)
    assert tc.queue_status(verbose=True)["failed"][-1] == taskid


def test_depend(client: Client, tc: TaskClient) -> None:
    """Tasks run where their condition is met by what the engine's properties are now."""
    client[1].push({"properties": {"gpu": 2}}, block=True)
    tasks = [MapTask(odd, [1], depend=lambda properties: properties["gpu"] > 1) for _ in range(6)]
    assert [tc.run(task, block=True) for task in tasks] == [1] * 6
    where = StringTask("pass", depend=lambda properties: properties.get("gpu"))
    assert {tc.run(where, block=True).engineid for _ in range(4)} == {1}
    client[2].push({"properties": {"gpu": 3}}, block=True)
    there = StringTask("pass", depend=lambda properties: properties.get("gpu") == 3)
    assert tc.run(there, block=True).engineid == 2, "what is new is seen at once"
    nowhere = StringTask("pass", depend=lambda properties: properties["tpu"])
    assert isinstance(tc.run(nowhere, block=True).failure, ImpossibleDependency)
    assert tc.run(StringTask("a = 1", pull="a"), block=True).ns.a == 1, "others are not affected"


@pytest.mark.usefixtures("needs_processes")
def test_abort(tc: TaskClient, work: Work) -> None:
    """Of what waits, and of what runs; not of what has ended."""
    endless = tc.run(MapTask(work.endless()))
    work.begun("endless")
    assert tc.get_task_result(endless) is None
    tc.abort(endless)
    assert tc.barrier([endless], WAIT)
    with pytest.raises(TaskAborted):
        tc.get_task_result(endless)
    with pytest.raises(IndexError, match="aborted already"):
        tc.abort(endless)
    names = [f"held {n}" for n in range(ENGINES)]
    held = [tc.run(MapTask(work.held(name))) for name in names]
    for name in names:
        work.begun(name)
    never = tc.run(StringTask("a = 1", recovery_task=StringTask("b = 1")))
    until(lambda: tc.queue_status()["pending"] == ENGINES, "the hub knows what runs")
    status = tc.queue_status(verbose=True)
    assert (sorted(status["pending"]), status["scheduled"]) == (held, [never])
    tc.abort(never)
    assert tc.barrier([never], WAIT)
    assert isinstance(tc.get_task_result(never).failure, TaskAborted)
    for name in names:
        work.release(name)
    assert tc.barrier(held, WAIT)
    with pytest.raises(IndexError, match="completed already"):
        tc.abort(held[0])
    after = tc.queue_status(verbose=True)
    assert after == {"pending": [], "failed": [endless, never], "succeeded": held, "scheduled": []}


def test_clear(tc: TaskClient) -> None:
    """Results are forgotten: all, one, several; unknown ids are named, the others cleared."""
    ids = [tc.run(MapTask(odd, [n])) for n in range(6)]
    assert tc.barrier(ids, WAIT)
    assert tc.clear(0) == 1
    with pytest.raises(IndexError, match="cleared"):
        tc.get_task_result(0)
    with pytest.raises(KeyError, match="0, 77"):
        tc.clear([0, 1, 77])
    with pytest.raises(IndexError):
        tc.get_task_result(1)
    assert tc.clear([2]) == 1
    assert tc.clear() == 3
    assert sum(tc.queue_status().values()) == 0


def test_maps(tc: TaskClient) -> None:
    """A task for each item: values in order, or ids; as a decorator; a failure raises."""
    assert tc.map(odd, [1, 3, 5]) == [1, 3, 5]
    assert tc.map(pow, [2, 3], [3, 2, 1]) == [8, 9]
    mapper = tc.mapper(block=False, retries=1)
    ids = mapper.map(odd, [1, 3])
    assert [tc.get_task_result(taskid, block=True) for taskid in ids] == [1, 3]
    with pytest.raises(ValueError, match="2"):
        tc.map(odd, [1, 2, 3])

    @tc.parallel(recovery_task=MapTask(odd, [9]))
    def some(n: int) -> Any:
        return 1 // n

    assert some([1, 0]) == [1, 9]
    with pytest.raises(TypeError, match="sequence"):
        tc.map(odd)
    assert sum(tc.queue_status().values()) == 2, "a map that blocks leaves nothing behind"


def test_a_view_of_ones_own(client: Client) -> None:
    """The flags of a load-balanced view hold for the tasks."""
    tc = TaskClient(client.load_balanced_view(targets=[1], time_limit=WAIT))
    assert {tc.run(StringTask("pass"), block=True).engineid for _ in range(4)} == {1}


def test_ctrl_c_stops_what_is_waited_for(client: Client, work: Work) -> None:
    """Nobody knows the id of a task that `run` waits for: it does not run on."""
    tasks, endless = TaskClient(client), work.endless()

    def interrupt() -> None:
        work.begun("endless")
        signal.pthread_kill(main, signal.SIGINT)

    main = threading.get_ident()
    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        tasks.run(MapTask(endless), block=True)
    assert client.wait(timeout=WAIT)
    assert tasks.queue_status() == {"pending": 0, "scheduled": 0, "failed": 0, "succeeded": 0}


def test_tasks_of_a_kind_of_ones_own(client: Client) -> None:
    """What they are, and what comes of them, is a subclass's."""

    class Doubled(BaseTask):
        def call(self) -> Any:
            return int, ("21",)

        def outcome(self, taskid: int, result: AsyncResult) -> Any:
            return 2 * result.result(0)

    assert TaskClient(client).run(Doubled(), block=True) == 42
