"""Logs that are set aside while their processes run: nothing is lost for who reads on, and room is bounded."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ctrlhub.cluster.child import LogMark, tail
from ctrlhub.cluster.tailing import Tail
from ctrlhub.link.log_file import open_log
from tests.support.processes import until

MOST = 4096

LOGS = """
import ctypes, logging, os, sys
from pathlib import Path
from ctrlhub.link.log_file import LogFiles
from ctrlhub.link.process_log import start_logging
start_logging("info", "text", files=LogFiles(Path(sys.argv[1]), int(sys.argv[2])), libraries=("some.library",))
loggers = logging.getLogger("ctrlhub.here"), logging.getLogger("some.library")
stdout = ctypes.CDLL(None)
for turn in sys.stdin:
    for n in map(int, turn.split()):
        loggers[n % 2].error("logged %d", n)
        print("printed", n, file=sys.stderr, flush=True)
        os.write(1, b"written %d\\n" % n)
        stdout.dprintf(2, b"from C %d\\n", n)
    print("done", file=sys.stderr, flush=True)
"""
"""Says four things of each number: by two loggers, Python's standard error, its standard output, and from C."""

Writer = tuple["subprocess.Popen[str]", Path]


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    """A process that logs to a file as a child of ours does; it ends well once nobody has anything to say."""
    log = tmp_path / "some.log"
    output = open_log(log)
    process = subprocess.Popen(
        [sys.executable, "-c", LOGS, str(tmp_path), str(MOST)], stdin=subprocess.PIPE, stdout=output, stderr=output,
        text=True,
    )  # fmt: skip
    os.close(output)
    with process:
        try:
            yield process, log
            assert process.stdin is not None
            process.stdin.close()
            assert process.wait(20) == 0
        finally:
            process.kill()


def say(process: subprocess.Popen[str], numbers: range, read: Callable[[], list[str]]) -> list[str]:
    """Have it speak of some numbers, and return what is read until it has."""
    assert process.stdin is not None
    process.stdin.write(" ".join(map(str, numbers)) + "\n")
    process.stdin.flush()
    found: list[str] = []
    until(lambda: found.extend(read()) or "done" in found, "it has spoken")
    return found


def test_who_follows_a_log_misses_nothing(writer: Writer) -> None:
    """Whatever wrote it: each line once and in order, over many files, of which two are there at a time."""
    process, log = writer
    following = Tail(log, 10)
    files = [log.stat().st_ino]
    for turn in range(12):
        numbers = range(turn * 20, turn * 20 + 20)
        lines = say(process, numbers, following.read)
        assert [line.partition(": ")[2] or line for line in lines] == [
            *(f"{what} {n}" for n in numbers for what in ("logged", "printed", "written", "from C")), "done",
        ]  # fmt: skip
        if (now := log.stat().st_ino) != files[-1]:
            files.append(now)
        # One record is what may stand beyond the bound, and what is printed until the next.
        assert sum(path.stat().st_size for path in log.parent.iterdir()) < 2 * MOST + 1024
    assert len(files) > 3
    assert {path.name for path in log.parent.iterdir()} == {"some.log", "some.log.old"}
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in log.parent.iterdir())
    following.close()
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(60) == 0


def test_the_last_lines_go_back_into_what_was_set_aside(writer: Writer) -> None:
    """Whoever looks just after that sees what came before: the reader of logs, and who tells of a death."""
    process, log = writer
    with log.open() as file:
        begin = LogMark.of(file.fileno())
    was = log.stat().st_ino
    number = 0
    while log.stat().st_ino == was:
        with_all = Tail(log, 0)
        say(process, range(number, number + 1), with_all.read)
        with_all.close()
        number += 1
    there = log.read_text().splitlines()
    assert len(there) < 10
    looking = Tail(log, 12)
    lines = looking.read()
    looking.close()
    assert lines == [*log.with_name("some.log.old").read_text().splitlines()[len(there) - 12 :], *there]
    assert tail(log, begin).splitlines()[-12:] == lines
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(60) == 0


def test_a_log_that_cannot_be_set_aside_grows_on(writer: Writer) -> None:
    """It is said once, and nothing is lost."""
    process, log = writer
    (log.parent / "some.log.old").mkdir()
    following = Tail(log, 0)
    numbers = range(200)
    lines = say(process, numbers, following.read)
    following.close()
    assert sum("grows on" in line for line in lines) == 1
    assert [line for line in lines if line.startswith("from C")] == [f"from C {n}" for n in numbers]
    assert sum("logged" in line for line in lines) == 200
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(60) == 0


def test_a_log_that_another_process_has_set_aside_is_followed(writer: Writer) -> None:
    """As a second `ctrl-hub start` with a lower bound does: what comes then is where readers look, and stays there."""
    process, log = writer
    following = Tail(log, 0)
    say(process, range(3), following.read)
    os.close(open_log(log, 10))
    assert [line for line in say(process, range(3, 6), following.read) if "logged" not in line][-10:] == [
        *(f"{what} {n}" for n in range(3, 6) for what in ("printed", "written", "from C")), "done",
    ]  # fmt: skip
    following.close()
    assert "from C 5" in log.read_text()
    assert "from C 2" in log.with_name("some.log.old").read_text()


def test_a_log_that_cannot_be_followed_is_followed_once_it_can(writer: Writer) -> None:
    """Until then what is printed goes where it went before."""
    process, log = writer
    before, old = Tail(log, 0), log.with_name("some.log.old")
    say(process, range(1), before.read)
    before.close()
    os.replace(log, old)
    log.mkdir()
    before = Tail(old, 0)
    assert "from C 1" in say(process, range(1, 2), before.read)
    before.close()
    log.rmdir()
    os.close(open_log(log))
    after = Tail(log, 0)
    lines = say(process, range(2, 4), after.read)
    after.close()
    assert sum("logged" in line for line in lines) == 2
    assert "from C 3" in lines
