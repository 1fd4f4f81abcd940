"""Signals, restarts and shutdowns of engines as real processes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from ctrlhub import AsyncResult, Client, Cluster, EngineError, RemoteError
from ctrlhub.client.direct_view import DirectView
from ctrlhub.cluster.errors import ClusterError
from tests.support.processes import until
from tests.support.work import Work

WAIT = 60.0
HOLD_THE_GIL = "import ctypes; ctypes.PyDLL(None).sleep(600)"
HEED_NOTHING = f"""
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # not even to end a wait in C
{HOLD_THE_GIL}
"""


@pytest.fixture
def own(state: Path) -> Iterator[Client]:
    """A client of two engines of this test alone."""
    with Cluster(n=2) as client:
        yield client


@pytest.fixture
def work(tmp_path: Path) -> Work:
    """Calls that begin and end when the test says so."""
    return Work(tmp_path)


def pids(client: Client) -> list[int]:
    """The processes of the engines."""
    found: list[int] = client[:].apply_sync(os.getpid)
    return found


def registered(client: Client) -> dict[int, int]:
    """The processes of the engines, as the hub has them."""
    return {engine["id"]: engine["pid"] for engine in client.status()["engines"]}


def begin(view: DirectView, code: str, tmp_path: Path) -> AsyncResult:
    """Begin to execute code, and wait until it runs."""
    mark = tmp_path / "mark"
    result = view.execute(f"open({str(mark)!r}, 'w').close()\n{code}")
    until(mark.exists, "code that runs")
    return result


# ---------------------------------------------------------------- signals


def test_a_signal_reaches_the_processes(client: Client) -> None:
    """By number and by name; each of several engines."""
    client[:].execute(
        "import signal\nseen = []\n"
        "for number in (signal.SIGUSR1, signal.SIGUSR2):\n"
        "    signal.signal(number, lambda number, frame: seen.append(number))",
        block=True,
    )

    client.send_signal(signal.SIGUSR1)
    client.send_signal("SIGUSR2", targets=1)

    def seen() -> list[list[int]]:
        found: list[list[int]] = client[:].pull("sorted(map(int, seen))", block=True)
        return found

    until(lambda: seen() == [[10], [10, 12]], "the signals")
    client[:].execute("signal.signal(10, signal.SIG_DFL); signal.signal(12, signal.SIG_DFL)")


def test_sigint_interrupts_what_runs(client: Client, tmp_path: Path) -> None:
    """As `interrupt` does, but through the system."""
    result = begin(client[0], "import time; time.sleep(600)", tmp_path)

    client.send_signal("SIGINT", targets=0)

    with pytest.raises(RemoteError, match="KeyboardInterrupt"):
        result.get(WAIT)


@pytest.mark.parametrize(
    ("sig", "error"),
    [("SIGNONSENSE", ValueError), (4711, ValueError), (None, TypeError), (True, TypeError)],
)
def test_a_signal_that_there_is_not(client: Client, sig: Any, error: type[Exception]) -> None:
    """The error comes at once, and names those that there are."""
    with pytest.raises(error, match="signal"):
        client.send_signal(sig)


def test_a_killed_engine_says_who_wanted_it(own: Client, tmp_path: Path) -> None:
    """Its command fails with the signal, and that it was asked for; another takes its place."""
    result = begin(own[1], HOLD_THE_GIL, tmp_path)

    own.send_signal(signal.SIGKILL, targets=1)

    with pytest.raises(EngineError, match=r"signal 9 \(SIGKILL\), as a client asked"):
        result.get(WAIT)
    own.wait_for_engines(2, timeout=WAIT)


# ---------------------------------------------------------------- restarts


def test_an_engine_stuck_in_c_code_is_restarted(own: Client, tmp_path: Path) -> None:
    """It has its id and a fresh namespace; what was there fails, the others are left alone."""
    own[:].push({"x": 5}, block=True)
    before = pids(own)
    running = begin(own[0], HEED_NOTHING, tmp_path)
    queued = own[0].pull("x")

    own.restart(0)

    assert own.ids == [0, 1]
    after = pids(own)
    assert after[0] != before[0]
    assert after[1] == before[1]
    assert own[1].pull("x", block=True) == 5
    assert own[0].apply_sync(lambda: "x" in globals()) is False
    for result in (running, queued):
        with pytest.raises(EngineError, match="restarted"):
            result.get(WAIT)


def test_all_engines_are_restarted_and_keep_their_ids(own: Client) -> None:
    """By ipyparallel's name for it, too."""
    before = pids(own)

    own.shutdown(restart=True)

    assert own.ids == [0, 1]
    assert not set(before) & set(pids(own))


