"""Segments: shared memory without names."""

from __future__ import annotations

import errno
import fcntl
import gc
import mmap
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from ctrlhub.wire import segments
from ctrlhub.wire.errors import SegmentLost
from ctrlhub.wire.limits import MAX_FRAME_BYTES, SEGMENT_BYTES, SEGMENTS, SHARED_BYTES
from ctrlhub.wire.segments import Segment, SegmentRef, borrow, count_held, share
from ctrlhub.wire.serialize import detached, dumps, loads
from ctrlhub.wire.untouched import REMEMBERED
from ctrlhub.wire.warm import discard
from tests.support.memory_files import memory_files

pytestmark = pytest.mark.skipif(not segments.AVAILABLE, reason="this system has no memory files")

DATA = bytes(range(256)) * 4096
ME = os.getpid()


def made(data: bytes = DATA) -> Segment:
    """A segment with this content."""
    segment = share(memoryview(data))
    assert segment is not None
    return segment


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """Whatever a test has opened is closed with its last reference."""
    discard()
    gc.collect()
    before = count_held(), memory_files()
    yield
    discard()
    gc.collect()
    assert count_held() == before[0]
    assert memory_files() <= before[1]


def test_what_is_written_is_read() -> None:
    """By its maker, and by whoever borrows it."""
    segment = made()
    assert segment.nbytes == len(DATA)
    assert segment.view() == segment.private() == borrow(ME, segment.ref).private() == DATA


def test_a_borrower_needs_nobody() -> None:
    """What was borrowed outlives what it was borrowed from, and a mapping outlives both."""
    first = made()
    second = borrow(ME, first.ref)
    del first
    third = borrow(ME, second.ref)
    del second
    mapped = third.private()
    del third
    assert mapped == DATA


def test_each_private_mapping_is_its_own() -> None:
    """What is written into one is in none of the others, nor in the segment."""
    segment = made()
    mine, yours = segment.private(), segment.private()
    mine[0] = 77
    assert (mine[0], yours[0], segment.view()[0]) == (77, 0, 0)


def test_a_private_mapping_takes_no_descriptor() -> None:
    """A process may keep more arrays than it may have files open."""
    before = len(memory_files())
    mapped = [made().private() for _ in range(REMEMBERED + 10)]
    assert len(memory_files()) <= before + REMEMBERED
    assert mapped[-1] == DATA


def test_memory_is_let_go_with_the_array() -> None:
    """Of an array that lives in a segment, nothing stays mapped."""

    def mappings() -> int:
        return Path("/proc/self/maps").read_text().count("/memfd:ctrlhub")

    before = mappings()
    array = np.frombuffer(made().private(), dtype=np.uint8)
    view = array[100:200]
    assert mappings() == before + 1
    del array
    gc.collect()
    assert view[0] == 100
    del view
    gc.collect()
    assert mappings() == before


def test_nobody_can_change_it() -> None:
    """Its maker neither: those who map it need not fear that it shrinks under their hands."""
    segment = made()
    with pytest.raises(OSError, match="not permitted"):
        os.pwrite(segment.descriptor, b"x", 0)
    with pytest.raises(OSError, match="not permitted"):
        os.ftruncate(segment.descriptor, 0)
    with pytest.raises(OSError, match="not permitted"):
        mmap.mmap(segment.descriptor, 10, access=mmap.ACCESS_WRITE)


def test_another_process_borrows_it() -> None:
    """By the number of this one; its own descriptors play no part."""
    code = (
        "import sys\n"
        "from ctrlhub.wire.segments import SegmentRef, borrow\n"
        "pid, *numbers = map(int, sys.argv[1:])\n"
        "mapped = borrow(pid, SegmentRef.of(numbers)).private()\n"
        "mapped[0] += 7\n"
        "print(mapped[0], mapped[1], len(mapped))\n"
    )
    segment = made()
    ref = segment.ref
    numbers = [str(n) for n in (ME, ref.descriptor, ref.stamp, ref.nbytes)]
    done = subprocess.run(
        [sys.executable, "-c", code, *numbers], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["7", "1", str(len(DATA))]
    assert segment.view() == DATA


# ---------------------------------------------------------------- what is not to be borrowed


def unsealed() -> int:
    """A memory file of our name that could shrink."""
    descriptor = os.memfd_create("ctrlhub", os.MFD_ALLOW_SEALING)
    os.write(descriptor, DATA)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW)
    return descriptor


def foreign() -> int:
    """A sealed memory file of another program."""
    descriptor = os.memfd_create("secret", os.MFD_ALLOW_SEALING)
    os.write(descriptor, DATA)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, 0xF)
    return descriptor


def an_end_of_a_pipe() -> int:
    """What would block, or take something away, when it is opened or read."""
    reader, writer = os.pipe()
    os.close(writer)
    return reader


def a_file() -> int:
    """A file of the user's."""
    return os.open(__file__, os.O_RDONLY)


@pytest.mark.parametrize("make", [unsealed, foreign, an_end_of_a_pipe, a_file])
def test_nothing_else_is_opened(make: Callable[[], int]) -> None:
    """A reference leads to a sealed segment or nowhere."""
    descriptor = make()
    try:
        found = os.fstat(descriptor)
        with pytest.raises(SegmentLost):
            borrow(ME, SegmentRef(descriptor, found.st_mtime_ns, found.st_size or len(DATA)))
    finally:
        os.close(descriptor)


