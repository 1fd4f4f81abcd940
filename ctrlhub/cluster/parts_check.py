"""Whether what launchers have started may yet bring engines: asked while these are waited for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ctrlhub.cluster.errors import StartFailed

if TYPE_CHECKING:
    from ctrlhub.cluster.launchers.base import Launcher, SetState

ASK = 1.0
"""So often (seconds) a batch system is asked."""


class PartsCheck:
    """The parts of a set that engines are expected of.

    Parameters
    ----------
    parts
        The parts.
    """

    def __init__(self, parts: Sequence[Launcher]) -> None:
        self._parts = parts
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
                    f"{state.reason or state.phase.value}",
                    state.log,
                )

    def why(self) -> str:
        """Say how they were when last asked."""
        return "; ".join(
            f"{part.described()} is {state.phase.value}{': ' + state.reason if state.reason else ''}"
            for part, state in zip(self._parts, self._states, strict=False)
        )
