"""What engines use is looked up where the system tells it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from mmap import PAGESIZE
from pathlib import Path

import pytest

from ctrlhub.engine.usage import (
    MOST_PROCESSES,
    PERIOD,
    UNKNOWN,
    Meter,
    can_look,
    own_usage,
    usage_of,
)

TICK = os.sysconf("SC_CLK_TCK")


def a_process(
    proc: Path, pid: int, ticks: Sequence[int], pages: int, children: Sequence[int] = ()
) -> None:
    """Write what the kernel would say of a process."""
    directory = proc / str(pid) / "task" / str(pid)
    directory.mkdir(parents=True)
    (directory / "children").write_text(" ".join(map(str, children)))
    fields = ["S", *["0"] * 10, *map(str, ticks), *["0"] * 6, str(pages), "0"]
    (proc / str(pid) / "stat").write_text(f"{pid} (a (strange) name) " + " ".join(fields))


def test_a_process_and_its_children_are_added_up(tmp_path: Path) -> None:
    """Also what it has waited for, and theirs."""
    a_process(tmp_path, 1, (TICK, 2 * TICK, 3 * TICK, 4 * TICK), 100, [2, 3])
    a_process(tmp_path, 2, (TICK, 0, 0, 0), 10, [4])
    a_process(tmp_path, 3, (TICK, 0, 0, 0), 1)
    a_process(tmp_path, 4, (TICK, 0, 0, 0), 1)
    assert usage_of(1, tmp_path) == (13.0, 112 * PAGESIZE)


def test_what_has_gone_is_not_told(tmp_path: Path) -> None:
    """Of a child that has ended meanwhile, nothing is added."""
    assert usage_of(1, tmp_path) is None
    a_process(tmp_path, 1, (TICK, 0, 0, 0), 100, [2])
    assert usage_of(1, tmp_path) == (1.0, 100 * PAGESIZE)


def test_a_kernel_that_lists_no_children_tells_of_the_process_alone(tmp_path: Path) -> None:
    """Not every one does."""
    a_process(tmp_path, 1, (TICK, 0, 0, 0), 100)
    (tmp_path / "1" / "task" / "1" / "children").unlink()
    assert usage_of(1, tmp_path) == (1.0, 100 * PAGESIZE)


def test_a_crowd_of_children_is_not_all_looked_at(tmp_path: Path) -> None:
    """So many."""
    crowd = range(2, 2 + 3 * MOST_PROCESSES)
    a_process(tmp_path, 1, (0, 0, 0, 0), 0, crowd)
    for pid in crowd:
        a_process(tmp_path, pid, (TICK, 0, 0, 0), 0)
    assert usage_of(1, tmp_path) == (float(MOST_PROCESSES), 0)


@pytest.mark.skipif(not can_look(), reason="only Linux tells of other processes")
def test_the_kernel_s_own_words_are_read() -> None:
    """Of this process."""
    found = usage_of(os.getpid())
    assert found is not None
    assert found[0] > 0
    assert found[1] > 1024 * 1024


def test_elsewhere_one_asks_for_oneself() -> None:
    """How much memory there is now is not told."""
    worked, memory = own_usage(os.getpid())  # type: ignore[misc]
    assert worked > 0
    assert memory == UNKNOWN


def test_it_is_looked_now_and_then() -> None:
    """And of an engine that has ended nothing is told."""
    now, looked = 100.0, list[int]()

    def measure(pid: int) -> tuple[float, int] | None:
        looked.append(pid)
        return None if pid == 2 else (1.5, 4096)

    meter = Meter(lambda: [("one", 1), ("two", 2)], measure, lambda: now)
    assert meter.rows() == (("one", 1.5, 4096),)
    assert meter.rows() == ()
    now += PERIOD
    assert len(meter.rows()) == 1
    assert looked == [1, 2, 1, 2]
