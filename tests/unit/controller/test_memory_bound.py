"""How much memory the hub may take."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ctrlhub.controller.memory_bound import INTERVAL, MemoryBound, memory_of_host

MOST = 64 << 20


class Process:
    """A process whose memory is what the test says."""

    def __init__(self) -> None:
        self.in_use = self.free = 0

    def size(self) -> int:
        """Return what it has."""
        return self.in_use + self.free

    def used(self) -> int:
        """Return what it needs."""
        return self.in_use

    def release(self) -> None:
        """Give back what is not needed."""
        self.free = 0


def test_there_is_trouble_while_too_much_is_in_use() -> None:
    """What only waits to be given back does not count; and nobody looks all the time."""
    process, now = Process(), 100.0
    bound = MemoryBound(process, MOST)

    def trouble(in_use: int, free: int, after: float = INTERVAL) -> str:
        nonlocal now
        now += after
        process.in_use, process.free = in_use, free
        bound.look(now)
        return bound.trouble

    assert not trouble(MOST, 0)
    assert not trouble(MOST // 2, MOST)
    assert "65 MiB" in trouble(MOST + (1 << 20), 0)
    assert trouble(MOST, 0, after=INTERVAL / 4), "it is soon to look again"
    assert not trouble(MOST, 0)
    MemoryBound(None, 0).look(now)


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/a/b\n", {"a/b/memory.max": "max\n", "a/memory.max": "5000\n"}, 5000),
        ("0::/\n", {"memory.max": "7000\n"}, 7000),
        ("5:memory:/a\n1:cpu:/b\n", {"memory/a/memory.limit_in_bytes": "6000\n"}, 6000),
        ("0::/a\n", {"memory.max": f"{1 << 62}\n"}, None),
        ("0::/a\n", {}, None),
    ],
    ids=["parent", "root", "version 1", "beyond the host's", "no limit"],
)
def test_the_control_group_s_limit_counts(
    tmp_path: Path, groups: str, files: dict[str, str], expected: int | None
) -> None:
    """The least of all those above the process, in both versions; without one, the host's memory."""
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(groups)
    for name, text in files.items():
        path = tmp_path / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    host = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert memory_of_host(tmp_path) == (host if expected is None else expected)
    assert memory_of_host(tmp_path / "nothing") == host
