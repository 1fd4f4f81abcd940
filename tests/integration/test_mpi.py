"""Ranks of MPI as engines: started by a real ``mpiexec``, with a communicator that works."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from ctrlhub import Client, Cluster, EngineError
from ctrlhub.cli.exits import Exit
from ctrlhub.cluster.errors import ClusterError
from tests.support.processes import Command, is_alive, until
from tests.support.slurm import Slurm, can_have_slurm
from tests.support.state import own_state

MPIEXEC = "mpiexec --oversubscribe --allow-run-as-root"
RANKS = 2
PATIENCE = 60.0

STORY = "\n".join(["from mpi4py import MPI", "comm = MPI.COMM_WORLD", "rank = comm.rank"])


@pytest.fixture(scope="module")
def command(
    tmp_path_factory: pytest.TempPathFactory, require_system_part: Callable[[str, bool], None]
) -> Iterator[Command]:
    """The command, on the module's own state directory."""
    require_system_part("Open MPI (Debian: openmpi-bin)", shutil.which("mpiexec") is not None)
    with own_state(tmp_path_factory.mktemp("state")) as directory:
        command = Command(directory)
        try:
            yield command
        finally:
            command.close()


@pytest.fixture(scope="module")
def client(command: Command) -> Iterator[Client]:
    """A client of a hub without engines."""
    supervisor = command.start("-n", "0")
    with Client(timeout=60.0) as client:
        yield client
    supervisor.send_signal(signal.SIGINT)
    supervisor.wait()


@pytest.fixture
def hub(client: Client, command: Command) -> Iterator[Client]:
    """The same; no engine is left when a test is over."""
    running = len(command.started)
    yield client
    for process in command.started[running:]:
        process.kill()
        process.communicate()
    until(lambda: not client.ids, "the hub has no engines")


def start(command: Command, hub: Client, mpiexec: str = MPIEXEC) -> subprocess.Popen[str]:
    """Start ranks, and wait for them."""
    watcher = command.launch("engine", "-n", str(RANKS), "--mpiexec", mpiexec)
    hub.wait_for_engines(RANKS, timeout=PATIENCE)
    return watcher


def end(watcher: subprocess.Popen[str]) -> str:
    """Have the watcher end; it must in good order. Return what it has said."""
    watcher.send_signal(signal.SIGINT)
    said = watcher.communicate(timeout=PATIENCE)[1]
    assert watcher.returncode == 0, said
    return said


def children(watcher: subprocess.Popen[str]) -> list[psutil.Process]:
    """Return what a watcher has started: mpiexec, and the ranks."""
    found: list[psutil.Process] = psutil.Process(watcher.pid).children(recursive=True)
    return found


def test_ranks_are_engines_with_a_communicator(hub: Client, command: Command) -> None:
    """Each has the id of its rank; they compute together, as commands and as tasks; the end is in good order."""
    watcher = start(command, hub)
    assert hub.ids == list(range(RANKS))
    view = hub[:]
    view.execute(STORY).get(PATIENCE)
    assert view.get("rank") == list(range(RANKS))
    view.execute("total = comm.allreduce(rank + 1)\nprint('rank', rank)").get(PATIENCE)
    assert view.get("total") == [3] * RANKS

    def gathered() -> list[int]:
        import numpy
        from mpi4py import MPI

        comm = MPI.COMM_WORLD
        out = numpy.empty(comm.size, dtype=int)
        comm.Allgather(numpy.array([comm.rank * 10]), out)
        return [int(each) for each in out]

    assert view.apply_sync(gathered) == [[0, 10]] * RANKS
    assert hub.load_balanced_view().map_sync(abs, range(-5, 5)) == [5, 4, 3, 2, 1, 0, 1, 2, 3, 4]
    assert not view.apply_sync(lambda: [n for n in __import__("os").environ if n.startswith("CTRLHUB_RANK")])[0]

    result = hub[1].execute("import os\nprint('from python')\nos.system('echo from a program')")
    result.get(PATIENCE)
    assert result.stdout == "from python\nfrom a program\n"

    started = children(watcher)
    said = end(watcher)
    until(lambda: not hub.ids, "the hub has no engines")
    until(lambda: not any(is_alive(each.pid) for each in started), "nothing is left")
    assert "ERROR" not in said


def test_ranks_share_the_gpus_that_were_named(hub: Client, command: Command) -> None:
    """Each node's ranks do; a way through ssh, which they have not, is a wrong use."""
    refused = command.run("engine", "-n", "1", "--mpiexec", MPIEXEC, "--ssh", "me@gate")
    assert refused.returncode == Exit.USAGE
    assert "reach the hub directly" in refused.stderr
    watcher = command.launch("engine", "-n", str(RANKS), "--mpiexec", MPIEXEC, "--gpus", "3,5")
    hub.wait_for_engines(RANKS, timeout=PATIENCE)
    assert hub[:].apply_sync(os.getenv, "CUDA_VISIBLE_DEVICES") == ["3", "5"]
    end(watcher)


