"""What launchers of array jobs share: a set is an array of jobs, each on one node with one nanny.

Most batch systems start the script of a job once, whatever it was given. An array is still one thing
to them, with one number: one submission, one line in the queue, one cancellation.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ctrlhub.cluster.errors import LauncherError, StopFailed
from ctrlhub.cluster.launchers.base import Phase, SetState
from ctrlhub.cluster.launchers.batch import BatchLauncher, Spread
from ctrlhub.cluster.launchers.commands import Answer
from ctrlhub.cluster.launchers.endings import ending_of, newest_tail, noted_endings

LOOK = 0.5
"""Seconds between two looks whether a job has left the queue."""
KILLED = 15.0
"""Seconds that a job which was cancelled by force takes to leave the queue, at most."""

BODY = """\
exec >> {{log_dir}}/job-"$index".log 2>&1
{{prologue}}

# Without its token the set has been stopped before this job began.
[ -r {{token_file}} ] || exit 0

engines={{engines_per_node}}
[ "$index" = {{nodes}} ] && engines={{engines_on_last_node}}
"""
"""What a script does once it knows its `index` in the array, from 1 on, up to the engines' command."""


@dataclass(frozen=True, slots=True)
class Element:
    """How one job of an array is.

    Parameters
    ----------
    phase
        How it is; what has ended need not be named.
    reason
        Why, as the batch system says it.
    """

    phase: Phase
    reason: str = ""


class ArrayLauncher(BatchLauncher):
    """A launcher whose sets are arrays of jobs."""

    @abstractmethod
    def ask(self) -> Sequence[Element] | None:
        """Return how the jobs of the array are that are known; None where the batch system knows of none.

        Raises
        ------
        LauncherError
            It does not answer.
        """

    @abstractmethod
    def cancel(self, force: bool) -> None:
        """Cancel the array; harmless when it has ended.

        Parameters
        ----------
        force
            It has been asked to end, and has not.

        Raises
        ------
        LauncherError
            The batch system does not answer.
        """

    @property
    def job(self) -> str:
        """The number of the job."""
        if not self.handle:
            raise LauncherError(f"engines {self.spec.key!r} have no job")
        return str(self.handle["job"])

    def described(self) -> str:
        """Name the job."""
        return f"job {self.job}" if self.handle else super().described()

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        if not self.spread.nodes:  # one job cannot be on several nodes
            self.spread = Spread(1, self.spec.n, self.spec.n)

    def wall_time(self) -> int | None:
        """Return the wall time that was asked for, in seconds."""
        return seconds_of(self.options.time) if self.options.time else None

    @property
    def writes_here(self) -> bool:
        """Whether what its jobs write is seen here."""
        return True

    @property
    def size(self) -> int:
        """How many jobs the array has."""
        return max(1, self.spread.nodes)

    def state(self) -> SetState:
        """Ask the batch system; what it has forgotten is told by what the nannies have noted."""
        try:
            self.take_up()
            if not self.handle:
                return SetState(Phase.FAILED, "it was not submitted, or has long ended")
            found = self.ask()
        except LauncherError as error:
            return SetState(Phase.UNKNOWN, str(error))
        return self._how_it_ended() if found is None else self._judge(found)

    def end(self, patience: float) -> None:
        """Cancel the array, and wait until it has left the queue."""
        try:
            self.cancel(force=False)
            if self._has_left(patience):
                return
            self.cancel(force=True)
            if self._has_left(KILLED):
                return
        except LauncherError as error:
            raise StopFailed(
                f"job {self.job} may still be queued or run: {error}; when {self.name} answers again, "
                f"`ctrl-hub engines stop {self.spec.name}` ends it"
            ) from error
        raise StopFailed(
            f"job {self.job} has been cancelled and is still there: a node that does not answer keeps it"
        )

    def _has_left(self, patience: float) -> bool:
        deadline = time.monotonic() + patience
        while any(not each.phase.is_over for each in self.ask() or ()):
            if time.monotonic() >= deadline:
                return False
            time.sleep(LOOK)
        return True

    def _judge(self, found: Sequence[Element]) -> SetState:
        by_phase = {each.phase: each.reason for each in reversed(found)}
        bad = {name: code for name, code in noted_endings(self.log_dir).items() if code}
        failed = next((each.reason for each in found if each.phase is Phase.FAILED), "")
        if Phase.RUNNING in by_phase or Phase.PENDING in by_phase:
            phase = Phase.RUNNING if Phase.RUNNING in by_phase else Phase.PENDING
            if bad or failed:
                told = failed or ", ".join(f"{name} with exit code {code}" for name, code in bad.items())
                return SetState(phase, f"some have ended: {told}", newest_tail(self.log_dir))
            waiting = sum(1 for each in found if each.phase is Phase.PENDING)
            if phase is Phase.RUNNING and waiting:
                return SetState(phase, f"{waiting} of {self.size} jobs are queued")
            return SetState(phase, by_phase[phase])
        if failed:
            return SetState(Phase.FAILED, failed, newest_tail(self.log_dir))
        return self._how_it_ended()

    def _how_it_ended(self) -> SetState:
        if self.writes_here and not any(self.log_dir.iterdir() if self.log_dir.is_dir() else ()):
            # Its first act would have been to begin a log.
            return SetState(Phase.ENDED, "it was cancelled before it began", cancelled=True)
        return ending_of(self.log_dir)


def seconds_of(time: str, colons: Sequence[int] = (1, 60, 3600)) -> int:
    """Read a wall time as most batch systems write it: ``2:00:00``, ``90:00``, or seconds.

    Parameters
    ----------
    time
        What the user has given.
    colons
        How many seconds its parts are, the last first.

    Raises
    ------
    ValueError
        It is none.
    """
    parts = time.split(":")
    if len(parts) > len(colons) or not all(part.isdecimal() for part in parts):
        raise ValueError(f"time: {time!r} is not a wall time such as 2:00:00")
    return sum(int(part) * each for part, each in zip(reversed(parts), colons, strict=False))


def check_answer(answer: Answer, command: str) -> None:
    """Make sure that a command has done what it was told.

    Raises
    ------
    LauncherError
        It has not.
    """
    if answer.code:
        raise LauncherError(f"{command}: {answer.complaint}")
