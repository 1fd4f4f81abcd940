"""`Executor` in the place of `ProcessPoolExecutor`."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import weakref
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, as_completed, wait
from pathlib import Path

import pytest

from ctrlhub import Client, EngineError, Executor, SerializationError, TaskCancelled
from tests.support.processes import until
from tests.support.work import Work

WAIT = 60.0
FEW = 100
"""More than two engines take in hand at a time."""


@pytest.fixture
def work(tmp_path: Path) -> Work:
    """Calls that last."""
    return Work(tmp_path)


@pytest.fixture
def executor(state: Path) -> Iterator[Executor]:
    """An executor of two engines; nothing of it is left at the end."""
    with Executor(2) as executor:
        yield executor


def test_what_an_executor_does(executor: Executor) -> None:
    """Submit, map, wait, as_completed; `max_workers` engines; what raised raises."""
    futures = [executor.submit(pow, n, 2) for n in range(50)]
    squares = sorted(f.result() for f in as_completed(futures, WAIT))
    assert squares == [n * n for n in range(50)]
    assert not wait([executor.submit(abs, -1)], WAIT).not_done
    assert list(executor.map(pow, range(10), range(10), chunksize=3)) == [n**n for n in range(10)]
    assert list(executor.map(abs)) == []
    with pytest.raises(ZeroDivisionError):
        executor.submit(lambda: 1 // 0).result(WAIT)
    assert len(set(executor.map(lambda n: __import__("os").getpid(), range(50)))) <= 2
    assert "2 engines" in repr(executor)
    with pytest.raises(ValueError, match="chunksize"):
        executor.map(abs, [1], chunksize=0)


def test_a_map_keeps_nothing_that_it_has_yielded(executor: Executor) -> None:
    """Its values may be large, and there may be many."""
    values = executor.map(frozenset, [[n] for n in range(10)], chunksize=3)
    for value in values:
        seen = weakref.ref(value)
        del value
        assert seen() is None


def test_the_map_that_raises_cancels_its_rest(
    executor: Executor, work: Work, tmp_path: Path
) -> None:
    """And gives the values before it."""
    held, ran, raised = work.held(), str(tmp_path / "ran-"), tmp_path / "raised"

    def call(n: int) -> int:
        if n == 1:
            raised.touch()
            raise LookupError(n)
        # One that was begun before, as tasks do not begin in order, must not keep an engine from it.
        if n > 1 and raised.exists():
            open(f"{ran}{n}", "w").close()
            held()
        return n

    values = executor.map(call, range(200))
    assert next(values) == 0
    with pytest.raises(LookupError):
        next(values)

    def left() -> int:
        """How many tasks have not ended."""
        tasks = executor.view.client.status()["tasks"]
        return int(tasks["queued"] + tasks["running"])

    until(lambda: left() < FEW, "only what the engines have in hand is left")
    work.release()
    executor.shutdown(wait=True)
    assert len(list(tmp_path.glob("ran-*"))) < FEW


def test_what_cannot_be_pickled_is_an_error_of_its_future(executor: Executor) -> None:
    """Arguments, functions, items of maps; results as well."""
    import threading

    lock = threading.Lock()
    assert isinstance(executor.submit(print, lock).exception(WAIT), SerializationError)
    assert isinstance(executor.submit(lambda: lock).exception(WAIT), SerializationError)
    assert isinstance(
        executor.submit(lambda: __import__("threading").Lock()).exception(WAIT), SerializationError
    )
    values = executor.map(print, [1, lock])
    with pytest.raises(SerializationError):
        next(values)
    assert executor.submit(abs, -1).result(WAIT) == 1


def test_a_task_that_kills_its_engine_fails_alone(executor: Executor) -> None:
    """With a `BrokenExecutor`; all others, before and behind it, end well."""
    before = [executor.submit(abs, -n) for n in range(50)]
    deadly = executor.submit(os._exit, 7)
    behind = [executor.submit(abs, -n) for n in range(50)]

    error = deadly.exception(WAIT)

    assert isinstance(error, BrokenExecutor)
    assert isinstance(error, EngineError)
    assert "exit code 7" in str(error)
    assert [f.result(WAIT) for f in before + behind] == [*range(50), *range(50)]


def test_cancel_futures_spares_what_runs(state: Path, work: Work) -> None:
    """What runs ends as it would; what waits is cancelled, at the hub as well as on the engine."""
    executor = Executor(1)
    held = executor.submit(work.held())
    work.begun("held")
    waiting = [executor.submit(abs, -1) for _ in range(500)]

    executor.shutdown(wait=False, cancel_futures=True)
    until(lambda: all(f.cancelled() for f in waiting), "all are cancelled")
    with pytest.raises(TaskCancelled):
        waiting[0].result()
    assert not held.done()
    work.release()

    assert held.result(WAIT) == "held"
    with pytest.raises(RuntimeError, match="shutdown"):
        executor.submit(abs, 1)
    with pytest.raises(RuntimeError, match="shutdown"):
        executor.map(abs, [1])
    executor.shutdown()


def test_shutdown_without_waiting_loses_nothing(state: Path, work: Work) -> None:
    """What was submitted is done, and then the engines end."""
    executor = Executor(1)
    held, behind = executor.submit(work.held()), executor.submit(abs, -2)

    executor.shutdown(wait=False)
    work.release()

    assert (held.result(WAIT), behind.result(WAIT)) == ("held", 2)
    executor.shutdown()
    executor.shutdown()  # twice is harmless


def test_a_forgotten_executor_does_its_work_and_ends(state: Path) -> None:
    """Nobody has to shut it down."""
    executor = Executor(1)
    pids = executor.submit(os.getpid)
    client = executor.view.client
    values = executor.map(abs, range(-100, 0))

    del executor
    gc.collect()

    assert list(values) == list(range(100, 0, -1))
    pids.result(WAIT)
    until(lambda: client.closed, "its cluster has ended")


def test_the_interpreters_exit_waits(state: Path, tmp_path: Path) -> None:
    """For all that was submitted, without a shutdown."""
    out = tmp_path / "out"
    script = tmp_path / "script.py"
    script.write_text(
        "import mine\nfrom ctrlhub import Executor\n"
        "executor = Executor(2)\n"
        f"for _ in range(6): executor.submit(mine.slowly, {str(out)!r})\n"
    )
    (tmp_path / "mine.py").write_text(
        "import time\n"
        "def slowly(path):\n"
        "    time.sleep(0.1)\n"
        "    with open(path, 'a') as file: file.write('x')\n"
    )
    # The script's directory is on its path, and with that on the engines'.
    subprocess.run([sys.executable, script], check=True, timeout=WAIT)
    assert out.read_text() == "x" * 6


def test_an_initializer_runs_once_in_each_engine(state: Path) -> None:
    """Before all tasks, also in one that takes another's place."""

    def begin(value: int) -> None:
        global given
        given = [*globals().get("given", []), value]

    with Executor(2, initializer=begin, initargs=(5,)) as executor:

        def look(n: int) -> list[int]:
            return given  # type: ignore[name-defined,no-any-return]

        assert list(executor.map(look, range(20))) == [[5]] * 20
        with pytest.raises(BrokenExecutor):
            executor.submit(os._exit, 1).result(WAIT)
        assert list(executor.map(look, range(20))) == [[5]] * 20


