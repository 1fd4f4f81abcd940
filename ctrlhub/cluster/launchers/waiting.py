"""Waiting for the engines of a set, and seeing at once when they will not come."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ctrlhub.cluster.errors import StartFailed
from ctrlhub.cluster.launchers.base import Launcher, Phase, SetState

if TYPE_CHECKING:
    from ctrlhub.client.client import Client

ASK = 1.0
"""So often (seconds) the batch system is asked: more would burden it."""
HEAR = 0.1
"""So often (seconds) who waits looks at what the hub has told us, which costs nothing."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """How far a set has come.

    Parameters
    ----------
    registered
        How many of its engines are registered.
    expected
        How many were asked for.
    state
        What its launcher says, when it was asked last.
    """

    registered: int
    expected: int
    state: SetState


def registered_of(client: Client, name: str) -> int:
    """Return how many engines of a set are registered."""
    return sum(1 for each in client.status()["engines"] if each.get("engine_set") == name)


def await_engines(
    launcher: Launcher,
    client: Client,
    timeout: float,
    *,
    before: int = 0,
    queued: float = float("inf"),
    check: Callable[[], None] = lambda: None,
) -> Arrival:
    """Wait until the engines of a set are registered, or the time is over.

    Parameters
    ----------
    launcher
        The set, which has been started.
    client
        Who sees the engines.
    timeout
        How long to wait (seconds).
    before
        How many engines of this set there were before.
    queued
        How long to wait (seconds) for one that is in a queue.
    check
        Called again and again meanwhile; what it raises ends the wait.

    Raises
    ------
    StartFailed
        The set has ended before its engines came; with the last lines of its log.
    """
    begin = time.monotonic()
    deadline = begin + timeout
    asked = -ASK
    state = SetState(Phase.UNKNOWN)
    while True:
        check()
        now = time.monotonic()
        count = registered_of(client, launcher.spec.name) - before
        if count >= launcher.spec.n:
            return Arrival(count, launcher.spec.n, SetState(Phase.RUNNING))
        if now - asked >= ASK:
            state, asked = launcher.state(), now
            if state.phase.is_over:
                raise _never(launcher, count, state)
        now = time.monotonic()
        if now >= deadline or (state.phase is Phase.PENDING and now >= begin + queued):
            return Arrival(count, launcher.spec.n, state)
        time.sleep(min(HEAR, deadline - now))


def _never(launcher: Launcher, count: int, state: SetState) -> StartFailed:
    how = "has failed" if state.phase is Phase.FAILED else "has ended"
    reason = f": {state.reason}" if state.reason else ""
    return StartFailed(
        f"engines {launcher.spec.key!r}: {launcher.described()} {how} when {count} of "
        f"{launcher.spec.n} engines had registered{reason} (logs in {launcher.log_dir})",
        state.log,
    )
