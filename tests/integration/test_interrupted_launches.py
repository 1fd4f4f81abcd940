"""Ctrl-C while a set of engines is being started: what was started is found, and ended, by its name."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from subprocess import PIPE, Popen
from types import FrameType

import pytest

from ctrlhub.cluster.errors import StartFailed
from ctrlhub.cluster.launchers.commands import CommandSilent, run_command
from ctrlhub.cluster.launchers.sets import known_sets, make_set, stop_sets
from ctrlhub.wire.places import Profile
from tests.support.interruption import interrupted_once
from tests.support.processes import is_alive, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")

SLURM = {
    # It has the job, by the name in the script, and its answer does not come.
    "sbatch": 'grep -o "job-name=.*" "$2" | cut -d= -f2 > queue; sleep 600',
    "squeue": '[ -s queue ] && [ "$3" = "--name=$(cat queue)" ] && echo 17; exit 0',
    "scontrol": '[ -s queue ] || { echo "Invalid job id" >&2; exit 1; }; echo "JobId=17 JobState=PENDING Reason=Priority"',
    "scancel": "rm queue",
    "sacct": "exit 0",
}


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    """A profile whose hub does not matter."""
    profile = Profile.named("p", tmp_path / "state")
    profile.make()
    return profile


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Puts commands into the path, which work in a directory of their own."""
    place = tmp_path / "commands"
    place.mkdir()
    monkeypatch.setenv("PATH", f"{place}:{os.environ['PATH']}")

    def make(**scripts: str) -> Path:
        for name, script in scripts.items():
            (place / name).write_text(f"#!/bin/sh\ncd {place}\n{script}\n")
            (place / name).chmod(0o755)
        return place

    return make


def test_a_job_whose_submission_was_interrupted_is_ended_by_its_name(
    profile: Profile, commands: Callable[..., Path]
) -> None:
    """``sbatch`` has handed it in and has not said its number: it stays recorded, and `stop` cancels it."""
    queue = commands(**SLURM) / "queue"
    launcher = make_set(profile, "slurm", 2)
    me = threading.get_ident()

    def waits() -> bool:
        frame: FrameType | None = sys._current_frames()[me]
        while frame is not None and frame.f_code is not Popen.communicate.__code__:
            frame = frame.f_back
        return frame is not None and queue.exists() and queue.stat().st_size > 0

    with pytest.raises(KeyboardInterrupt), interrupted_once(waits):
        launcher.start("token")

    (found,) = known_sets(profile).launchers
    assert (found.spec, found.handle) == (launcher.spec, {})
    stop_sets([found])
    assert not queue.exists()
    assert not known_sets(profile).launchers


def test_a_submission_without_a_batch_system_leaves_nothing(
    profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name is free again: where there is no command nothing was started."""
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(StartFailed, match="there is no command 'sbatch' here"):
        make_set(profile, "slurm", 2).start("token")
    assert not known_sets(profile).launchers


def test_hosts_that_do_not_answer_do_not_hold_up_an_interrupt(
    profile: Profile, commands: Callable[..., Path]
) -> None:
    """What logs in there is ended, with all that it has started; the set stays recorded."""
    place = commands(myssh="mkdir -p logins; : > logins/$$; sleep 600; true")
    launcher = make_set(profile, "ssh", 2, {"hosts": "a,b", "ssh": str(place / "myssh")})

    with pytest.raises(KeyboardInterrupt), interrupted_once(lambda: len(list(place.glob("logins/*"))) == 2):
        launcher.start("token")

    for login in place.glob("logins/*"):
        until(lambda login=login: not _session(int(login.name)), "all it has started has ended")  # type: ignore[misc]
    assert [each.spec for each in known_sets(profile).launchers] == [launcher.spec]


def test_a_command_that_takes_too_long_ends_with_all_it_has_started(commands: Callable[..., Path]) -> None:
    """A wrapper's own command does not go on alone."""
    place = commands(wrapper="echo $$ > pid; sleep 600; true")
    with pytest.raises(CommandSilent):
        run_command([str(place / "wrapper")], timeout=2.0)
    leader = int((place / "pid").read_text())
    assert not is_alive(leader)
    until(lambda: not _session(leader), "its session has ended")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_a_process_of_another_user_is_not_taken_for_ours(profile: Profile) -> None:
    """Anybody may call one as we call our nannies."""
    launcher = make_set(profile, "local", 1)
    command = ["/bin/bash", "-c", "read line; true", launcher.job_name]
    with Popen(command, stdin=PIPE) as mine, Popen(command, stdin=PIPE, user=65534) as other:
        assert mine.pid != other.pid
        until(launcher.recover, "ours is found")
        assert list(launcher._pids()) == [mine.pid]


def _session(leader: int) -> list[str]:
    """Return the processes of a session that have not ended."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:  # it has just ended
            continue
        state, _, _, session = text.rpartition(")")[2].split()[:4]
        if int(session) == leader and state != "Z":
            found.append(text)
    return found
