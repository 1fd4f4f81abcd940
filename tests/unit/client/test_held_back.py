"""Ctrl-C that strikes while something is handed over."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from types import FrameType

import pytest

from ctrlhub.client.held_back import HeldBack


@pytest.fixture(autouse=True)
def handler() -> Iterator[object]:
    """What Ctrl-C does: it raises."""

    def strike(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, strike)
    try:
        yield strike
    finally:
        signal.signal(signal.SIGINT, before)


def test_it_strikes_when_it_is_let_go(handler: object) -> None:
    """Not before, and once."""
    with HeldBack() as held:
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            held.let_go()
        assert signal.getsignal(signal.SIGINT) is handler


def test_it_strikes_at_the_end(handler: object) -> None:
    """Whatever came of what was handed over; and later ones at once."""

    def fails() -> None:
        with HeldBack():
            signal.raise_signal(signal.SIGINT)
            raise ValueError

    with pytest.raises(KeyboardInterrupt):
        fails()
    assert signal.getsignal(signal.SIGINT) is handler


def test_who_presses_it_again_does_not_wait(handler: object) -> None:
    """What is handed over may have to wait for room: then that is interrupted, and the handler is back."""
    reached = []

    def waits() -> None:
        with HeldBack():
            signal.raise_signal(signal.SIGINT)
            reached.append("held back")
            signal.raise_signal(signal.SIGINT)
            reached.append("not struck")

    with pytest.raises(KeyboardInterrupt):
        waits()
    assert reached == ["held back"]
    assert signal.getsignal(signal.SIGINT) is handler
