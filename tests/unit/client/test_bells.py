"""Waiting for another thread: nothing is overlooked, and whatever strikes leaves nothing behind."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

import pytest

from ctrlhub.client.bells import Bells

WAIT = 60.0


class Struck(Exception):
    """Raised by a signal's handler."""


@pytest.fixture
def alarm() -> Iterator[None]:
    """SIGUSR1 raises."""

    def strike(number: int, frame: FrameType | None) -> None:
        raise Struck

    former = signal.signal(signal.SIGUSR1, strike)
    yield
    signal.signal(signal.SIGUSR1, former)


def test_what_is_so_is_not_waited_for() -> None:
    """Nobody has to ring."""
    assert Bells().wait_for(lambda: True, 0.0)


def test_what_does_not_come_is_waited_for_until_the_timeout() -> None:
    """And no longer; negative ones are over."""
    assert not Bells().wait_for(lambda: False, 0.01)
    assert not Bells().wait_for(lambda: False, -1.0)


def test_every_change_is_seen_by_all_who_wait() -> None:
    """Also one that is made just before they wait."""
    bells, count, seen = Bells(), [0], []

    def wait() -> None:
        for n in range(1, 201):
            seen.append(bells.wait_for(lambda n=n: count[0] >= n, WAIT))  # type: ignore[misc]

    threads = [threading.Thread(target=wait) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(200):
        count[0] += 1
        bells.ring()
    for thread in threads:
        thread.join(WAIT)

    assert seen == [True] * 600


def test_a_handler_that_raises_ends_the_wait_and_nothing_else(alarm: None) -> None:
    """Wherever it strikes, the next wait is as good as the first."""
    bells, main, struck = Bells(), threading.get_ident(), 0
    armed = over = False

    def storm() -> None:
        while not over:
            if armed:
                signal.pthread_kill(main, signal.SIGUSR1)
            time.sleep(0.0002)

    thread = threading.Thread(target=storm)
    thread.start()
    until = time.monotonic() + WAIT
    while struck < 200 and time.monotonic() < until:
        try:
            try:
                armed = True
                bells.wait_for(lambda: False, 0.001)
                armed = False
            except Struck:
                armed = False
                struck += 1
        except Struck:  # one more, on the way out
            armed = False
    try:
        over = True
        thread.join()
    except Struck:
        thread.join()

    assert struck
    assert len(bells) == 0
    ready: list[bool] = []
    timer = threading.Timer(0.01, lambda: (ready.append(True), bells.ring()))
    timer.start()
    assert bells.wait_for(lambda: bool(ready), WAIT)
    timer.join()
