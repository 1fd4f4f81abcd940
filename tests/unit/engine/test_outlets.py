"""What is read in the place of engines, and when."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ctrlhub.engine.descriptors import READ_BYTES, Pipes
from ctrlhub.engine.outlets import Outlets

PID = 7


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """An engine's log."""
    path = tmp_path / "engine-0.log"
    path.touch(mode=0o600)
    return path


def opened(log: Path) -> tuple[Outlets, int]:
    """Outlets with one engine, and where it writes."""
    outlets, pipes = Outlets(), Pipes.make()
    writer = os.dup(pipes.writers[0])
    outlets.open(PID, pipes, log)
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
    """What has waited since the last look, and is so much that a writer may wait, is taken out."""
    outlets, writer = opened(log)
    os.write(writer, b"little")
    for _ in range(3):
        outlets.relieve()
    assert log.read_text() == ""

    os.write(writer, b"x" * READ_BYTES)
    outlets.relieve()
    assert log.read_text() == ""
    outlets.relieve()
    assert log.read_text() == "little" + "x" * READ_BYTES

    os.close(writer)
    outlets.last_words(PID)
