"""Ctrl-C during a wait: which frames are shown."""

from __future__ import annotations

import traceback
from typing import Any

import pytest

from ctrlhub.client.lazy_future import LazyFuture
from ctrlhub.client.short_traceback import shortened


def interrupted(module: str) -> KeyboardInterrupt:
    """Return what was raised in a function of some module."""
    names: dict[str, Any] = {"__name__": module}
    exec("def wait():\n    raise KeyboardInterrupt", names)
    with pytest.raises(KeyboardInterrupt) as caught:
        names["wait"]()
    assert caught.tb is not None
    return caught.value.with_traceback(caught.tb.tb_next)


@pytest.mark.parametrize("module", ["ctrlhub.link.runner", "threading", "concurrent.futures._base"])
def test_frames_of_a_wait_are_taken_off(module: str) -> None:
    """Ours, and those of the standard library that waits are made of."""
    stop = interrupted(module)
    assert shortened(stop) is stop
    assert stop.__traceback__ is None


@pytest.mark.parametrize("module", ["__main__", "ctrlhubby", "users"])
def test_frames_of_the_program_stay(module: str) -> None:
    """A handler of its own, or a callback, was at work: that is what it is about."""
    stop = interrupted(module)
    assert shortened(stop).__traceback__ is not None


class Waits(LazyFuture):
    """Is interrupted while it is waited for."""

    def done(self) -> bool:
        """Say no."""
        return False


def test_a_wait_shows_where_the_program_was() -> None:
    """Nothing below the wait, and IPython hides the frames above it."""
    namespace: dict[str, Any] = {"__name__": "ctrlhub.client.some"}
    exec("def lead(*_):\n    raise KeyboardInterrupt", namespace)
    waits = Waits()
    waits._wait_leading = namespace["lead"]  # type: ignore[method-assign]

    with pytest.raises(KeyboardInterrupt) as caught:
        waits.result()

    frames = [frame.f_code.co_name for frame, _ in traceback.walk_tb(caught.value.__traceback__)]
    assert frames == [
        "test_a_wait_shows_where_the_program_was", "result", "_result_within", "_await",
    ]  # fmt: skip
    hidden = [frame.f_locals.get("__tracebackhide__") for frame, _ in traceback.walk_tb(caught.tb)]
    assert hidden == [None, True, True, True]
