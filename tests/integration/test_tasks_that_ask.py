"""Tasks that ask for more, with real engines: resources, limits that kill, losses amid a graph."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Iterator
from operator import add
from pathlib import Path

import pytest

from ctrlhub import Client, Cluster, ImpossibleDependency, TaskCancelled, TimeLimitExceeded
from tests.support.processes import until
from tests.support.state import own_state

WAIT = 60.0


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two engines, of which one has something."""
    with own_state(tmp_path_factory.mktemp("state")):
        cluster = Cluster(n=2, resources=[{"gpu": 1}, {}])
        with cluster:
            yield cluster


@pytest.fixture
def client(cluster: Cluster) -> Iterator[Client]:
    """A client; both engines are there again when its test is over."""
    with cluster.connect_client_sync() as client:
        yield client
        client.wait_for_engines(2, timeout=WAIT)


def deaf(sleep: str) -> Callable[[str], None]:
    """Return work that does not listen, once it has said that it runs.

    It sleeps in Python, or in C with the interpreter's lock held: then nothing of its process runs.
    """

    def work(path: str) -> None:
        import ctypes
        import pathlib
        import time
        from contextlib import suppress

        rest = time.sleep if sleep == "Python" else ctypes.PyDLL(None).sleep
        while True:
            with suppress(KeyboardInterrupt):
                pathlib.Path(path).touch()
                rest(600)

    return work


def slow_add() -> Callable[[int, int], int]:
    """Return an addition that takes its time."""

    def work(a: int, b: int) -> int:
        import time

        time.sleep(0.001)
        return (a + b) % 1000

    return work


def test_tasks_go_where_the_resources_are(client: Client) -> None:
    """Other tasks go anywhere; what nobody has fails, and says what is missing."""
    view = client.load_balanced_view(resources={"gpu": 1})
    result = view.map_async(abs, range(100))
    result.get(WAIT)
    [engine] = set(result.engine_id)
    described = {each["id"]: each["resources"] for each in client.status()["engines"]}
    assert described == {engine: {"gpu": 1}, 1 - engine: {}}
    with pytest.raises(ImpossibleDependency, match="gpu=2"):
        client.load_balanced_view(resources={"gpu": 2}).apply_async(abs, 1).get(WAIT)


@pytest.mark.parametrize("sleep", ["Python", "C"])
def test_who_does_not_listen_is_killed(client: Client, sleep: str, tmp_path: Path) -> None:
    """By its time limit or its client's wish; its engine is there again, and others never noticed."""
    pids = client[:].apply_sync(os.getpid)
    work, path = deaf(sleep), tmp_path / "begun"
    view = client.load_balanced_view(grace=0.2)
    other = client.load_balanced_view().apply_async(abs, -7)
    result = view.apply_async(work, str(path))
    until(path.exists, "it runs")
    result.cancel()
    with pytest.raises(TaskCancelled):
        result.get(WAIT)
    assert other.get(WAIT) == 7
    client.wait_for_engines(2, timeout=WAIT)
    assert sum(pid in pids for pid in client[:].apply_sync(os.getpid)) == 1

    path.unlink()
    plain = client.load_balanced_view().apply_async(work, str(path))
    until(path.exists, "it runs")
    client.abort(plain, grace=0.2)
    with pytest.raises(TaskCancelled):
        plain.get(WAIT)
    client.wait_for_engines(2, timeout=WAIT)

    with view.temp_flags(time_limit=0.3):
        limited = view.apply_async(work, str(path))
    with pytest.raises(TimeLimitExceeded, match=r"time_limit of 0\.3 s"):
        limited.get(WAIT)


def test_a_graph_survives_its_engines(client: Client) -> None:
    """Engines are killed amid a graph of tasks that are called with each other's results."""
    chance = random.Random(7)
    view, work = client.load_balanced_view(), slow_add()
    results = [view.apply_async(add, 1, 0)]
    expected = [1]
    killed: set[int] = set()
    for number in range(600):
        first, second = (chance.randrange(max(0, number - 20), number + 1) for _ in range(2))
        results.append(view.apply_async(work, results[first], results[second]))
        expected.append((expected[first] + expected[second]) % 1000)
        if number in (200, 400):
            engines = client._connection.current_engines().values()
            alive = [each["pid"] for each in engines if each["pid"] not in killed]
            victim = chance.choice(alive)
            killed.add(victim)
            os.kill(victim, signal.SIGKILL)
    assert [result.get(WAIT) for result in results] == expected
