"""joblib on engines: what its own processes do, and what they do not."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from joblib import Parallel, delayed
from joblib.externals.loky.backend import resource_tracker

from ctrlhub import Client, Cluster, register_joblib_backend
from ctrlhub.cluster import joblib_backend
from tests.support.processes import until
from tests.support.work import Work

# joblib's process that sees to files after a crash: of this program, and not of a test's cluster.
resource_tracker.ensure_running()


@pytest.fixture
def backend(cluster: Cluster) -> Iterator[None]:
    """The backend, on the engines of the module's cluster."""
    register_joblib_backend()
    client = cluster.connect_client_sync()
    try:
        with joblib.parallel_config("ctrlhub", client=client):
            yield
    finally:
        client.close()


def square(n: int) -> int:
    """Return the square."""
    return n * n


def test_calls_run_on_engines(backend: None, client: Client) -> None:
    """All that there are, unless fewer are wanted; many small calls in batches, in order."""
    pids = set(client[:].apply_sync(os.getpid))
    assert set(Parallel()(delayed(lambda: os.getpid())() for _ in range(300))) <= pids
    assert Parallel(n_jobs=1)(delayed(os.getpid)() for _ in range(3)) == [os.getpid()] * 3
    assert Parallel()(delayed(pow)(n, 2) for n in range(5000)) == [n * n for n in range(5000)]
    assert joblib.effective_n_jobs(-1) == 2
    assert joblib.effective_n_jobs(7) == 2
    with pytest.raises(ValueError, match="n_jobs"):
        Parallel(n_jobs=0)(delayed(abs)(n) for n in range(2))


def speak(n: int) -> int:
    """Print."""
    import sys

    print("said", n)
    print("complained", n, file=sys.stderr)
    return n


def test_what_calls_print_is_shown(backend: None, capsys: pytest.CaptureFixture[str]) -> None:
    """As by joblib's own processes, which have the program's terminal; each line once."""
    assert Parallel()(delayed(speak)(n) for n in range(4)) == [0, 1, 2, 3]
    shown = capsys.readouterr()
    assert sorted(shown.out.splitlines()) == [f"said {n}" for n in range(4)]
    assert sorted(shown.err.splitlines()) == [f"complained {n}" for n in range(4)]


def test_generators(backend: None) -> None:
    """Values as they come; one generator may feed another, and two run side by side."""
    one = Parallel(return_as="generator")(delayed(pow)(n, 2) for n in range(100))
    two = Parallel(return_as="generator_unordered")(delayed(abs)(n) for n in range(100))
    assert (next(one), next(one)) == (0, 1)
    assert sum(two) == 4950
    assert Parallel()(delayed(abs)(n) for n in one) == [n * n for n in range(2, 100)]


def test_an_exception_stops_the_rest(backend: None, tmp_path: Path) -> None:
    """It raises as itself, and what waits is cancelled, what runs interrupted."""
    work = Work(tmp_path)
    endless = work.endless()

    def call(n: int) -> None:
        if n == 0:
            until_begun()
            raise LookupError("nothing here")
        endless()

    def until_begun() -> None:
        import time

        while not (tmp_path / "endless.begun").exists():
            time.sleep(0.01)

    with pytest.raises(LookupError, match="nothing here"):
        Parallel(n_jobs=2)(delayed(call)(n) for n in range(10))
    # The engines are free: these would wait for ever otherwise.
    assert Parallel(n_jobs=2)(delayed(abs)(n) for n in range(10)) == list(range(10))


def test_a_call_that_does_not_end_in_time(backend: None, tmp_path: Path) -> None:
    """It is a TimeoutError, and stopped."""
    endless = Work(tmp_path).endless()
    with pytest.raises(multiprocessing.TimeoutError):
        Parallel(n_jobs=2, timeout=0.1)(delayed(endless)() for _ in range(2))
    assert Parallel(n_jobs=2)(delayed(abs)(n) for n in range(10)) == list(range(10))


def test_a_call_that_kills_its_engine(backend: None) -> None:
    """It is an error; the engines are replaced, and the next call finds them."""
    with pytest.raises(BrokenExecutor, match="exit code 3"):
        Parallel()(delayed(os._exit)(3) for _ in range(1))
    assert Parallel()(delayed(abs)(n) for n in range(10)) == list(range(10))


