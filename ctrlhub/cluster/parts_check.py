"""Whether what launchers have started may yet bring engines: asked while these are waited for."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ctrlhub.cluster.errors import StartFailed
from ctrlhub.cluster.launchers.base import Launcher, Phase, SetState

ASK = 1.0
"""So often (seconds) a batch system is asked."""


class PartsCheck:
    """The parts of a set that engines are expected of.

    Parameters
    ----------
    parts
        The parts.
    queued
        How long (seconds) those are worth waiting for of which one is in a queue.
    """

    def __init__(self, parts: Sequence[Launcher], queued: float = math.inf) -> None:
        self._parts = parts
        self._queued = queued
        self._states: list[SetState] = []
        self._due = 0.0

    def check(self, now: float) -> None:
        """Ask how they are, if that is due.

        Raises
        ------
        StartFailed
            One is over; with the end of its log.
        """
        if now < self._due:
            return
        self._due = now + ASK
        self._states = [part.state() for part in self._parts]
        for part, state in zip(self._parts, self._states, strict=True):
            if state.phase.is_over:
                raise StartFailed(
                    f"the engines of {part.described()} ({part.spec.launcher}) are over: "
                    f"{state.reason or state.phase.value} (logs in {part.log_dir})",
                    state.log,
                )

    def patience(self, timeout: float) -> float:
        """Return how long to wait for their engines, of so many seconds, as they were when last asked."""
        waits = any(state.phase is Phase.PENDING for state in self._states)
        return min(timeout, self._queued) if waits else timeout

    def why(self) -> str:
        """Say how they were when last asked."""
        return "; ".join(
            f"{part.described()} is {_told(state)}"
            for part, state in zip(self._parts, self._states, strict=False)
        )

    def states(self) -> str:
        """Say the same of parts whose names are known."""
        return "; ".join(map(_told, self._states))


def _told(state: SetState) -> str:
    return f"{state.phase.value}{f' ({state.reason})' if state.reason else ''}"
