"""One child process and its lifeline."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ctrlhub.cluster.child import TAIL_LINES, Child, tail
from ctrlhub.link.log_file import LOG_BYTES, open_log
from tests.support.processes import is_alive, until

OBEDIENT = "import sys; config = input(); print('got', config, flush=True); sys.stdin.read()"
DEAF = "import sys; input(); sys.stdin.read(); print('deaf', flush=True); signal.pause()"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + DEAF

Starter = Callable[[str], Child]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Starter]:
    """Start a child that runs the given text; killed at the end, if it is still there."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    children = []

    def start_child(text: str) -> Child:
        (tmp_path / "ctrlhub_test_child.py").write_text(f"import signal\n{text}\n")
        child = Child("child", "ctrlhub_test_child", '{"a": 1}', tmp_path / "child.log")
        children.append(child)
        return child

    yield start_child
    for child in children:
        child.end(patience=0.0)


def test_it_is_told_its_configuration(start: Starter) -> None:
    """The first line of its input is what it is to do, and its output is in its log."""
    child = start(OBEDIENT)

    until(lambda: child.log_tail() == 'got {"a": 1}', "it says what it got")
    assert child.ended() is None
    assert is_alive(child.pid)


def test_it_ends_when_its_lifeline_is_cut(start: Starter) -> None:
    """The end of its input is all that it takes."""
    child = start(OBEDIENT)

    child.cut_lifeline()

    assert child.wait(60)
    assert child.how_it_ended() == "ended with exit code 0"


@pytest.mark.parametrize(
    ("text", "number", "patience"),
    # It has half of the patience to die of SIGTERM.
    [(DEAF, signal.SIGTERM, 4.0), (STUBBORN, signal.SIGKILL, 0.1)],
    ids=["deaf", "stubborn"],
)
def test_one_that_does_not_listen_is_ended_by_force(
    text: str, number: signal.Signals, patience: float, start: Starter
) -> None:
    """First it is asked, then told, then killed."""
    child = start(text)
    child.cut_lifeline()
    until(lambda: child.log_tail() == "deaf", "it does not care")

    child.end(patience=patience)

    assert child.ended() == -number
    assert child.how_it_ended() == f"was killed by {number.name}"


def test_one_that_is_dead_already_can_be_told(start: Starter) -> None:
    """A child that dies before it reads is no error of its creator's, but has a log to say why."""
    child = start("raise SystemExit('no')")

    assert child.wait(60)
    assert child.how_it_ended() == "ended with exit code 1"
    assert child.log_tail() == "no"
    child.end()


def test_the_tail_is_of_this_child_alone(start: Starter, tmp_path: Path) -> None:
    """What an earlier one wrote to the same log is not blamed on this one."""
    (tmp_path / "child.log").touch(mode=0o600)
    (tmp_path / "child.log").write_text("an old error\n")

    child = start("print('new')")

    assert child.wait(60)
    assert child.log_tail() == "new"


def test_the_tail_is_short(tmp_path: Path) -> None:
    """Only the last lines are shown, however long the log is."""
    log = tmp_path / "log"
    log.write_text("".join(f"{number:050}\n" for number in range(1000)))

    lines = tail(log).splitlines()

    assert len(lines) == TAIL_LINES
    assert int(lines[-1]) == 999


def test_there_is_no_tail_of_no_log(tmp_path: Path) -> None:
    """A message is not lost for want of a log."""
    assert tail(tmp_path / "none") == ""


def test_a_log_grown_long_is_set_aside(tmp_path: Path) -> None:
    """The disk is not filled by restarts."""
    log = tmp_path / "log"
    log.touch(mode=0o600)
    with log.open("r+b") as file:
        file.truncate(LOG_BYTES + 1)

    with open(open_log(log), "wb") as file:
        file.write(b"new\n")

    assert log.read_text() == "new\n"
    assert (tmp_path / "log.old").stat().st_size == LOG_BYTES + 1