def test_an_engine_that_is_lost_as_it_is_made_ready(
    backend: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no error of a call that has not begun: another comes in its place."""
    lost, prepare = str(tmp_path / "lost"), joblib_backend.know_backends

    def die_once(names: list[str]) -> None:
        try:
            os.close(os.open(lost, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            prepare(names)
        else:
            os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(joblib_backend, "know_backends", die_once)
    assert Parallel()(delayed(abs)(-n) for n in range(10)) == list(range(10))
    assert os.path.exists(lost)


def test_what_cannot_be_pickled(backend: None) -> None:
    """It is an error of the call, also where it comes late."""
    with pytest.raises(TypeError, match="lock"):
        Parallel()(delayed(abs)(threading.Lock() if n == 90 else n) for n in range(100))  # type: ignore[arg-type]


def test_large_arrays_are_mapped_and_files_go(backend: None, tmp_path: Path) -> None:
    """Wherever they are in the arguments; once for all calls; small ones are copied."""

    def look(held: Any) -> tuple[str, bool, float]:
        (array,) = held["arrays"]
        return type(array).__name__, array.flags.writeable, float(array.sum())

    def calls(array: Any) -> Any:
        return (delayed(look)({"arrays": [array]}) for _ in range(8))

    parallel = Parallel(temp_folder=str(tmp_path), max_nbytes=1000)
    with parallel:
        assert parallel(calls(np.ones(1000))) == [("memmap", False, 1000.0)] * 8
        assert len([f for f in tmp_path.rglob("*") if f.is_file()]) == 1
    assert [f for f in tmp_path.rglob("*") if f.is_file()] == []
    assert Parallel()(calls(np.ones(10))) == [("ndarray", True, 10.0)] * 8
    assert Parallel(max_nbytes=None)(calls(np.ones(1000))) == [("ndarray", True, 1000.0)] * 8


def test_nested_calls(backend: None) -> None:
    """Those within a call run in threads of its engine; none waits for an engine."""

    def outer(n: int) -> tuple[int, int]:
        pids = Parallel(n_jobs=2)(delayed(lambda: __import__("os").getpid())() for _ in range(n))
        return n, len({*pids, __import__("os").getpid()})

    assert Parallel()(delayed(outer)(n) for n in range(1, 9)) == [(n, 1) for n in range(1, 9)]


def test_the_name_is_known_on_engines(backend: None) -> None:
    """A call within a call that asks for the backend by name runs in threads of its engine."""

    def outer(n: int) -> list[int]:
        values: list[int] = Parallel(n_jobs=2, backend="ctrlhub")(delayed(abs)(-i) for i in range(n))
        return values

    assert Parallel()(delayed(outer)(n) for n in range(5)) == [list(range(n)) for n in range(5)]


def test_an_initializer(backend: None, client: Client) -> None:
    """It runs in each engine once before all calls, also in one that comes later."""

    def begin(value: int) -> None:
        os.environ["CTRLHUB_TEST_GIVEN"] = os.environ.get("CTRLHUB_TEST_GIVEN", "") + str(value)

    def look() -> str:
        return os.environ["CTRLHUB_TEST_GIVEN"]

    parallel = Parallel(initializer=begin, initargs=(5,))
    assert parallel(delayed(look)() for _ in range(20)) == ["5"] * 20
    client.restart()
    assert parallel(delayed(look)() for _ in range(20)) == ["5"] * 20
    client.remove_start_hook("joblib:initializer")


def test_a_grid_search(backend: None) -> None:
    """scikit-learn's, with the same outcome as without engines."""
    from sklearn.datasets import load_iris
    from sklearn.model_selection import GridSearchCV
    from sklearn.svm import SVC

    x, y = load_iris(return_X_y=True)
    search = GridSearchCV(SVC(), {"C": [0.1, 1, 10], "gamma": [0.1, 0.01]}, cv=3)
    here = GridSearchCV(SVC(), search.param_grid, cv=3, n_jobs=1)
    with joblib.parallel_config("sequential"):
        here.fit(x, y)
    search.fit(x, y)
    scores = [each.cv_results_["mean_test_score"].tolist() for each in (search, here)]
    assert scores[0] == scores[1]
    assert search.best_params_ == here.best_params_


def test_without_a_client(state: Path) -> None:
    """There is a cluster of its own, which the calls share; with one job there is none."""
    register_joblib_backend("engines")
    try:
        with joblib.parallel_config("engines", n_jobs=1):
            assert Parallel()(delayed(os.getpid)() for _ in range(3)) == [os.getpid()] * 3
        assert joblib_backend._own is None
        with joblib.parallel_config("engines", n_jobs=2):
            assert Parallel()(delayed(square)(n) for n in range(50)) == [n * n for n in range(50)]
            first = joblib_backend._own
            assert Parallel()(delayed(square)(n) for n in range(5)) == [0, 1, 4, 9, 16]
            assert joblib_backend._own is first
    finally:
        if joblib_backend._own is not None:
            joblib_backend._own.shutdown()
            joblib_backend._own = None
    until(lambda: not any(t.name == "ctrlhub-joblib" for t in threading.enumerate()), "no thread")


def test_a_call_with_more_jobs_takes_no_cluster_away(state: Path) -> None:
    """One that has begun keeps its own, also where at that moment nothing of it is out."""
    register_joblib_backend()
    paused, goes_on = threading.Event(), threading.Event()
    found: list[object] = []

    def calls() -> Iterator[Any]:
        yield delayed(abs)(-1)
        paused.set()
        goes_on.wait(60)
        yield delayed(abs)(-2)

    def first() -> None:
        try:
            with joblib.parallel_config("ctrlhub", n_jobs=2):
                found.extend(Parallel(pre_dispatch=1, batch_size=1)(calls()))
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=first)
    thread.start()
    try:
        assert paused.wait(60)
        with joblib.parallel_config("ctrlhub", n_jobs=3):
            assert Parallel()(delayed(abs)(n) for n in (-3, -4)) == [3, 4]
        goes_on.set()
        thread.join(60)
        assert found == [1, 2]
    finally:
        goes_on.set()
        if joblib_backend._own is not None:
            joblib_backend._own.shutdown()
            joblib_backend._own = None
