"""Warm segments: memory is used again, and never while anybody can see it."""

from __future__ import annotations

import errno
import gc
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from ctrlhub.wire import warm
from ctrlhub.wire.errors import SegmentLost
from ctrlhub.wire.segments import AVAILABLE, Segment, SegmentRef, borrow, count_held
from ctrlhub.wire.warm import (
    LEAST_BYTES,
    WARM_BYTES,
    WARM_SECONDS,
    WARM_SEGMENTS,
    cool,
    count_warm,
    discard,
    share_warm,
)
from tests.support.memory_files import memory_files

pytestmark = pytest.mark.skipif(not AVAILABLE, reason="this system has no memory files")

SIZE = LEAST_BYTES + 4321
ME = os.getpid()


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


def made(letter: bytes, size: int = SIZE) -> Segment:
    """Return a segment of one letter."""
    segment = share_warm(memoryview(letter * size))
    assert segment is not None
    return segment


def inode(segment: Segment) -> int:
    """Tell which memory it stands in."""
    return os.fstat(segment.descriptor).st_ino


def test_what_all_have_let_go_of_is_used_again() -> None:
    """The memory is the same, the content and the stamp are not."""
    first = made(b"a")
    place, stamp = inode(first), first.stamp
    assert first.view() == b"a" * SIZE
    del first
    second = made(b"b")
    assert inode(second) == place
    assert second.stamp != stamp
    assert second.view() == b"b" * SIZE
    assert count_warm() == 1


def test_what_is_lent_is_not_touched() -> None:
    """As long as it is held by its maker, nothing else is written there."""
    first = made(b"a")
    second = made(b"b")
    assert inode(first) != inode(second)
    assert (first.view(), second.view()) == (b"a" * SIZE, b"b" * SIZE)


def test_what_is_borrowed_is_not_touched() -> None:
    """Nor as long as somebody else has it open."""
    first = made(b"a")
    borrowed = borrow(ME, first.ref)
    del first
    made(b"b")
    assert borrowed.view() == b"a" * SIZE


def test_what_is_mapped_is_not_touched() -> None:
    """Nor while an array lives in it, whose descriptor was closed long ago."""
    mapped = made(b"a", LEAST_BYTES).private()
    made(b"b", LEAST_BYTES)
    assert mapped == b"a" * LEAST_BYTES


def test_what_another_process_maps_is_not_touched() -> None:
    """The kernel counts everybody."""
    first = made(b"a")
    ref = first.ref
    code = (
        "import sys\n"
        "from ctrlhub.wire.segments import SegmentRef, borrow\n"
        "numbers = [int(n) for n in sys.argv[1:]]\n"
        "mapped = borrow(numbers[0], SegmentRef.of(numbers[1:])).private()\n"
        "print('mapped', flush=True)\n"
        "sys.stdin.read()\n"
        "print(bytes(mapped[:1]).decode(), bytes(mapped[-1:]).decode())\n"
    )
    numbers = [str(n) for n in (ME, ref.descriptor, ref.stamp, ref.nbytes)]
    command = [sys.executable, "-c", code, *numbers]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "mapped\n"
        place = inode(first)
        del first
        assert inode(made(b"b")) != place
        out, _ = other.communicate("", timeout=60)
    assert out == "a a\n"
    discard()


def test_who_comes_too_late_gets_nothing() -> None:
    """A reference to what stood there before leads nowhere, though place and size are the same."""
    first = made(b"a")
    ref = first.ref
    del first
    second = made(b"b")
    assert second.descriptor == ref.descriptor
    with pytest.raises(SegmentLost):
        borrow(ME, ref)
    assert borrow(ME, second.ref).view() == b"b" * SIZE


def test_who_comes_while_it_is_taken_gets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """To be asked for it in that moment ends nobody's process, and lets nobody in."""
    first = made(b"a")
    ref = first.ref
    [kept] = warm._warm
    del first
    stamped = warm.new_stamp
    refused: list[SegmentLost] = []

    def ask(descriptor: int) -> int:
        with pytest.raises(SegmentLost) as caught:
            borrow(ME, SegmentRef(kept.descriptor, ref.stamp, SIZE))
        refused.append(caught.value)
        return stamped(descriptor)

    monkeypatch.setattr(warm, "new_stamp", ask)
    assert kept.take()
    assert len(refused) == 1
    assert signal.getsignal(signal.SIGIO) is signal.SIG_DFL, "it would have ended us"


def test_nobody_can_write() -> None:
    """Neither who borrows it, nor its maker through another descriptor or mapping."""
    segment = made(b"a")
    [kept] = warm._warm
    for attempt in (
        lambda: os.write(kept.descriptor, b"b"),
        lambda: os.ftruncate(kept.descriptor, 1),
        lambda: os.ftruncate(kept.descriptor, 2 * SIZE),
        lambda: os.write(segment.descriptor, b"b"),
    ):
        with pytest.raises(OSError, match=r"Operation not permitted|Bad file descriptor"):
            attempt()
    assert segment.view() == b"a" * SIZE


def test_one_that_is_much_larger_is_left() -> None:
    """A small buffer does not take the place of a large one; one about as large does."""
    place = inode(made(b"a", 4 * SIZE))
    assert inode(made(b"b")) != place
    again = made(b"c", 4 * SIZE - 5000)
    assert inode(again) == place
    assert again.view() == b"c" * (4 * SIZE - 5000)


def test_it_is_bounded_in_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that was not used for longest goes first, and what refers to it is not harmed."""
    kept = [made(b"%d" % (k % 10)) for k in range(WARM_SEGMENTS + 5)]
    assert count_warm() == WARM_SEGMENTS
    assert [bytes(each.view()[:1]) for each in kept] == [b"%d" % (k % 10) for k in range(len(kept))]


def test_it_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is larger than all of it together is not kept."""
    monkeypatch.setattr(warm, "WARM_BYTES", 3 * SIZE)
    kept = [made(b"a") for _ in range(5)]
    assert count_warm() == 3
    kept.append(made(b"b", 3 * SIZE + 1))
    assert count_warm() == 3
    assert WARM_BYTES > SIZE


def test_what_is_not_used_goes() -> None:
    """After a while; what was used in between stays."""
    del_me = made(b"a")
    cool(0.0)
    cool(WARM_SECONDS - 1.0)
    assert count_warm() == 1
    place = inode(del_me)
    del del_me
    assert inode(made(b"b")) == place
    cool(WARM_SECONDS)
    cool(2 * WARM_SECONDS - 1.0)
    assert count_warm() == 1
    cool(2 * WARM_SECONDS)
    assert count_warm() == 0


def test_a_forked_process_writes_none_of_it() -> None:
    """Its parent goes on with it, and would find its child's data there."""
    place = inode(made(b"a"))
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if inode(made(b"c")) != place else 1)
        finally:
            os._exit(2)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


def test_a_system_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """An older kernel knows no such seal: segments are new ones, then."""

    def unknown(owned: list[int], number: int, value: int) -> int:
        raise OSError(errno.EINVAL, "invalid argument")

    monkeypatch.setattr(warm.fcntl, "fcntl", unknown)
    monkeypatch.setattr(warm, "share", lambda *arguments: None)
    assert share_warm(memoryview(b"a" * SIZE)) is None
    assert count_warm() == 0


def test_a_read_only_buffer() -> None:
    """It is written into memory that is used again like any other."""
    made(b"a")
    data = bytes(range(256)) * (SIZE // 256 + 1)
    segment = share_warm(memoryview(data)[:SIZE])
    assert segment is not None
    assert segment.view() == data[:SIZE]
