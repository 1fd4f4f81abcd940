"""Guarantee 9: engines finish or give back what they have, and leave with exit code 0."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from ctrlhub import Client, EngineError
from tests.support.journal import Journal
from tests.support.processes import Command, is_alive, until

START = "--profile", "p"
QUICK = "--beat", "0.2", "--suspect", "1.5"
"""A hub that is killed is missed soon."""


@pytest.fixture
def cluster(command: Command) -> Iterator[Command]:
    """A hub that is supervised, and one engine of its own."""
    command.start(*START, "-n", "1", *QUICK)
    yield command
    assert command.run("stop", "--profile", "p").returncode == 0


@pytest.fixture
def client(cluster: Command) -> Iterator[Client]:
    """A client of it."""
    with Client(profile="p") as client:
        yield client


def with_nanny(command: Command, client: Client, n: int, *options: str) -> subprocess.Popen[str]:
    """Start a nanny, and wait for its engines."""
    there = len(client.ids)
    nanny = command.launch("engine", "--profile", "p", "-n", str(n), *options)
    client.wait_for_engines(there + n, timeout=60, interactive=False)
    return nanny


def states(client: Client) -> list[str]:
    """Return the states of the engines."""
    return [engine["state"] for engine in client.status()["engines"]]


def filled(client: Client, journal: Journal) -> dict[int, int]:
    """Have each engine run something that is held, with quick tasks behind; return where (pid) each runs."""
    lbv = client.load_balanced_view()
    lbv.map_sync(abs, range(400), chunksize=1)  # it is known to be quick: so it is given ahead
    engines = len(client.ids)
    journal.submit(lbv, journal.held(), range(engines))
    running = {number: journal.begun(number) for number in range(engines)}
    journal.submit(lbv, journal.noting(abs), range(100, 140))
    return running


def test_a_nanny_that_is_terminated(cluster: Command, client: Client, journal: Journal) -> None:
    """By SIGTERM: what runs ends there, what waits runs elsewhere, and all leave with exit code 0."""
    nanny = with_nanny(cluster, client, 2)
    running = filled(client, journal)

    nanny.send_signal(signal.SIGTERM)

    until(lambda: states(client).count("draining") == 2, "its engines drain")
    journal.release()
    journal.check()
    assert {journal.result(n).get() for n in running} == set(running.values())
    until(lambda: len(client.ids) == 1, "they have left")
    assert nanny.wait(60) == 0
    assert not cluster.files() & {f"profiles/p/nannies/{nanny.pid}.json"}


def test_whose_time_is_over_gives_back(cluster: Command, client: Client, journal: Journal) -> None:
    """What runs when the grace is over runs once more elsewhere, although it may kill no engine."""
    nanny = with_nanny(cluster, client, 1, "--grace", "1")
    lbv = client.load_balanced_view(engine_retries=0)
    journal.submit(lbv, journal.held(), range(2))
    first = {number: journal.begun(number) for number in range(2)}
    theirs = {p.pid for p in psutil.Process(nanny.pid).children(recursive=True)}
    [back] = [number for number, pid in first.items() if pid in theirs]

    nanny.send_signal(signal.SIGTERM)

    assert nanny.wait(60) == 0
    until(lambda: len(client.ids) == 1, "it has left")
    journal.release()
    assert journal.begun(back, 2) not in theirs
    journal.check(again=[back])


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_at_once(
    cluster: Command, client: Client, journal: Journal, second: signal.Signals
) -> None:
    """What runs is given back, and the exit code is 0 all the same."""
    nanny = with_nanny(cluster, client, 1, "--grace", "600")
    journal.submit(client.load_balanced_view(), journal.held(), range(2))
    for number in range(2):
        journal.begun(number)
    nanny.send_signal(signal.SIGTERM)
    until(lambda: "draining" in states(client), "it drains")

    nanny.send_signal(second)

    assert nanny.wait(60) == 0
    journal.release()
    journal.check(again=range(2))


@pytest.mark.parametrize("how", ["option", "slurm"])
def test_before_the_wall_time_is_over(
    cluster: Command, client: Client, journal: Journal, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Engines drain so early that all has ended then, and nothing begins that would not."""
    asked = time.monotonic()
    cluster.status("--profile", "p")
    # Time to begin, as this machine needs it now; three seconds of it are the grace.
    length = 7 + int(10 * (time.monotonic() - asked))
    began = time.time()
    if how == "slurm":
        monkeypatch.setenv("SLURM_JOB_END_TIME", str(int(began + length)))
    wall = ("--wall-time", str(length)) if how == "option" else ()
    nanny = with_nanny(cluster, client, 1, "--grace", "3", *wall)
    journal.submit(client.load_balanced_view(), journal.held(), range(2))
    for number in range(2):
        journal.begun(number)

    until(lambda: "draining" in states(client), "it drains")
    journal.release()

    assert nanny.wait(60) == 0
    journal.check()


