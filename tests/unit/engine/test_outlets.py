"""What is read in the place of engines, and when."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from ctrlhub.engine.board import MISSED, RELIEFS, WIDTH
from ctrlhub.engine.descriptors import READ_BYTES, Pipes
from ctrlhub.engine.outlets import Outlets

PID = 7


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """An engine's log."""
    path = tmp_path / "engine-0.log"
    path.touch(mode=0o600)
    return path


def opened(log: Path, board: list[int] | None = None) -> tuple[Outlets, int]:
    """Outlets with one engine, and where it writes."""
    outlets, pipes = Outlets(), Pipes.make()
    writer = os.dup(pipes.writers[0])
    outlets.open(PID, pipes, log, [0] * WIDTH if board is None else board)
    return outlets, writer


def test_last_words_are_logged(log: Path) -> None:
    """And nothing is left to be looked after."""
    outlets, writer = opened(log)
    os.write(writer, b"last words")
    os.close(writer)
    assert outlets.patience is not None

    outlets.last_words(PID)

    assert log.read_text() == "last words"
    assert outlets.patience is None


def test_who_outlives_the_engine_writes_on(log: Path) -> None:
    """Until nobody is left; whether or not the log is."""
    outlets, writer = opened(log)
    outlets.last_words(PID)
    os.write(writer, b"later")
    outlets.relieve()
    assert log.read_text() == "later"

    log.unlink()
    os.write(writer, b"lost")
    outlets.relieve()
    assert outlets.patience is not None
    os.close(writer)
    outlets.relieve()
    assert outlets.patience is None


def test_a_living_engine_reads_itself_unless_it_does_not(log: Path) -> None:
    """What has waited since the last look, and is so much that a writer may wait, is taken out.

    The board says how much that was.
    """
    board = [0] * WIDTH
    outlets, writer = opened(log, board)
    os.write(writer, b"little")
    for _ in range(3):
        outlets.relieve()
    assert log.read_text() == ""

    os.write(writer, b"x" * READ_BYTES)
    outlets.relieve()
    assert log.read_text() == ""
    outlets.relieve()
    assert log.read_text() == "little" + "x" * READ_BYTES
    told = [board[index] for index in (RELIEFS, *MISSED)]
    assert told == [1, len("little") + READ_BYTES, 0]

    os.write(writer, b"last words")
    os.close(writer)
    outlets.last_words(PID)
    assert [board[index] for index in (RELIEFS, *MISSED)] == told, "it is the next engine's"


def test_nothing_is_taken_while_the_engine_counts(log: Path) -> None:
    """Else what is read meanwhile would be missing in its count."""
    board = [0] * WIDTH
    outlets, writer = opened(log, board)
    os.write(writer, b"x" * READ_BYTES)
    outlets.relieve()
    with log.open("a") as engines:
        fcntl.flock(engines, fcntl.LOCK_SH)
        outlets.relieve()
        assert (log.read_text(), board[RELIEFS]) == ("", 0)
    outlets.relieve()
    outlets.relieve()
    assert board[RELIEFS] == 1

    os.close(writer)
    outlets.last_words(PID)
