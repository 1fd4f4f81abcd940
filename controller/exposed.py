"""The interfaces that a hub exposes, each behind a guard. No I/O.

An interface may be somebody else's code: one that fails is logged, and the others have their turn.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from ctrlhub.controller.core.deaths import Death
from ctrlhub.controller.core.engines import Engine
from ctrlhub.controller.core.sessions import Session
from ctrlhub.controller.interfaces.base import Interface
from ctrlhub.wire.ids import Ranges
from ctrlhub.wire.messages import Stream

log = logging.getLogger(__name__)

TICK_AGAIN = 1.0
"""How long (seconds) an interface whose `tick` or `next_deadline` failed is left alone."""


class Exposed:
    """The interfaces, in the order in which configuration names them.

    Attributes
    ----------
    by_name : mapping
        A live view of them.
    flushed : tuple of Interface
        Those that may have something to send at the end of a turn. There are many turns, and most
        interfaces only answer.
    failures : int
        How often one has failed.
    """

    def __init__(self) -> None:
        self._interfaces: dict[str, Interface] = {}
        self.flushed: tuple[Interface, ...] = ()
        self._timed: tuple[Interface, ...] = ()
        self._left_alone: dict[Interface, float] = {}
        self.by_name: Mapping[str, Interface] = MappingProxyType(self._interfaces)
        self.failures = 0

    def __iter__(self) -> Iterator[Interface]:
        return iter(self._interfaces.values())

    def add(self, interface: Interface) -> None:
        """Expose one more."""
        self._interfaces[interface.name] = interface
        kind = type(interface)
        if kind.flush is not Interface.flush:
            self.flushed = (*self.flushed, interface)
        if kind.next_deadline is not Interface.next_deadline:
            self._timed = (*self._timed, interface)

    def flush(self, interface: Interface, now: float) -> None:
        """Let one send what became ready."""
        try:
            interface.flush(now)
        except Exception:
            self._failed(interface, "flush")

    def bound(self, session: Session, stream: Stream, held: Ranges, now: float) -> None:
        """Tell all that a peer said hello on a stream."""
        for interface in self:
            try:
                interface.bound(session, stream, held, now)
            except Exception:
                self._failed(interface, "bound")

    def drains(self, engine: Engine) -> None:
        """Tell all that an engine takes nothing new from now on."""
        for interface in self:
            try:
                interface.drains(engine)
            except Exception:
                self._failed(interface, "drains")

    def handed_over(self, session: Session, now: float) -> None:
        """Tell all that another process has a client's session."""
        for interface in self:
            try:
                interface.handed_over(session, now)
            except Exception:
                self._failed(interface, "handed_over")

    def have_been_read(self, session: Session, ranges: Ranges, now: float) -> None:
        """Tell all that a client that leaves has some results."""
        for interface in self:
            try:
                interface.have_been_read(session, ranges, now)
            except Exception:
                self._failed(interface, "have_been_read")

    def highest(self, session: Session) -> int:
        """Return the highest id that is known of a client's requests; 0 for none."""
        return max((interface.highest(session) for interface in self), default=0)

    def left(self, session: Session) -> tuple[int, int]:
        """Return how many requests of a client have not ended, and how many results it has to fetch."""
        left = [interface.left(session) for interface in self]
        return sum(unended for unended, _ in left), sum(unfetched for _, unfetched in left)

    def session_ended(self, session: Session, now: float) -> None:
        """Tell all that a client is gone for good."""
        for interface in self:
            try:
                interface.session_ended(session, now)
            except Exception:
                self._failed(interface, "session_ended")

    def tick(self, now: float) -> None:
        """Let each do what is due."""
        for interface in self._timed:
            try:
                due = interface.next_deadline()
                if due is not None and max(due, self._left_alone.get(interface, due)) <= now:
                    self._left_alone.pop(interface, None)
                    interface.tick(now)
            except Exception:
                self._left_alone[interface] = now + TICK_AGAIN  # not at once, for ever
                self._failed(interface, "tick")

    def next_deadline(self) -> float | None:
        """Say when `tick` should be called; one that cannot say so is asked again by the way."""
        found = []
        for interface in self._timed:
            try:
                due = interface.next_deadline()
            except Exception:
                self._failed(interface, "next_deadline")
                continue
            if due is not None:
                found.append(max(due, self._left_alone.get(interface, due)))
        return min(found, default=None)

    def has_killed(self, request: int, death: Death) -> bool:
        """Tell all that a request ran when a process of an engine ended; False if another hub has to be told."""
        is_noted = True
        for interface in self:
            try:
                is_noted &= interface.has_killed(request, death)
            except Exception:
                is_noted = False
                self._failed(interface, "has_killed")
        return is_noted

    def settle(self) -> None:
        """Have each keep what it keeps in less memory."""
        for interface in self:
            try:
                interface.settle()
            except Exception:
                self._failed(interface, "settle")

    def check(self) -> None:
        """Assert every interface's invariants."""
        for interface in self:
            interface.check()

    def _failed(self, interface: Interface, what: str) -> None:
        self.failures += 1
        log.exception("%s of interface %r failed", what, interface.name)
