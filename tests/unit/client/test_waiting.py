"""Ctrl-C while a wait begins and ends: the program's own handler is back afterwards."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from ctrlhub.client import waiting
from ctrlhub.client.waiting import Waiting
from ctrlhub.link.handlers import get_handler, set_handler

NUMBER = int(signal.SIGINT)


class Struck(Exception):
    """Raised by the program's handler."""


class Loop:
    """A loop that leads for no time at all."""

    def __init__(self) -> None:
        self.led = 0

    def lead(self, ready: Callable[[], bool], deadline: float | None) -> bool:
        """Return what is so."""
        self.led += 1
        return ready()


@pytest.fixture(autouse=True)
def program() -> Iterator[Callable[..., None]]:
    """Give the program a handler that raises."""

    def handler(number: int, frame: Any) -> None:
        raise Struck

    before = signal.signal(signal.SIGINT, handler)
    yield handler
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("when", ["as it begins", "as it ends"])
def test_the_handler_is_back(
    monkeypatch: pytest.MonkeyPatch, program: Callable[..., None], when: str
) -> None:
    """The loop's own thread is asleep at that moment, which lets a signal strike elsewhere."""

    def set_and_strike(number: int, handler: Any) -> None:
        ours = handler is not program
        if not ours and when == "as it ends":
            signal.raise_signal(signal.SIGINT)
        set_handler(number, handler)
        if ours and when == "as it begins":
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(waiting, "set_handler", set_and_strike)
    link: Any = SimpleNamespace(sleeping=True, sleeps_in_system=True)
    loop: Any = Loop()
    with pytest.raises(Struck):
        Waiting(loop, link, SimpleNamespace()).until(lambda: True, None)  # type: ignore[arg-type]
    assert loop.led == 1
    assert get_handler(NUMBER) is program
