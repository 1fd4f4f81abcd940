from __future__ import annotations

import select
import threading
from collections.abc import Callable, Iterator

import pytest

from ctrlhub.link.wakeup import BestSignal, PairSignal, Signal, Wakeup


@pytest.fixture(params=[BestSignal, PairSignal], ids=["best", "pair"])
def wakeup(request: pytest.FixtureRequest) -> Iterator[Wakeup]:
    """A wakeup of each kind."""
    make: Callable[[], Signal] = request.param
    made = Wakeup(make())
    yield made
    made.close()


def is_readable(wakeup: Wakeup) -> bool:
    """Say whether a poll would return at once."""
    return bool(select.select([wakeup], [], [], 0)[0])


def test_sets_count_as_one(wakeup: Wakeup) -> None:
    """However often it is set, one clear makes it unreadable, and it can be set again."""
    assert not is_readable(wakeup)
    for _ in range(1000):
        wakeup.set()
    assert is_readable(wakeup)
    wakeup.clear()
    assert not is_readable(wakeup)
    wakeup.clear()
    wakeup.set()
    assert is_readable(wakeup)


def test_interrupts_a_poll_in_another_thread(wakeup: Wakeup) -> None:
    """A poll that waits for ever returns when another thread sets it."""
    woken = threading.Event()

    def poll() -> None:
        select.select([wakeup], [], [])
        woken.set()

    thread = threading.Thread(target=poll)
    thread.start()
    wakeup.set()
    assert woken.wait(60)
    thread.join()


def test_is_harmless_once_closed(wakeup: Wakeup) -> None:
    """A late set must not write to a descriptor that may be somebody else's by now."""
    wakeup.close()
    wakeup.close()
    wakeup.set()
    wakeup.clear()