def test_another_segment_in_its_place() -> None:
    """A descriptor is used again at once; what stands there now is not taken for what was lent."""
    first = made()
    ref = first.ref
    del first
    second = made(DATA[::-1])
    assert second.descriptor == ref.descriptor
    with pytest.raises(SegmentLost, match="let go"):
        borrow(ME, ref)


def test_a_wrong_size() -> None:
    """Nobody maps more than there is."""
    segment = made()
    with pytest.raises(SegmentLost):
        borrow(ME, SegmentRef(segment.descriptor, segment.stamp, len(DATA) + 1))


def test_a_wrong_stamp() -> None:
    """What is referred to is one content, not whatever stands at a place."""
    segment = made()
    with pytest.raises(SegmentLost):
        borrow(ME, SegmentRef(segment.descriptor, segment.stamp + 1, len(DATA)))


def test_a_process_that_is_gone() -> None:
    """The message says so."""
    with subprocess.Popen(["true"]) as process:
        pass
    with pytest.raises(SegmentLost, match="cannot be opened"):
        borrow(process.pid, SegmentRef(3, 1, 10))


@pytest.mark.parametrize(
    "numbers",
    [(), (1, 2), (1, 2, 3, 4, 5), (-1, 2, 3), (1, 2, 0), (1, 2, MAX_FRAME_BYTES + 1), (True, 2, 3)],
)
def test_no_reference(numbers: tuple[int, ...]) -> None:
    """What names no segment is refused before anything is opened."""
    with pytest.raises(ValueError, match="segment"):
        SegmentRef.of(numbers)


# ---------------------------------------------------------------- when there is no room


def test_a_full_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that fails half-way: no segment, and nothing is left of it."""
    write = os.write

    def full(descriptor: int, data: memoryview) -> int:
        if len(data) < len(DATA):
            raise OSError(errno.ENOSPC, "no space left")
        return write(descriptor, data[:4096])

    monkeypatch.setattr(segments.os, "write", full)
    assert share(memoryview(DATA)) is None


def test_no_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without one there is no segment."""

    def none(name: str, flags: int) -> int:
        raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr(segments.os, "memfd_create", none)
    assert share(memoryview(DATA)) is None


def test_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """In number, or in bytes; the next one is made once another is let go."""
    kept = [made() for _ in range(SEGMENTS - count_held())]
    assert share(memoryview(DATA)) is None
    kept.pop()
    kept.append(made())
    kept.clear()
    monkeypatch.setitem(segments._held, -1, SHARED_BYTES - len(DATA) + 1)
    assert share(memoryview(DATA)) is None


def test_no_room_to_map_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is as if it could not be opened: the bytes are asked for."""

    def none(*arguments: object, **named: object) -> mmap.mmap:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    segment = made()
    monkeypatch.setattr(segments.mmap, "mmap", none)
    with pytest.raises(SegmentLost, match="cannot be mapped: Cannot allocate"):
        segment.private()


def test_ctrl_c_while_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Raises as it should, and leaves nothing open."""

    def struck(descriptor: int, data: memoryview) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(segments.os, "write", struck)
    with pytest.raises(KeyboardInterrupt):
        share(memoryview(DATA))


# ---------------------------------------------------------------- in payloads


def test_large_buffers_become_segments() -> None:
    """When a payload is detached; smaller ones become bytes, and all of it reads as before."""
    large, small = np.arange(SEGMENT_BYTES // 8), np.arange(SEGMENT_BYTES // 8 - 1)
    payload = detached(dumps([large, small]))
    assert [type(part) for part in payload] == [bytes, Segment, bytes]
    large[:] = small[:] = 0
    first, second = loads(payload)
    assert (first[-1], second[-1]) == (SEGMENT_BYTES // 8 - 1, SEGMENT_BYTES // 8 - 2)
    first += 1
    assert loads(payload)[0][0] == 0
    assert detached(payload) is not None


def test_without_room_they_are_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is lost but time."""
    monkeypatch.setattr("ctrlhub.wire.serialize.share_warm", lambda view: None)
    payload = detached(dumps(np.arange(SEGMENT_BYTES)))
    assert [type(part) for part in payload] == [bytes, bytes]
    assert loads(payload)[-1] == SEGMENT_BYTES - 1


class Struck(Exception):
    """Raised by a signal's handler."""


def test_an_exception_of_a_signals_handler_is_not_dropped_while_one_is_let_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ctrl-C in a loop that pushes: whenever it comes, it is raised in the loop."""
    dropped: list[object] = []
    struck, raised = 0, 0

    def strike(number: int, frame: object) -> None:
        nonlocal struck
        struck += 1
        raise Struck

    monkeypatch.setattr(sys, "unraisablehook", dropped.append)
    former = signal.signal(signal.SIGALRM, strike)
    data = memoryview(bytes(300_000))
    before = segments.count_held()
    try:
        until = time.monotonic() + 30
        while struck < 200 and time.monotonic() < until:
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0005)
                for _ in range(20):
                    segments.share(data)
            except Struck:
                raised += 1
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        signal.signal(signal.SIGALRM, former)

    assert raised == struck > 0
    assert dropped == []
    assert segments.count_held() == before
