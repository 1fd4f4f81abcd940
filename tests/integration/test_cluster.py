"""`Cluster`: starts and ends with its program, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from ctrlhub import AlreadyRunning, Client, Cluster
from ctrlhub.cli.exits import Exit
from ctrlhub.cluster.errors import StartFailed
from ctrlhub.cluster.local import LocalProcesses
from tests.support.processes import Command, is_alive, processes_with, until

PROGRAM = """
import sys
from ctrlhub import Cluster
cluster = Cluster(n=2)
client = cluster.start()
engines = client[:].apply_sync(__import__("os").getpid)
print(cluster.pids["hub"], *cluster.pids["nannies"], *engines, flush=True)
"""


def launch(program: str, state: Path) -> tuple[subprocess.Popen[str], list[int]]:
    """Run a program that starts a cluster; return it and the pids that it printed."""
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        env=Command(state).environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, [int(word) for word in process.stdout.readline().split()]


def left_in(state: Path) -> list[str]:
    """Name what stands in the directory of clusters without a profile."""
    return [str(path) for path in (state / "clusters" / "profiles").iterdir()]


def test_with_gives_a_client_with_all_engines(state: Path) -> None:
    """The first line of every example works: engines are there, and compute."""
    with Cluster(n=2) as client:
        assert client.ids == [0, 1]
        assert client[:].apply_sync(lambda: 6 * 7) == [42, 42]


def test_a_stop_during_the_start_ends_it(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is given a client of a cluster that another thread has stopped meanwhile."""
    cluster = Cluster(n=1)

    def stop() -> None:
        stopper = threading.Thread(target=cluster.stop)
        stopper.start()
        stopper.join()

    monkeypatch.setattr(cluster, "update_cluster_file", stop)
    with pytest.raises(StartFailed, match="was stopped while it was starting"):
        cluster.start()
    assert cluster.profile is None
    assert left_in(state) == []


