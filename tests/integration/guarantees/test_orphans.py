"""Guarantee 9: whoever is killed, nothing is left that nobody wants."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from ctrlhub import Client, Cluster, CompositeError, EngineError
from tests.support.census import INTERFACES, census_installed
from tests.support.journal import Journal
from tests.support.processes import Command, is_alive, processes_with, until

Start = Callable[..., Client]


class Family:
    """All processes of a cluster, by their parts."""

    def __init__(self, client: Client) -> None:
        self.hub: int = client.status()["hub"]["pid"]
        self.engines: list[int] = client[:].apply_sync(os.getpid)
        parents = {psutil.Process(pid).ppid() for pid in self.engines}
        (self.warm,) = parents
        self.nanny = psutil.Process(self.warm).ppid()
        # What user code has started, and what that has started.
        self.children: list[int] = client[:].apply_sync(child_of_an_engine)

    def alive(self) -> dict[str, list[int]]:
        """Return which of them live."""
        parts = {
            "hub": [self.hub],
            "nanny": [self.nanny],
            "warm process": [self.warm],
            "engines": self.engines,
            "children of engines": self.children,
        }
        living = {part: [pid for pid in pids if is_alive(pid)] for part, pids in parts.items()}
        return {part: pids for part, pids in living.items() if pids}


def child_of_an_engine() -> int:
    """Start a process that does not end by itself."""
    import subprocess

    return subprocess.Popen(["sleep", "600"]).pid


def sleeps(number: int) -> None:
    """Wait."""
    import time

    time.sleep(600)


# ---------------------------------------------------------------- processes

CREATOR = """
import os, sys
from ctrlhub import Cluster
with Cluster(n=2, profile="creators") as client:
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_with_its_creator(state: Path) -> None:
    """``Cluster()`` ends with a program that is killed: busy engines, and what they started, too."""
    creator = subprocess.Popen(
        [sys.executable, "-c", CREATOR], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert creator.stdin is not None
    assert creator.stdout is not None
    with creator.stdin, creator.stdout:
        assert creator.stdout.readline() == b"ready\n"
        with Client(profile="creators") as client:
            family = Family(client)
            client[:].apply_async(sleeps, 0)

            creator.kill()
            creator.wait()

            until(lambda: not family.alive(), f"all end, but there are {family.alive()}")
    until(lambda: not processes_with(state), "nothing is left")


@pytest.mark.parametrize(
    ("part", "cause"), [("nanny", "its nanny"), ("warm", "warm process has ended")]
)
def test_engines_with_their_nanny(start: Start, part: str, cause: str) -> None:
    """A nanny that is killed, or the process its engines come from: their clients hear why."""
    client = start()
    family = Family(client)
    running = client[:].apply_async(sleeps, 0)
    until(lambda: client.queue_status(0)[0]["queue"] > 0, "it is there")

    os.kill(getattr(family, part), signal.SIGKILL)

    until(lambda: set(family.alive()) == {"hub"}, "only the hub is left")
    with pytest.raises(CompositeError) as caught:
        running.get(60)
    for error in caught.value.errors:
        assert isinstance(error, EngineError)
        assert cause in str(error)


def test_with_its_supervisor(command: Command) -> None:
    """What ``ctrl-hub start`` runs ends when it is killed."""
    supervisor = command.start("-n", "2")
    with Client() as client:
        family = Family(client)
        client[:].apply_async(sleeps, 0)

        supervisor.kill()

        until(lambda: not family.alive(), f"all end, but there are {family.alive()}")
    until(lambda: not command.left(), "nothing is left")


def test_engines_without_a_hub_end_after_their_lease(
    start: Start, clusters: list[Cluster], state: Path
) -> None:
    """Whether they are idle or busy, at the latest; a cluster's nanny ends with them."""
    client = start(hub_lease=4.0, beat=0.2, suspect=30.0, lost=60.0)
    family = Family(client)
    client[0].apply_async(sleeps, 0)
    until(lambda: client.queue_status(0)[0]["queue"] > 0, "one is busy")

    os.kill(family.hub, signal.SIGKILL)

    until(lambda: not family.alive(), f"the others follow, but there are {family.alive()}")


# ---------------------------------------------------------------- clients

VANISHING = """
import os, sys
sys.path[:0] = [sys.argv[2]]
from pathlib import Path
from ctrlhub import Client
from tests.support.journal import Journal
client = Client(profile=sys.argv[1])
journal = Journal(Path(sys.argv[3]))
journal.submit(client.load_balanced_view(), journal.held(), range(200))
client[1].apply_async(__import__("time").sleep, 600)
client[1].apply_async(__import__("time").sleep, 600)
journal.begun(0)
print("submitted", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def vanished(
    clusters: list[Cluster], tmp_path_factory: pytest.TempPathFactory, state: Path, tmp_path: Path
) -> Callable[..., Client]:
    """Let a client submit tasks and commands and be killed; return one that looks on."""

    def vanish(**options: Any) -> Client:
        with census_installed(tmp_path_factory.mktemp("site")):
            clusters.append(Cluster(n=2, profile="p", interfaces=INTERFACES, **options))
            witness = clusters[-1].start()
        root = str(Path(__file__).parents[3])
        submitter = subprocess.Popen(
            [sys.executable, "-c", VANISHING, "p", root, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert submitter.stdin is not None
        assert submitter.stdout is not None
        with submitter.stdin, submitter.stdout:
            assert submitter.stdout.readline() == b"submitted\n"
            until(lambda: witness.queue_status(1)[1]["queue"] == 2, "its commands are there")
            submitter.kill()
            submitter.wait()
        return witness

    return vanish


def test_what_a_client_left_is_cancelled(vanished: Callable[..., Client], journal: Journal) -> None:
    """After `session_ttl`: what waited is never run, what ran is interrupted, nothing is kept."""
    quick = {"beat": 0.2, "suspect": 2.0, "lost": 4.0, "session_ttl": 1.0}
    witness = vanished(**quick)
    census = witness.interface("census")

    until(lambda: witness.status()["tasks"]["queued"] == 0, "what waited is cancelled")
    until(lambda: witness.status()["tasks"]["running"] == 0, "what ran is interrupted")
    until(lambda: witness.queue_status(1)[1]["queue"] == 0, "commands too")
    until(lambda: census.sessions() == {"admin": 1, "engine": 2, "nanny": 1}, "no session")
    assert census.tasks() == 0
    assert {number for number, _ in journal.runs()} <= {0, 1}
    assert witness[:].apply_sync(int, "7") == [7, 7]


def test_what_a_client_left_is_kept_for_a_while(
    vanished: Callable[..., Client], journal: Journal
) -> None:
    """Before `session_ttl` has passed it runs on."""
    witness = vanished(beat=0.2, suspect=2.0, lost=4.0)
    census = witness.interface("census")
    until(lambda: census.sessions()["admin"] == 2, "its session is still there")
    journal.release()

    # Engine 1 has the client's commands to run first, and is not disturbed in them.
    until(lambda: witness.status()["tasks"]["done"] > 0, "its tasks are run")
    assert witness.status()["tasks"]["failed"] == 0
