"""Guarantee 8: what is cancelled stops, whatever it does, and nothing else does."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError

import pytest

from ctrlhub import Client, Cluster
from tests.support.journal import Journal
from tests.support.processes import until
from tests.support.state import own_state


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of one engine: nothing can hide on another."""
    with own_state(tmp_path_factory.mktemp("state")):
        cluster = Cluster(n=1)
        with cluster:
            yield cluster


@pytest.fixture
def client(cluster: Cluster) -> Iterator[Client]:
    """A client; the engine must outlive what it cancels, with its namespace."""
    with cluster.connect_client_sync() as client:
        pid = client[0].apply_sync(os.getpid)
        client[0].push({"kept": 7}, block=True)
        yield client
        assert client[0].apply_sync(os.getpid) == pid
        assert client[0].pull("kept", block=True) == 7


def loops(number: int) -> None:
    """Run Python code for ever."""
    while True:
        number += 1


def sleeps(number: int) -> None:
    """Wait in Python's sleep."""
    import time

    time.sleep(600)


def sleeps_in_c(number: int) -> None:
    """Wait in a C function that knows nothing of Python."""
    import ctypes

    ctypes.CDLL(None).sleep(600)


def waits_for_a_child(number: int) -> None:
    """Wait for another process."""
    import subprocess

    subprocess.run(["sleep", "600"], check=True)


def waits_for_a_lock(number: int) -> None:
    """Wait for a lock that nobody lets go of."""
    import threading

    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def double(number: int) -> int:
    """Do something harmless."""
    return 2 * number


@pytest.mark.parametrize("busy", [loops, sleeps, sleeps_in_c, waits_for_a_child, waits_for_a_lock])
@pytest.mark.parametrize("way", ["task", "command"])
def test_what_runs_is_stopped(
    client: Client,
    journal: Journal,
    record_testsuite_property: Callable[[str, object], None],
    busy: Callable[[int], None],
    way: str,
) -> None:
    """It ends as cancelled, and what waited behind it is run, once."""
    view = client.load_balanced_view() if way == "task" else client[0]
    journal.submit(view, journal.noting(busy), [0])
    journal.submit(view, journal.noting(double), range(1, 20))
    journal.begun(0)

    began = time.monotonic()
    journal.result(0).cancel()
    with pytest.raises(CancelledError):
        journal.result(0).get(60)
    record_testsuite_property("seconds until it has stopped", time.monotonic() - began)

    journal.check(failed=[0])
    assert journal.result(0).cancelled()


def test_what_waits_is_dropped_at_once(client: Client, journal: Journal) -> None:
    """While another runs, and goes on to run; what was cancelled is never begun."""
    balanced = client.load_balanced_view()
    journal.submit(balanced, journal.held(), [0])
    journal.begun(0)
    journal.submit(balanced, journal.noting(double), range(1, 400))

    for number in range(1, 400, 2):
        journal.result(number).cancel()
    for number in range(1, 400, 2):
        with pytest.raises(CancelledError):
            journal.result(number).get(60)
    assert not journal.result(0).done()
    journal.release()

    journal.check(failed=range(1, 400, 2))
    assert {number for number, _ in journal.runs()} == {0, *range(2, 400, 2)}


def test_what_has_ended_is_not_cancelled(client: Client, journal: Journal) -> None:
    """Too late is too late: the result stays."""
    journal.submit(client.load_balanced_view(), journal.noting(double), [1])
    assert journal.result(1).get(60) == 2

    assert journal.result(1).cancel() is False
    assert journal.result(1).get() == 2
    journal.check()


def test_a_storm_of_cancelling_stops_what_it_is_for(client: Client, journal: Journal) -> None:
    """Each of many short tasks, cancelled at any moment, ends well or as cancelled, never both."""
    balanced = client.load_balanced_view()
    for number in range(300):
        journal.submit(balanced, journal.noting(double), [number])
        if number % 3 == 0:
            journal.result(number).cancel()
    until(lambda: all(journal.result(n).done() for n in range(300)), "all have ended")
    cancelled = {n for n in range(300) if journal.result(n).cancelled()}

    journal.check(failed=cancelled)
    assert cancelled <= set(range(0, 300, 3))
