"""Memory goes back to the system when there may be much of it and little else to do."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ctrlhub.controller.heap import INTERVAL, WORTH, Heap, allocator, memory_here


class Process:
    """A process whose memory and work are what the test says."""

    def __init__(self) -> None:
        self.in_use = self.pinned = self.free = 0
        self.worked = 0.0
        self.now = 100.0
        self.released = self.settled = 0
        self.heap = Heap(self, self.settle, lambda: self.worked)
        self.take(10 * WORTH)
        self.look()

    def take(self, size: int) -> None:
        """Need more memory."""
        self.in_use += size

    def leave(self, size: int, pinned: int = 0) -> None:
        """Need less; some of it cannot be given back."""
        self.in_use -= size
        self.pinned += pinned
        self.free += size - pinned

    def size(self) -> int:
        """Return what it has."""
        return self.in_use + self.pinned + self.free

    def used(self) -> int:
        """Return what it needs."""
        return self.in_use

    def settle(self) -> None:
        """Let what is needed lie together."""
        assert self.settled == self.released, "before memory is given back, and only then"
        self.settled += 1

    def release(self) -> None:
        """Give back what can be."""
        self.released += 1
        self.free = 0

    def look(self, worked: float = 0.0, seconds: float = INTERVAL) -> int:
        """Look after a while in which so much was done; return how often memory was given back."""
        self.now += seconds
        self.worked += worked
        self.heap.look(self.now)
        return self.released


def test_memory_is_given_back_once_there_is_little_to_do() -> None:
    """Not in the midst of work, which it would hold up."""
    process = Process()
    process.take(4 * WORTH)
    process.leave(4 * WORTH)

    assert process.look(worked=0.9) == 0
    assert process.look() == 1
    assert process.size() == 10 * WORTH


def test_what_is_in_use_is_given_back_when_it_is_not_any_more() -> None:
    """However long it was."""
    process = Process()
    process.take(4 * WORTH)
    assert [process.look() for _ in range(5)] == [0] * 5

    process.leave(4 * WORTH)
    assert process.look() == 1


def test_what_cannot_be_given_back_is_not_looked_for_again_and_again() -> None:
    """Until much comes to it."""
    process = Process()
    process.take(6 * WORTH)
    process.leave(5 * WORTH, pinned=3 * WORTH)
    assert [process.look() for _ in range(5)] == [1] * 5

    process.take(WORTH)
    process.leave(WORTH)
    assert process.look() == 2


def test_it_is_looked_at_now_and_then_only() -> None:
    """However often the hub's clock ticks."""
    process = Process()
    process.take(2 * WORTH)
    process.leave(2 * WORTH)

    assert [process.look(seconds=INTERVAL / 10) for _ in range(8)] == [0] * 8


def test_what_is_in_use_by_name_alone_is_given_back_when_somebody_says_so() -> None:
    """Of ZeroMQ's queues most pages were never written to: what is in use seems more than what there is."""
    process = Process()
    process.take(4 * WORTH)
    process.heap.freed()

    assert process.look(worked=0.9) == 0
    assert [process.look() for _ in range(3)] == [1] * 3, "once"


FLOOD = """
from ctrlhub.controller.heap import memory_here
memory = memory_here()
flood = [(number, str(number)) for number in range(300_000)]
full, needed = memory.size(), memory.used()
left = flood[::1000]
del flood
spare = memory.size() - memory.used()
memory.release()
print(full, needed, spare, memory.size(), memory.used())
"""


@pytest.mark.skipif(not allocator(), reason="this system has no memory that can be given back")
def test_a_flood_of_small_objects_goes_back_to_the_system() -> None:
    """Though some of them stay, all over it."""
    environment = {**os.environ, **allocator()}
    command = [sys.executable, "-c", FLOOD]
    told = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    full, needed, spare, size, used = map(int, told.stdout.split())

    assert used < needed <= full
    assert spare > 3 * WORTH
    assert size < full - 2 * WORTH


def test_hubs_are_started_with_an_allocator_that_gives_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where there is one; unless the user has chosen another."""
    monkeypatch.setattr(sys.implementation, "_multiarch", "x86_64-linux-gnu", raising=False)
    monkeypatch.setattr(os, "confstr", {"CS_GNU_LIBC_VERSION": "glibc 2.36"}.get)
    monkeypatch.delenv("PYTHONMALLOC", raising=False)
    assert allocator() == {"PYTHONMALLOC": "malloc"}

    monkeypatch.setenv("PYTHONMALLOC", "debug")
    assert allocator() == {}


@pytest.mark.parametrize(
    ("system", "version"),
    [("x86_64-linux-musl", "glibc 2.36"), ("x86_64-linux-gnu", "glibc 2.31"), ("darwin", "")],
)
def test_other_systems_keep_their_allocator(
    monkeypatch: pytest.MonkeyPatch, system: str, version: str
) -> None:
    """Nothing could be given back there, or nothing told of it."""
    monkeypatch.setattr(sys.implementation, "_multiarch", system, raising=False)
    monkeypatch.setattr(os, "confstr", {"CS_GNU_LIBC_VERSION": version}.get)
    monkeypatch.delenv("PYTHONMALLOC", raising=False)
    assert allocator() == {}

    monkeypatch.setenv("PYTHONMALLOC", "malloc")
    assert memory_here() is None


def test_where_nothing_can_be_given_back_nothing_is_done() -> None:
    """As in a hub that was not started by us."""
    Heap(None, lambda: None).look(100.0)
