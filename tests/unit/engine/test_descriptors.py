"""What is written to descriptors: handed over in whole, and to whom it belongs."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator

import pytest

from ctrlhub.engine.board import MISSED, RELIEFS, WIDTH, WORDS
from ctrlhub.engine.descriptors import PIPE_BYTES, Descriptors, Pipes, pour

PATIENCE = 60.0


@pytest.fixture
def pipes() -> Iterator[Pipes]:
    """A pipe for each stream."""
    made = Pipes.make()
    yield made
    for end in made.all:
        os.close(end)


@pytest.fixture
def log() -> Iterator[int]:
    """A log in memory, to be read with `os.pread`."""
    descriptor = os.memfd_create("log")
    yield descriptor
    os.close(descriptor)


def followed(pipes: Pipes, log: int) -> tuple[Descriptors, list[tuple[str, str]]]:
    """Descriptors whose text is gathered, without a thread that reads."""
    descriptors = Descriptors(pipes)
    taken: list[tuple[str, str]] = []
    descriptors.log = log
    descriptors._take = lambda name, text: taken.append((name, text))
    return descriptors, taken


def test_nothing_written_is_nothing_found(pipes: Pipes, log: int) -> None:
    """And nothing is handed over."""
    descriptors, taken = followed(pipes, log)

    assert descriptors.drain() is descriptors.end_request() is False
    assert taken == []


def test_each_stream_is_handed_over_and_logged(pipes: Pipes, log: int) -> None:
    """Under its name; the log has the bytes."""
    descriptors, taken = followed(pipes, log)
    os.write(pipes.writers[0], b"out\n")
    os.write(pipes.writers[1], b"err\n")

    assert descriptors.end_request() is True
    assert taken == [("stdout", "out\n"), ("stderr", "err\n")]
    assert os.pread(log, 100, 0) == b"out\nerr\n"


def test_a_character_in_two_parts_is_one(pipes: Pipes, log: int) -> None:
    """But what a request has left of one is not the next one's."""
    descriptors, taken = followed(pipes, log)
    for part in (b"\xc3", b"\xa9"):
        os.write(pipes.writers[0], part)
        descriptors.drain()
    os.write(pipes.writers[0], b"\xc3")
    descriptors.end_request()
    os.write(pipes.writers[0], b"\xa9")
    descriptors.end_request()

    assert "".join(text for _, text in taken) == "é��"


def test_whoever_writes_on_does_not_hold_up_a_request(pipes: Pipes, log: int) -> None:
    """What can have been written before its end is taken, and no more."""
    descriptors, taken = followed(pipes, log)
    writer, reader = pipes.writers[0], pipes.readers[0]
    os.write(writer, b"begun")
    read = os.read

    def read_and_write_more(descriptor: int, most: int) -> bytes:
        data = read(descriptor, most)
        if descriptor == reader and data:
            os.write(writer, b"more")
        return data

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "read", read_and_write_more)
        assert descriptors.end_request() is True

    assert taken[0] == ("stdout", "begun")
    assert descriptors.drain() is True


def test_what_was_read_in_our_place_is_told_once(pipes: Pipes, log: int) -> None:
    """And not before it has been counted: until then the log is locked."""
    board = [0] * WIDTH
    missed: list[tuple[str, int]] = []
    descriptors = Descriptors(pipes, board)
    descriptors.log = log
    descriptors._miss = lambda name, nbytes: missed.append((name, nbytes))
    board[RELIEFS] = 1
    holder = os.open(f"/proc/self/fd/{log}", os.O_RDWR)
    fcntl.flock(holder, fcntl.LOCK_EX)
    ending = threading.Thread(target=descriptors.end_request)
    ending.start()
    board[MISSED[1]] = 5
    assert missed == []
    os.close(holder)
    ending.join(PATIENCE)

    assert missed == [("stderr", 5)]
    assert descriptors.end_request() is False
    board[RELIEFS], board[MISSED[0]] = 2, 7
    assert descriptors.end_request() is True
    assert missed == [("stderr", 5), ("stdout", 7)]


def test_the_board_tells_where_the_log_is_of_what_comes_next(pipes: Pipes, log: int) -> None:
    """Also of what came while nothing ran: somebody is told of that."""
    board = [0] * WIDTH
    descriptors = Descriptors(pipes, board)
    descriptors.log = log
    strayed = threading.Event()
    descriptors.strayed = strayed.set
    descriptors.follow(lambda *_: None, lambda *_: None, lambda: False)

    os.write(pipes.writers[0], b"of a child that nobody waits for\n")
    assert strayed.wait(PATIENCE)
    descriptors.mark()
    assert board[WORDS] == os.fstat(log).st_size > 0


def test_a_thread_reads_as_it_comes(pipes: Pipes, log: int) -> None:
    """So nobody who writes waits; while nothing runs, for the log alone."""
    descriptors = Descriptors(pipes)
    descriptors.log = log
    taken: list[str] = []
    came, runs = threading.Event(), [True]

    def take(name: str, text: str) -> None:
        taken.append(text)
        came.set()

    descriptors.follow(take, lambda name, nbytes: None, lambda: runs[0])
    os.write(pipes.writers[0], b"x" * (3 * PIPE_BYTES))
    assert came.wait(PATIENCE)
    descriptors.drain()
    assert sum(map(len, taken)) == 3 * PIPE_BYTES

    runs[0] = False
    before = len(taken)
    for _ in range(3):
        os.write(pipes.writers[0], b"y" * PIPE_BYTES)  # returns once the thread has read
    assert len(taken) == before


def test_what_is_left_is_poured_into_a_log(pipes: Pipes, log: int) -> None:
    """And it is told when nobody can write any more."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.write(writer, b"last words")

    assert pour(reader, log) == (10, True)
    os.close(writer)
    assert pour(reader, log) == (0, False)
    assert os.pread(log, 100, 0) == b"last words"
    os.close(reader)
