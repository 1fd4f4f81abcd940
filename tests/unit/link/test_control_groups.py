"""Which control groups a process is in, as the system says."""

from __future__ import annotations

from pathlib import Path

import pytest

from ctrlhub.link.control_groups import own_groups

NEW = "0::/user/job\n"
OLD = "9:pids:/user/job\n4:cpu,cpuacct:/job\n3:memory:/job\n1:name=systemd:/user\n"
BOTH = OLD + "0::/user/job\n"


@pytest.mark.parametrize(
    ("lines", "controller", "places"),
    [
        (NEW, "memory", ["user/job", "user", ""]),
        (OLD, "pids", ["pids/user/job", "pids/user", "pids"]),
        (OLD, "cpu", ["cpu/job", "cpu"]),
        (OLD, "io", []),
        (BOTH, "pids", ["pids/user/job", "pids/user", "pids", "user/job", "user", ""]),
        ("0::/\n", "cpu", [""]),
        ("", "cpu", []),
    ],
)
def test_where_they_are(tmp_path: Path, lines: str, controller: str, places: list[str]) -> None:
    """Each with those that it is in; of version 1 only that of the controller."""
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(lines)
    found = [path for group in own_groups(controller, tmp_path) for path in group.upwards()]
    assert found == [tmp_path / "sys/fs/cgroup" / place for place in places]
    firsts = [group.directory for group in own_groups(controller, tmp_path)]
    assert firsts == [path for path in found if path.name in ("job", "cgroup")][: len(firsts)]


def test_a_system_that_has_none(tmp_path: Path) -> None:
    """Says nothing, and is asked no further."""
    assert list(own_groups("memory", tmp_path)) == []
