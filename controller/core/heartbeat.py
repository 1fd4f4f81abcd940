"""Heartbeats: who was heard when, who is suspect, who is lost.

A peer that was not heard for `suspect` seconds gets no new work; after `lost` seconds it is given up.
Being heard, or vouched for by its nanny, brings a suspect back.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from enum import Enum


class Health(Enum):
    """What a silence means."""

    WELL = "well"
    SUSPECT = "suspect"
    LOST = "lost"


@dataclass(slots=True)
class _Pulse:
    heard: float
    health: Health
    due: float


class Heartbeats:
    """The pulse of every watched peer, by session number.

    The cost of hearing a peer is one assignment: a peer has one entry in the heap of deadlines,
    and the entry is moved only when it comes due.
    """

    def __init__(self, suspect: float, lost: float) -> None:
        self._suspect = suspect
        self._lost = lost
        self._pulses: dict[int, _Pulse] = {}
        self._deadlines: list[tuple[float, int]] = []

    def watch(self, number: int, now: float) -> None:
        """Begin to watch a peer, or welcome it back."""
        if number in self._pulses:
            self.heard(number, now)
            return
        self._schedule(number, _Pulse(now, Health.WELL, 0.0))

    def forget(self, number: int) -> None:
        """Watch a peer no more."""
        self._pulses.pop(number, None)

    def heard(self, number: int, now: float) -> bool:
        """Note a sign of life; True when this brings back a suspect."""
        pulse = self._pulses.get(number)
        if pulse is None:
            return False
        pulse.heard = now
        if pulse.health is Health.SUSPECT:
            pulse.health = Health.WELL
            self._schedule(number, pulse)
            return True
        return False

    def forgive(self, seconds: float) -> None:
        """Hold a silence of so long against nobody: it was us who did not listen."""
        for pulse in self._pulses.values():
            pulse.heard += seconds

    def tick(self, now: float) -> list[tuple[int, Health]]:
        """Return the peers whose health became worse; lost ones are watched no more."""
        worse = []
        while self._deadlines and self._deadlines[0][0] <= now:
            due, number = heapq.heappop(self._deadlines)
            pulse = self._pulses.get(number)
            if pulse is None or pulse.due != due:
                continue
            silence = now - pulse.heard
            if silence >= self._lost:
                del self._pulses[number]
                worse.append((number, Health.LOST))
                continue
            if silence >= self._suspect and pulse.health is Health.WELL:
                pulse.health = Health.SUSPECT
                worse.append((number, Health.SUSPECT))
            self._schedule(number, pulse)
        return worse

    def _schedule(self, number: int, pulse: _Pulse) -> None:
        """Give a pulse its deadline; an entry of an earlier one goes stale."""
        self._pulses[number] = pulse
        pulse.due = pulse.heard + (self._suspect if pulse.health is Health.WELL else self._lost)
        heapq.heappush(self._deadlines, (pulse.due, number))

    def next_deadline(self) -> float | None:
        """Return when `tick` should be called next."""
        return self._deadlines[0][0] if self._deadlines else None

    def watched(self) -> set[int]:
        """Return who is watched."""
        return set(self._pulses)

    def check(self) -> None:
        """Assert that every watched peer has a deadline."""
        assert {(pulse.due, n) for n, pulse in self._pulses.items()} <= set(self._deadlines)