def test_a_rank_that_is_killed_ends_the_set(hub: Client, command: Command) -> None:
    """Its cause is told to who waits, with its name; the others go with it, and their work is not to blame."""
    watcher = start(command, hub)
    started = children(watcher)
    waits = hub[0].apply_async(lambda: __import__("time").sleep(600))
    dies = hub[1].apply_async(lambda: __import__("os").kill(__import__("os").getpid(), 9))

    with pytest.raises(EngineError, match=r"killed by signal 9 \(SIGKILL\)"):
        dies.get(PATIENCE)
    with pytest.raises(EngineError, match=r"its MPI job ended: rank 1: killed by signal 9"):
        waits.get(PATIENCE)
    until(lambda: not hub.ids, "the hub has no engines")
    said = watcher.communicate(timeout=PATIENCE)[1]
    assert watcher.returncode == 1
    assert "the MPI job has ended: rank 1: killed by signal 9 (SIGKILL)" in said
    until(lambda: not any(is_alive(each.pid) for each in started), "nothing is left")


def test_abort(hub: Client, command: Command) -> None:
    """A rank that calls MPI_Abort ends the set, and says with which code."""
    watcher = start(command, hub)
    hub[:].execute(STORY).get(PATIENCE)
    aborted = hub[1].apply_async(lambda: __import__("mpi4py.MPI").MPI.COMM_WORLD.Abort(7))
    with pytest.raises(EngineError):
        aborted.get(PATIENCE)
    watcher.communicate(timeout=PATIENCE)
    assert watcher.returncode == 1
    assert hub.ids == []


def test_a_restart_is_of_all_ranks(hub: Client, command: Command) -> None:
    """They come back with their ids and a new communicator."""
    watcher = start(command, hub)
    before = hub[:].apply_sync(os.getpid)
    hub.restart(timeout=PATIENCE)
    after = hub[:].apply_sync(os.getpid)
    assert hub.ids == list(range(RANKS))
    assert not set(before) & set(after)
    hub[:].execute(STORY + "\ntotal = comm.allreduce(1)").get(PATIENCE)
    assert hub[:].get("total") == [RANKS] * RANKS
    end(watcher)


def test_a_rank_that_leaves_alone_waits_for_the_others(hub: Client, command: Command) -> None:
    """It is no engine any more, and ends with them: MPI ends for all at once."""
    watcher = start(command, hub)
    hub.shutdown(1, block=True)
    until(lambda: hub.ids == [0], "one engine is left")
    assert hub[0].apply_sync(abs, -1) == 1
    assert "ERROR" not in end(watcher)


def test_sigterm_lets_ranks_finish(hub: Client, command: Command) -> None:
    """The watcher has them drained: what runs ends, then all do, with exit code 0."""
    watcher = start(command, hub)
    runs = hub.load_balanced_view().apply_async(lambda: __import__("time").sleep(0.3) or "done")
    until(lambda: any(each["running"] for each in hub.status()["engines"]), "it runs")
    watcher.send_signal(signal.SIGTERM)
    assert runs.get(PATIENCE) == "done"
    said = watcher.communicate(timeout=PATIENCE)[1]
    assert watcher.returncode == 0, said
    assert "draining" in said


def test_draining_ranks_end_together(hub: Client, command: Command, tmp_path: Path) -> None:
    """What runs ends, nothing new begins, and the watcher ends in good order."""
    watcher = start(command, hub)
    begun = tmp_path / "begun"

    def work(mark: str) -> None:
        import time

        open(mark, "w").close()
        time.sleep(0.3)

    runs = hub.load_balanced_view().apply_async(work, str(begun))
    until(begun.exists, "it runs")  # the hub says so as soon as it has sent it
    hub.drain(timeout=PATIENCE)
    runs.get(PATIENCE)
    said = watcher.communicate(timeout=PATIENCE)[1]
    assert watcher.returncode == 0, said


def test_shutdown_of_all_ends_the_watcher(hub: Client, command: Command) -> None:
    """In good order, with exit code 0."""
    watcher = start(command, hub)
    hub.shutdown("all", block=True)
    said = watcher.communicate(timeout=PATIENCE)[1]
    assert watcher.returncode == 0, said


@pytest.mark.parametrize("victim", ["watcher", "mpiexec"])
def test_nothing_outlives_what_holds_it(hub: Client, command: Command, victim: str) -> None:
    """Who watches, or mpiexec, is killed: the ranks end within seconds, and the hub knows."""
    watcher = start(command, hub)
    started = children(watcher)
    (mpiexec,) = [each for each in started if each.name() in ("mpiexec", "orterun", "mpirun")]
    (watcher if victim == "watcher" else mpiexec).kill()
    until(lambda: not any(is_alive(each.pid) for each in started), "nothing is left")
    watcher.communicate(timeout=PATIENCE)


def test_an_id_that_is_taken_is_an_error(hub: Client, command: Command) -> None:
    """The ranks do not become other engines; the watcher says who has the id."""
    other = command.launch("engine")
    hub.wait_for_engines(1, timeout=PATIENCE)
    watcher = command.launch("engine", "-n", str(RANKS), "--mpiexec", MPIEXEC)
    said = watcher.communicate(timeout=PATIENCE)[1]
    assert watcher.returncode == 8, said
    assert "engine id 0 is taken: process" in said
    assert hub.ids == [0]
    other.send_signal(signal.SIGINT)
    assert other.wait(PATIENCE) == 0


