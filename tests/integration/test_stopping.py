"""`stop_cluster`, where the supervisor cannot end what it has started."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ctrlhub.cluster import stopping
from ctrlhub.cluster.child import TERMINATE_AFTER
from ctrlhub.cluster.stopping import stop_cluster
from ctrlhub.wire.places import Profile

SUPERVISOR = """
import os, signal, sys
from ctrlhub.cluster.processes import KnownProcess
from ctrlhub.cluster.record import SupervisorRecord
from ctrlhub.wire.places import Profile

profile = Profile.named()

def end(number, frame):
    hub = KnownProcess.find(int(sys.argv[1]))
    SupervisorRecord(os.getpid(), processes={"hub": hub}).write(profile.supervisor)
    os._exit(1)

for each in (signal.SIGTERM, signal.SIGINT):
    signal.signal(each, end)
with profile.supervisor_lock():
    SupervisorRecord(os.getpid()).write(profile.supervisor)
    print("ready", flush=True)
    signal.pause()
"""
"""One that has started another hub in the moment of its end."""


@pytest.fixture
def hub() -> Iterator[subprocess.Popen[bytes]]:
    """A process that holds no lock yet."""
    process = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    yield process
    process.kill()
    process.wait()


def test_what_was_started_last_is_ended_too(
    state: Path, hub: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Although it was not there when `stop` began."""
    monkeypatch.setattr(stopping, "ORPHANS", 0.5)
    profile = Profile.named()
    profile.make()
    with subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, str(hub.pid)], stdout=subprocess.PIPE
    ) as supervisor:
        assert supervisor.stdout is not None
        assert supervisor.stdout.readline() == b"ready\n"
        assert stop_cluster(profile).pid == supervisor.pid

    assert hub.poll() is not None
    assert not profile.supervisor.exists()


def test_a_supervisor_is_not_killed_while_it_ends_its_children() -> None:
    """Each of the two may need to be told, and then to be killed."""
    assert stopping.PATIENCE > 2 * (TERMINATE_AFTER + TERMINATE_AFTER / 2)