def test_a_stop_that_was_interrupted_is_said_again(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one ends what the first has left running."""
    cluster = Cluster(n=1)
    cluster.start()
    hub = cluster.pids["hub"]

    def interrupted(self: LocalProcesses, patience: float = 0.0) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(LocalProcesses, "stop", interrupted)
        with pytest.raises(KeyboardInterrupt):
            cluster.stop()
    assert is_alive(hub)
    cluster.stop()
    assert not is_alive(hub)
    assert left_in(state) == []


def test_nothing_is_left(state: Path) -> None:
    """When it is over, so are its processes, its sockets and its files."""
    cluster = Cluster(n=2)
    with cluster as client:
        engines = client[:].apply_sync(os.getpid)
        pids = [cluster.pids["hub"], *cluster.pids["nannies"], *engines]
        assert all(map(is_alive, pids))

    assert [pid for pid in pids if is_alive(pid)] == []
    assert left_in(state) == []
    assert cluster.pids == {"hub": None, "nannies": []}


def test_its_clients_know_it(cluster: Cluster) -> None:
    """The first one, and each other one."""
    client = cluster.start()
    assert client.cluster is cluster
    with cluster.connect_client_sync() as other:
        assert other.cluster is cluster


def test_it_can_be_started_again(state: Path) -> None:
    """A stopped cluster is like a new one."""
    cluster = Cluster(n=1)
    for _ in range(2):
        with cluster as client:
            assert client[0].apply_sync(int, "7") == 7


def test_two_at_once_do_not_meet(state: Path) -> None:
    """Each has engines of its own; the end of one is not the end of the other."""
    with Cluster(n=1) as one:
        with Cluster(n=1) as other:
            assert one[0].apply_sync(os.getpid) != other[0].apply_sync(os.getpid)
        assert one[0].apply_sync(int, "7") == 7


def test_a_profile_is_found_by_its_name(state: Path) -> None:
    """Another client of the same user connects by naming it; a second cluster there is refused."""
    with Cluster(n=1, profile="shared"):
        with Client(profile="shared") as client:
            assert client.ids == [0]
        with pytest.raises(AlreadyRunning) as caught:
            Cluster(n=1, profile="shared").start()
        assert caught.value.pid == os.getpid()


def test_stop_leaves_a_programs_cluster_to_it(state: Path) -> None:
    """``ctrl-hub list`` shows it, ``ctrl-hub stop`` names its program and ends nothing."""
    command = Command(state)
    with Cluster(n=1, profile="shared") as client:
        (listed,) = json.loads(command.run("list", "--json").stdout)
        refused = command.run("stop", "--profile", "shared")

        assert (listed["profile"], listed["kind"]) == ("shared", "program")
        assert listed["pid"] == os.getpid()
        assert refused.returncode == Exit.STOP_FAILED
        assert f"process {os.getpid()}" in refused.stderr
        assert client[0].apply_sync(int, "7") == 7


def test_names_of_ipyparallel(state: Path) -> None:
    """Programs written for ipyparallel's Cluster start, connect and stop."""
    cluster = Cluster(n=1)
    client = cluster.start_and_connect_sync()
    other = cluster.connect_client_sync()
    try:
        assert client.ids == other.ids == [0]
        assert cluster.start_cluster_sync() is cluster
    finally:
        other.close()
        cluster.stop_cluster_sync()


def test_coroutines(state: Path) -> None:
    """In an event loop the same is had by `await` and `async with`, under ipyparallel's names."""

    async def use() -> tuple[list[int], list[int], list[int]]:
        cluster = Cluster(n=2)
        client = await cluster.start_and_connect(n=1)
        first = client[:].apply_sync(abs, -1)
        await cluster.stop_cluster()
        await cluster.start_cluster()
        second = await cluster.connect_client(timeout=60)
        ids = second.ids
        await cluster.stop_cluster()
        cluster = Cluster(n=2)
        async with cluster as third:
            pids = third[:].apply_sync(os.getpid)
            await cluster.restart_engines()
            assert set(pids).isdisjoint(third[:].apply_sync(os.getpid))
            await cluster.signal_engines("SIGCONT")
            return first, ids, third[:].apply_sync(abs, -2)

    assert asyncio.run(use()) == ([1], [0], [2, 2])


def test_over_tcp(state: Path) -> None:
    """With ``prefer="tcp"`` everything goes over CURVE, and works the same."""
    with Cluster(n=2, prefer="tcp") as client:
        assert client[:].apply_sync(lambda: 6 * 7) == [42, 42]


def test_its_end_is_that_of_its_program(state: Path) -> None:
    """A program that ends without stopping its cluster leaves nothing behind either."""
    process, pids = launch(PROGRAM, state)
    process.communicate()

    assert process.returncode == 0
    assert len(pids) == 4
    until(lambda: not any(map(is_alive, pids)), "hub, nanny and engines end")
    assert left_in(state) == []


def test_a_killed_program_takes_all_with_it(state: Path) -> None:
    """``kill -9`` of the creator ends hub, nanny and engines, although nobody could tell them."""
    process, pids = launch(PROGRAM + "sys.stdin.read()", state)
    assert all(map(is_alive, pids))

    process.kill()
    process.communicate()

    until(lambda: not any(map(is_alive, pids)), "hub, nanny and engines end")


def test_a_killed_programs_busy_engines_end_too(state: Path) -> None:
    """An engine in the middle of something that never ends is no exception."""
    busy = "client[:].apply_async(__import__('time').sleep, 1000); sys.stdin.read()"
    process, pids = launch(PROGRAM + busy, state)

    process.kill()
    process.communicate()

    until(lambda: not any(map(is_alive, pids)), "hub, nanny and engines end")


def test_a_forked_bystander_does_not_hold_them(state: Path) -> None:
    """What the creator forked (multiprocessing, say) lives on; hub and engines still end with it."""
    fork = """
import os, signal, warnings
warnings.simplefilter("ignore")
bystander = os.fork()
if not bystander:
    signal.pause()
print(bystander, flush=True)
sys.stdin.read()
"""
    process, pids = launch(PROGRAM + fork, state)
    assert process.stdout is not None
    bystander = int(process.stdout.readline())
    try:
        process.kill()
        process.wait()
        until(lambda: not any(map(is_alive, pids)), "hub, nanny and engines end")
        assert is_alive(bystander)
    finally:
        os.kill(bystander, signal.SIGKILL)
        process.communicate()


def test_the_next_cluster_sweeps_what_a_killed_one_left(state: Path) -> None:
    """Nothing piles up in the state directory."""
    process, pids = launch(PROGRAM + "sys.stdin.read()", state)
    process.kill()
    process.communicate()
    until(lambda: not any(map(is_alive, pids)), "hub, nanny and engines end")
    stale = left_in(state)
    assert stale

    with Cluster(n=1):
        assert not set(stale) & set(left_in(state))


def test_a_child_that_dies_at_start_fails_it_with_its_log(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason is in the error within seconds, and nothing is left running."""
    with pytest.raises(StartFailed, match="hub ended with exit code"):
        Cluster(n=1, listen="192.0.2.1", timeout=60).start()  # an address of nobody's

    until(lambda: not processes_with(state), "nothing runs")
    assert left_in(state) == []


def test_a_killed_nanny_comes_back(state: Path) -> None:
    """As under a supervisor: other engines, with the same ids, for the same client."""
    cluster = Cluster(n=2)
    with cluster as client:
        before = client[:].apply_sync(os.getpid)
        (nanny,) = cluster.pids["nannies"]
        os.kill(nanny, signal.SIGKILL)

        def others() -> bool:
            engines = client.status()["engines"]
            return [each["id"] for each in engines] == [0, 1] and not any(
                each["pid"] in before for each in engines
            )

        until(others, "two other engines")
        assert cluster.pids["nannies"] != [nanny]
        until(lambda: client.ids == [0, 1], "the client has heard of both")
        assert client[:].apply_sync(lambda: 6 * 7) == [42, 42]


def test_the_hub_is_its_child_in_a_session_of_its_own(cluster: Cluster) -> None:
    """Ctrl-C at the program's terminal is the program's to handle."""
    hub = psutil.Process(cluster.pids["hub"])

    assert hub.ppid() == os.getpid()
    assert os.getsid(hub.pid) == hub.pid


def test_repr_names_the_hub(cluster: Cluster) -> None:
    """Whoever looks at it sees what it is."""
    assert repr(cluster) == f"<Cluster(n=2): running, hub pid {cluster.pids['hub']}>"


def test_a_context_of_ones_own() -> None:
    """The client's sockets are made in it, and it is left open."""
    import zmq

    context = zmq.Context()
    cluster = Cluster(n=1)
    with cluster, context.socket(zmq.PUSH):
        other = cluster.connect_client_sync(context=context)
        assert other[:].apply_sync(int, "7") == [7]
        other.close()
        assert not context.closed
    context.term()