def test_without_a_hub_there_is_nothing_to_finish(command: Command) -> None:
    """A nanny whose hub was killed does not wait out its grace."""
    hub = command.launch("hub", "--profile", "p", *QUICK)
    with_client: Any = until(lambda: command.run("status", "--profile", "p").returncode == 0, "the hub")
    assert with_client
    nanny = command.launch("engine", "--profile", "p", "-n", "1", "--grace", "600")
    until(lambda: len(command.status("--profile", "p")["engines"]) == 1, "its engine is there")
    hub.kill()
    hub.wait()

    nanny.send_signal(signal.SIGTERM)

    assert nanny.wait(40) == 0
    command.run("stop", "--profile", "p")


def test_a_drain_outlives_its_hub_and_its_client(
    cluster: Command, client: Client, journal: Journal
) -> None:
    """The hub is killed in the midst of it: another one goes on with it."""
    with_nanny(cluster, client, 2)
    running = filled(client, journal)
    with Client(profile="p") as other:
        other.drain([1, 2], block=False)
    until(lambda: states(client).count("draining") == 2, "they drain")
    hub = client.status()["hub"]["pid"]

    os.kill(hub, signal.SIGKILL)

    until(lambda: client.status()["hub"]["pid"] != hub, "another hub")
    until(lambda: sorted(client.ids) == [0, 1, 2], "its engines are back")
    assert states(client)[1:] == ["draining", "draining"]
    journal.submit(client.load_balanced_view(), journal.noting(abs), range(200, 220))
    journal.release()
    journal.check()
    until(lambda: client.ids == [0], "they have left")
    assert {journal.result(n).get() for n in running} == set(running.values())


def holds_the_gil(gate: str) -> int:
    """Run in C without letting any thread have its turn, until somebody writes to a pipe."""
    import ctypes
    import os

    if os.path.exists(gate + ".begun"):
        return os.getpid()
    open(gate + ".begun", "w").close()
    pipe = os.open(gate, os.O_RDWR)
    ctypes.PyDLL(None).read(pipe, ctypes.create_string_buffer(1), 1)
    return 0


def test_an_engine_that_does_not_let_go(cluster: Command, client: Client, tmp_path: Path) -> None:
    """Its nanny ends it when its time is over, and starts no other; nobody is to blame."""
    nanny = with_nanny(cluster, client, 1)
    gate = str(tmp_path / "gate")
    os.mkfifo(gate)
    stuck = client.load_balanced_view(1, engine_retries=0).apply_async(holds_the_gil, gate)
    until(lambda: os.path.exists(gate + ".begun"), "it runs")
    [engine] = [e["pid"] for e in client.status()["engines"] if e["id"] == 1]

    client.drain(1, timeout=0.5)

    until(lambda: not is_alive(engine), "it was killed")
    assert nanny.wait(60) == 0
    with pytest.raises(Exception, match="none of its targets is here"):
        stuck.get(60)


def test_one_that_dies_in_the_midst_is_not_replaced(
    cluster: Command, client: Client, journal: Journal
) -> None:
    """What ran is charged with the death and runs elsewhere; the nanny ends, as its engines have."""
    nanny = with_nanny(cluster, client, 1)
    journal.submit(client.load_balanced_view(), journal.held(), range(2))
    first = {number: journal.begun(number) for number in range(2)}
    [engine] = [e["pid"] for e in client.status()["engines"] if e["id"] == 1]
    [lost] = [number for number, pid in first.items() if pid == engine]
    client.drain(1, block=False)
    until(lambda: "draining" in states(client), "it drains")
    with pytest.raises(EngineError, match="engine 1 is draining"):
        client[1].apply_sync(abs, 1)
    assert client[:].targets == [0]

    os.kill(engine, signal.SIGKILL)

    journal.release()
    assert journal.begun(lost, 2) != engine
    journal.check(again=[lost])
    assert client.ids == [0]
    assert nanny.wait(60) == 0


def test_async(cluster: Command) -> None:
    """The same call is a coroutine of the client of asyncio."""
    import asyncio

    from ctrlhub import AsyncClient

    async def drained() -> list[int]:
        async with AsyncClient(profile="p") as client:
            assert client.ids == [0]
            await client.drain(timeout=5)
            return client.ids

    assert asyncio.run(drained()) == []
