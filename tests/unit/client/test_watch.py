"""What the other threads hear of the session."""

from __future__ import annotations

import pytest

from ctrlhub.client.watch import Watch
from ctrlhub.wire.errors import HubUnavailable, SessionClosed


def test_a_silence_is_said_once_and_its_end_too(caplog: pytest.LogCaptureFixture) -> None:
    """The user is told that the hub is silent, not every second; and that it is back."""
    watch = Watch()
    watch.joined(7)
    for _ in range(3):
        watch.silent(3.2)
    watch.joined(7)
    watch.joined(7)

    assert [record.message for record in caplog.records] == [
        "the hub has not answered for 3 s; still trying (what was submitted is kept; "
        "`ctrl-hub status` tells whether it runs; get(timeout=...) waits no longer than that)",
        "the hub answers again",
    ]


def test_the_end_lets_nobody_wait() -> None:
    """Whoever waits for something that will not come is let go, after the reason is known."""
    watch = Watch()
    reasons: list[Exception] = []
    watch.on_end = reasons.append
    watch.ended(SessionClosed("over"))

    assert watch.wait_for(lambda: False, timeout=None)
    assert [str(reason) for reason in reasons] == ["over"]


@pytest.mark.parametrize(
    ("seconds", "is_gone", "despairs"),
    [(9.0, True, False), (11.0, False, False), (11.0, True, True)],
)
def test_despair_needs_a_long_silence_and_a_hub_that_is_gone(
    seconds: float, is_gone: bool, despairs: bool
) -> None:
    """A hub that is only silent, or gone for a moment, is waited for."""
    error = Watch(10.0, lambda: is_gone).despair(seconds)
    assert isinstance(error, HubUnavailable) is despairs
    assert error is None or "ctrl-hub start" in str(error)


def test_where_nothing_can_be_told_nobody_despairs() -> None:
    """A hub on another host leaves nothing to look at."""
    assert Watch(10.0).despair(1e6) is None


def test_an_engine_on_which_a_hook_failed_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    """With what to do about it."""
    Watch().unprepared({"id": 3, "pid": 5, "host": "here", "cause": "start hook 'x' failed: why"})

    assert "engine 3 (process 5 on here) gets no tasks: start hook 'x' failed: why" in caplog.text
    assert "client.restart()" in caplog.text
