"""Commands of the system, as cells run them."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from ctrlhub.engine.system_command import run_command
from tests.support.interruption import interrupted_once
from tests.support.processes import until


def test_what_it_prints_comes_as_it_comes() -> None:
    """Both streams, and the exit code; there is no input to wait for."""
    parts: list[str] = []

    code = run_command("cat; echo one; echo two >&2; exit 3", parts.append)

    assert ("".join(parts), code) == ("one\ntwo\n", 3)


def test_text_that_is_no_utf8_is_text_all_the_same() -> None:
    """What cannot be read is replaced."""
    parts: list[str] = []

    run_command(r"printf 'a\377b'", parts.append)

    assert "".join(parts) == "a\ufffdb"


def test_an_interrupt_ends_all_that_it_has_started(tmp_path: Path) -> None:
    """And reaches whoever ran it."""
    pid_file, main = tmp_path / "pid", threading.get_ident()

    def begun() -> bool:
        reads = sys._current_frames()[main].f_code is run_command.__code__
        return reads and pid_file.exists() and bool(pid_file.read_text().strip())

    with interrupted_once(begun), pytest.raises(KeyboardInterrupt):
        run_command(f"sleep 600 & echo $! > {pid_file}; wait; true", print)

    pid = int(pid_file.read_text())
    until(lambda: not _runs(pid), "the child of the command has ended")


def test_an_interrupt_that_was_held_back_while_it_began_ends_it() -> None:
    """It is known by then."""

    @contextmanager
    def held_back() -> Iterator[None]:
        yield
        raise KeyboardInterrupt

    before = set(psutil.Process().children())
    with pytest.raises(KeyboardInterrupt):
        run_command("exec sleep 600", print, held_back)

    assert set(psutil.Process().children()) <= before


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return state != "Z"