def test_tasks_survive_a_restart(own: Client, work: Work) -> None:
    """What runs there is run again, on any engine, and is not blamed."""
    view = own.load_balanced_view()
    result = view.apply_async(work.held())
    work.begun("held")
    own.restart()
    work.release()

    assert result.get(WAIT) == "held"


@pytest.mark.parametrize("how", ["restarted", "killed"])
def test_an_engine_that_is_being_restarted_is_waited_for(own: Client, how: str) -> None:
    """By who wants it restarted, however far it has come."""
    for pause in (0.0, 0.03, 0.06):
        before = pids(own)
        if how == "restarted":
            own.restart(1, block=False)
        else:
            os.kill(before[1], signal.SIGKILL)
        time.sleep(pause)
        own.restart(1)
        after = pids(own)
        assert after[0] == before[0]
        assert after[1] != before[1]
        own.restart(1, block=False)
        own.restart()
        assert not set(after) & set(pids(own))


def test_a_restart_that_takes_too_long(own: Client) -> None:
    """The engines that are missing are named; they still come."""
    with pytest.raises(TimeoutError, match="engines 0, 1 are not back"):
        own.restart(timeout=0)
    until(lambda: own.ids == [0, 1], "both engines")


def test_an_engine_that_was_restarted_can_be_signalled_at_once(own: Client) -> None:
    """The hub knows its nanny before it comes."""
    own.restart(1)
    own.send_signal(signal.SIGURG)


# ---------------------------------------------------------------- shutdown, deaths


def test_shutting_down_waits_if_it_is_to(own: Client) -> None:
    """Until the engine is gone."""
    own.shutdown(1, block=True)
    assert own.ids == [0]


def test_a_hub_that_ends_restarts_nothing(client: Client) -> None:
    """Both at once make no sense."""
    with pytest.raises(ValueError, match="either hub or restart"):
        client.shutdown(restart=True, hub=True)


def test_the_last_words_are_the_engines_own(own: Client) -> None:
    """Not those of its predecessor in the same log."""
    own[0].execute("print('the first one')", block=True)
    own.restart(0)
    own[0].execute("print('an earlier one')", block=True)

    with pytest.raises(EngineError) as caught:
        own[0].execute("print('the second one', flush=True); import os; os.abort()", block=True)

    assert "SIGABRT" in str(caught.value)
    assert "the second one" in str(caught.value)
    assert "the first one" not in str(caught.value)
    assert "an earlier one" not in str(caught.value)


def test_engines_that_end_with_their_nanny_say_so(state: Path, tmp_path: Path) -> None:
    """The nanny cannot tell any more how they ended; others come in their places."""
    cluster = Cluster(n=1)
    with cluster as client:
        result = begin(client[0], "import time; time.sleep(600)", tmp_path)
        (nanny,) = cluster.pids["nannies"]
        client.send_signal(signal.SIGURG)  # for which the hub waits until it knows the nanny

        psutil.Process(nanny).kill()

        with pytest.raises(EngineError, match=rf"its nanny \(process {nanny} on "):
            result.get(WAIT)
        client.wait_for_engines(1, timeout=WAIT)


KILL_IO_THREAD = """
import ctypes, threading
(thread,) = [t for t in threading.enumerate() if t.name == "ctrlhub-io"]
ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit))
import time
time.sleep(600)
"""


def test_an_engine_whose_io_thread_is_killed_does_not_stay(own: Client) -> None:
    """It could not be heard any more: it ends, says why in its last words, and is replaced."""
    with pytest.raises(EngineError, match="the connection to the hub ended"):
        own[0].execute(KILL_IO_THREAD).get(WAIT)
    own.wait_for_engines(2, timeout=WAIT)


def test_a_cluster_restarts_signals_and_stops_engines(state: Path) -> None:
    """By ipyparallel's names."""
    cluster = Cluster(n=2)
    with cluster as client:
        first = pids(client)
        cluster.restart_engine_sync(0)
        second = pids(client)
        assert (second[0] != first[0], second[1]) == (True, first[1])

        cluster.restart_engines_sync()
        third = pids(client)
        assert not set(third) & set(second)

        cluster.signal_engines_sync("SIGURG")
        cluster.signal_engine_sync(signal.SIGKILL, 1)
        until(lambda: registered(client).get(1, third[1]) != third[1], "another engine")

        cluster.stop_engine_sync(1)
        assert client.ids == [0]


def test_engines_of_a_cluster_that_does_not_run() -> None:
    """There are none, and it is said how to get them."""
    with pytest.raises(ClusterError, match=r"call start\(\)"):
        Cluster(n=1).restart_engines_sync()
