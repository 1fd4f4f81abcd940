"""How long a peer goes on without a hub, and how its process ends."""

from __future__ import annotations

import logging
from enum import IntEnum

from ctrlhub.link.membership import Membership
from ctrlhub.link.patience import Patience
from ctrlhub.link.states import State
from ctrlhub.wire.messages import Refused, Register, Registered

STANDSTILL = 15.0
"""Ticks come at least this often (seconds); a longer gap means that the process was stopped."""

_NEVER = float("inf")

_log = logging.getLogger(__name__)


class Ending(IntEnum):
    """How a process of ours ends, as its exit code."""

    LEFT = 0
    FAILED = 1
    MADE_WAY = 74
    HUB_LOST = 75
    REFUSED = 77
    MISCONFIGURED = 78
    TERMINATED = 143


class Lease:
    """How long to go on without a hub. Time in which this process was stopped does not count."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.due = _NEVER
        self._ticked = 0.0

    def start(self, now: float) -> None:
        """Begin to count."""
        self.due = now + self.seconds
        self._ticked = now

    def tick(self, joined: bool, now: float) -> bool:
        """Tell whether the lease has run out."""
        gap = now - self._ticked
        if joined:
            self.due = now + self.seconds
        elif gap > STANDSTILL:
            self.due += gap
        self._ticked = now
        return now >= self.due


class LeasedMembership(Membership):
    """A membership that ends when it has been without a hub for too long."""

    def __init__(
        self, registration: Register, hub_lease: float, patience: Patience, seed: int | None
    ) -> None:
        super().__init__(registration, patience=patience, seed=seed)
        self._lease = Lease(hub_lease)
        self.ending = Ending.LEFT

    def start(self, now: float, enrolling: bool) -> None:
        """Begin to join."""
        super().start(now, enrolling)
        self._lease.start(now)

    def tick(self, now: float) -> None:
        """Do what is due."""
        super().tick(now)
        if self.state is State.GONE:
            return
        if self._lease.tick(self.state is State.JOINED, now):
            self.ending = Ending.HUB_LOST
            self.goodbye(now, f"no hub for {self._lease.seconds:g} s")

    def next_deadline(self) -> float | None:
        """Tell when `tick` is next due."""
        due = Membership.next_deadline(self)
        return due if due is None or self.state is State.JOINED else min(due, self._lease.due)

    def on_joined(self, registered: Registered, now: float) -> None:
        """Take the lease that the hub gives."""
        self._lease.seconds = registered.lease

    def on_silent(self, now: float) -> None:
        """Say so in the log: it explains much of what may follow."""
        _log.warning("the hub is silent; without one this ends in %.0f s", self._lease.due - now)

    def on_refused(self, refused: Refused) -> None:
        """Note how this ends."""
        self.ending = Ending.REFUSED
