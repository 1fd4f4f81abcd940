"""Why a process ended, in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from ctrlhub.engine.causes import MOMENT, OomWatch, describe_exit, is_running


@pytest.fixture
def quiet(tmp_path: Path) -> OomWatch:
    """A system that counts nothing."""
    return OomWatch(tmp_path)


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (0, "exit code 0"),
        (3 << 8, "exit code 3"),
        (9, "killed by signal 9 (SIGKILL)"),
        (11, "killed by signal 11 (SIGSEGV)"),
        (11 | 0x80, "killed by signal 11 (SIGSEGV)"),
        (40, "killed by signal 40 (no name)"),
    ],
)
def test_exits_are_described(status: int, text: str, quiet: OomWatch) -> None:
    """From the status that the system gives."""
    assert describe_exit(status, quiet) == text


def group(root: Path, cgroup: str, file: str) -> Path:
    """A control group's counter under a root."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(cgroup)
    path = root / file
    path.parent.mkdir(parents=True)
    return path


@pytest.mark.parametrize(
    ("cgroup", "file"),
    [
        ("0::/user\n", "sys/fs/cgroup/user/memory.events"),
        ("4:memory:/job\n0::/\n", "sys/fs/cgroup/memory/job/memory.oom_control"),
        ("", "proc/vmstat"),
    ],
)
def test_a_kill_for_want_of_memory_is_told_apart(tmp_path: Path, cgroup: str, file: str) -> None:
    """When the kernel has counted one since the last look; each counts once. That of the whole system
    is a hint.
    """
    if file == "proc/vmstat":
        (tmp_path / "proc").mkdir()
        counter = tmp_path / file
    else:
        counter = group(tmp_path, cgroup, file)
    counter.write_text("oom 4\noom_kill 2\n")
    watch = OomWatch(tmp_path)
    assert describe_exit(9, watch) == "killed by signal 9 (SIGKILL)"

    counter.write_text("oom 5\noom_kill 3\n")

    words = ", perhaps out of memory" if file == "proc/vmstat" else ": out of memory"
    assert describe_exit(9, watch).startswith(f"killed by signal 9 (SIGKILL){words}")
    assert describe_exit(9, watch) == "killed by signal 9 (SIGKILL)"


def test_a_kill_may_be_counted_before_the_end_is_known(tmp_path: Path) -> None:
    """There was a look in between."""
    counter = group(tmp_path, "0::/user\n", "sys/fs/cgroup/user/memory.events")
    counter.write_text("oom_kill 2\n")
    watch = OomWatch(tmp_path)
    counter.write_text("oom_kill 3\n")
    watch.look(5.0)
    assert describe_exit(9, watch) == "killed by signal 9 (SIGKILL): out of memory"


def test_a_kill_of_the_past_explains_nothing(tmp_path: Path) -> None:
    """Another process was killed then, and this one by somebody else; nor what a client asked for."""
    counter = group(tmp_path, "0::/user\n", "sys/fs/cgroup/user/memory.events")
    counter.write_text("oom_kill 2\n")
    watch = OomWatch(tmp_path)
    counter.write_text("oom_kill 3\n")
    watch.look(5.0)
    assert watch.due == 5.0 + MOMENT
    watch.look(6.0)
    assert describe_exit(9, watch) == "killed by signal 9 (SIGKILL)"

    counter.write_text("oom_kill 4\n")

    assert describe_exit(9, watch, 9) == "killed by signal 9 (SIGKILL), as a client asked"


@pytest.mark.parametrize(
    ("state", "parent", "runs"),
    [("R", 7, True), ("S", 7, True), ("D", 7, True), ("T", 7, False), ("t", 7, False),
     ("Z", 7, False), ("R", 8, False)],
)  # fmt: skip
def test_a_process_runs_unless_stopped_or_dead(
    tmp_path: Path, state: str, parent: int, runs: bool
) -> None:
    """Or somebody else's, who got the number of one that has died."""
    (tmp_path / "self").mkdir()
    (tmp_path / "5").mkdir()
    (tmp_path / "5/stat").write_text(f"5 (a (strange) name) {state} {parent} 5 5 0")

    assert is_running(5, 7, tmp_path) is runs


def test_a_process_that_is_not_there_does_not_run(tmp_path: Path) -> None:
    """Unless the system cannot tell: then its parent's word must do."""
    assert is_running(5, 7, tmp_path) is True
    (tmp_path / "self").mkdir()
    assert is_running(5, 7, tmp_path) is False