def test_an_initializer_that_fails_breaks_the_executor(
    state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing runs; the reason is logged and part of the error."""

    def begin() -> None:
        raise OSError("no such device")

    with Executor(1, initializer=begin) as executor:
        until(lambda: executor.view.client.closed, "it is broken")
        with pytest.raises(BrokenExecutor, match="no such device"):
            executor.submit(abs, 1)
    assert "no such device" in caplog.text


def test_an_initializer_that_fails_later_breaks_the_executor(state: Path, tmp_path: Path) -> None:
    """On an engine that comes in another's place: what is out fails, and nobody waits for ever."""
    file = tmp_path / "there"
    file.touch()
    with Executor(1, initializer=open, initargs=(str(file),)) as executor:
        assert executor.submit(abs, -1).result(WAIT) == 1
        file.unlink()
        futures = [executor.submit(os._exit, 1), *(executor.submit(abs, 1) for _ in range(5))]
        assert all(isinstance(f.exception(WAIT), BrokenExecutor) for f in futures)
        with pytest.raises(BrokenExecutor):
            executor.submit(abs, 1)


def test_engines_are_replaced_after_so_many_tasks(state: Path) -> None:
    """Every task runs once, each engine runs no more than its number, all are replaced in time."""
    with Executor(2, max_tasks_per_child=3) as executor:
        pids = Counter(f.result(WAIT) for f in [executor.submit(os.getpid) for _ in range(30)])
        # The last tasks may be shared out so that no engine comes to its number.
        assert (max(pids.values()), pids.total()) == (3, 30)
        by_chunks = Counter(
            executor.map(lambda n: __import__("os").getpid(), range(20), chunksize=5)
        )
        assert max(by_chunks.values()) == 5
        assert executor.submit(abs, -1).result(WAIT) == 1


def test_on_a_client(client: Client) -> None:
    """Its engines are used, as many as are wanted, and left as they are."""

    def begin() -> None:
        global begun
        begun = True

    with Executor(1, client=client, initializer=begin) as executor:
        pid = client[0].apply_sync(os.getpid)
        assert set(executor.map(lambda n: __import__("os").getpid(), range(20))) == {pid}
        assert executor.submit(lambda: begun).result(WAIT)  # type: ignore[name-defined]
    until(lambda: client.start_hooks() == [], "the initializer is forgotten")
    assert client[:].apply_sync(abs, -1) == [1, 1]
    with pytest.raises(ValueError, match="others may use"):
        Executor(client=client, max_tasks_per_child=1)


def test_an_initializer_on_a_client_goes_after_the_last_task(client: Client, work: Work) -> None:
    """An engine that comes meanwhile may run it; and it goes with an executor that is forgotten."""

    def names() -> int:
        return len(client.start_hooks())

    executor = Executor(client=client, initializer=abs, initargs=(-1,))
    last = executor.submit(work.held("last"))
    work.begun("last")
    executor.shutdown(wait=False)
    assert names() == 1
    work.release("last")
    assert last.result(WAIT) == "last"
    until(lambda: names() == 0, "the initializer is forgotten")

    executor = Executor(client=client, initializer=abs, initargs=(-1,))
    assert executor.submit(abs, -1).result(WAIT) == 1
    assert names() == 1
    del executor
    until(lambda: names() == 0, "the initializer is forgotten")


def test_in_asyncio(executor: Executor) -> None:
    """`run_in_executor` takes it."""

    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        return await asyncio.gather(*(loop.run_in_executor(executor, abs, -n) for n in range(20)))

    assert asyncio.run(main()) == list(range(20))


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"max_workers": 0}, ValueError),
        ({"max_workers": -1}, ValueError),
        ({"max_workers": 10**6}, ValueError),
        ({"max_workers": "2"}, TypeError),
        ({"max_tasks_per_child": 0}, ValueError),
        ({"max_tasks_per_child": 1.5}, TypeError),
        ({"initializer": 5}, TypeError),
        ({"mp_context": "fork"}, TypeError),
    ],
)
def test_wrong_arguments(arguments: dict[str, object], error: type[Exception]) -> None:
    """They are refused before anything is started, by name."""
    with pytest.raises(error, match=next(iter(arguments))):
        Executor(**arguments)  # type: ignore[arg-type]


def test_a_multiprocessing_context_is_taken(state: Path) -> None:
    """Programs pass one; it changes nothing."""
    import multiprocessing

    with Executor(1, multiprocessing.get_context("spawn")) as executor:
        assert executor.submit(abs, -1).result(WAIT) == 1


def test_what_managers_of_multiprocessing_hold(executor: Executor) -> None:
    """Its proxies work as arguments, as they do in children of this process."""
    import multiprocessing

    with multiprocessing.Manager() as manager:
        queue = manager.Queue()
        executor.submit(queue.put, 5).result(WAIT)
        assert queue.get(timeout=WAIT) == 5


def test_submitting_after_the_interpreter_has_ended_it(state: Path) -> None:
    """A RuntimeError, as other executors raise."""
    executor = Executor(1)
    executor._pool.finish()  # type: ignore[union-attr]
    with pytest.raises(RuntimeError, match="cannot schedule new futures"):
        executor.submit(abs, -1)
    with pytest.raises(RuntimeError, match="cannot schedule new futures"):
        executor.map(abs, [-1])
    executor.shutdown()