def test_interrupts(hub: Client, command: Command) -> None:
    """What computes in Python stops at once; what waits in MPI as soon as that returns."""
    watcher = start(command, hub)
    view = hub[:]
    view.execute(STORY).get(PATIENCE)
    sleeps = view.execute("import time\ntime.sleep(600)")
    until(lambda: all_run(hub), "all of them run it")
    hub.interrupt()
    with pytest.raises(Exception, match="KeyboardInterrupt"):
        sleeps.get(PATIENCE)

    waits = hub[0].execute("request = comm.Ibarrier()\nwhile not request.Test(): time.sleep(0.001)")
    until(lambda: hub.status()["engines"][0]["running"], "it waits")
    hub.interrupt(0)
    with pytest.raises(Exception, match="KeyboardInterrupt"):
        waits.get(PATIENCE)
    view.execute("(request if rank == 0 else comm.Ibarrier()).Wait()").get(PATIENCE)

    blocked = hub[0].execute("total = comm.allreduce(1)\ntime.sleep(600)")
    until(lambda: hub.status()["engines"][0]["running"], "it waits in C")
    hub.interrupt(0)
    hub[1].execute("total = comm.allreduce(1)").get(PATIENCE)
    with pytest.raises(Exception, match="KeyboardInterrupt"):
        blocked.get(PATIENCE)
    view.execute("total = comm.allreduce(1)").get(PATIENCE)
    assert view.get("total") == [RANKS] * RANKS
    end(watcher)


def all_run(hub: Client) -> bool:
    """Say whether all engines run something."""
    return all(each["running"] for each in hub.status()["engines"])


def test_ranks_by_hand(hub: Client, command: Command) -> None:
    """``mpiexec ctrl-hub engine --mpi`` alone does as well."""
    job = subprocess.Popen(
        [*MPIEXEC.split(), "-n", "2", sys.executable, "-m", "ctrlhub", "engine", "--mpi"],
        env=command.environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    hub.wait_for_engines(RANKS, timeout=PATIENCE)
    hub[:].execute(STORY + "\ntotal = comm.allreduce(1)").get(PATIENCE)
    assert hub[:].get("total") == [RANKS] * RANKS
    hub.shutdown("all", block=True)
    assert job.communicate(timeout=PATIENCE)[1] == ""
    assert job.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["--mpi"], 2, "mpiexec -n 4 ctrl-hub engine --mpi"),
        (["-n", "2", "--mpiexec", "no-such-mpiexec"], 7, "there is no 'no-such-mpiexec' here"),
        (["-n", "2", "--mpiexec", " "], 2, "there is no command"),
    ],
)
def test_no_mpi(hub: Client, command: Command, arguments: list[str], code: int, text: str) -> None:
    """What is missing is said, and what to do."""
    done = command.run("engine", *arguments)
    assert text in done.stderr
    assert done.returncode == code


def test_the_ranks_of_a_cluster_come_and_go_together(command: Command) -> None:
    """Their number is that of the job: it is not scaled, but ended and started again."""
    options = {"mpiexec": MPIEXEC}
    with Cluster(n=RANKS, launcher="mpi", launcher_options=options, listen="127.0.0.1") as client:
        cluster = client.cluster
        client[:].execute(STORY, block=True)
        assert client[:]["rank"] == client.ids == [0, 1]
        for wish in (1, 3):
            with pytest.raises(ClusterError, match="of one number for good, 2"):
                cluster.scale(wish)
        with pytest.raises(ClusterError, match="of one number for good"):
            cluster.adapt(1, RANKS)
        assert client.ids == [0, 1]
        assert cluster.scale(0) == []
        assert cluster.scale(RANKS) == [0, 1]


def test_ranks_that_slurm_starts(
    hub: Client,
    command: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    require_system_part: Callable[[str, bool], None],
) -> None:
    """``srun --mpi=pmix`` in the place of mpiexec: a communicator, and the cause of an end, in Slurm's words."""
    require_system_part("Slurm (Debian: slurm-wlm, munge; root)", can_have_slurm())
    with Slurm(tmp_path) as slurm:
        for name, value in slurm.environment.items():
            monkeypatch.setenv(name, value)
        watcher = start(command, hub, "srun --mpi=pmix --kill-on-bad-exit=1 -n {n}")
        hub[:].execute(STORY + "\ntotal = comm.allreduce(1)").get(PATIENCE)
        assert hub[:].get("total") == [RANKS] * RANKS
        dies = hub[1].apply_async(lambda: __import__("os").kill(__import__("os").getpid(), 9))
        with pytest.raises(EngineError, match=r"killed by signal 9 \(SIGKILL\)"):
            dies.get(PATIENCE)
        said = watcher.communicate(timeout=PATIENCE)[1]
        assert watcher.returncode == 1, said
        watcher = start(command, hub, "srun --mpi=pmix --kill-on-bad-exit=1 -n {n}")
        end(watcher)
        until(lambda: not slurm.queue(), "no job is left")
