"""What is known of one set of engines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KnownSet:
    """One set of engines, as it is known without asking a scheduler.

    Parameters
    ----------
    name
        What it is called.
    launcher
        How it was started; empty where that is not known.
    ids
        The engines of it that are registered.
    asked
        How many were asked for in all, where that is recorded; else as many as there are.
    jobs
        What its launcher started: a job's number, a process.
    """

    name: str
    launcher: str
    ids: Sequence[int]
    asked: int
    jobs: Sequence[str] = ()

    @property
    def n(self) -> int:
        """How many engines it has."""
        return len(self.ids)
