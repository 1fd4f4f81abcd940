"""Sessions: which there are, and how a client leaves its own to another process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ctrlhub.controller.core.later import OnceStored
from ctrlhub.controller.core.sessions import Session
from ctrlhub.controller.interfaces.base import Interface, exposed
from ctrlhub.controller.interfaces.handing_over import HandingOver
from ctrlhub.wire.errors import InvalidRequest
from ctrlhub.wire.ids import to_ranges
from ctrlhub.wire.messages import Role

MOST_RANGES = 16_384
"""The most ranges of ids in an answer."""


class SessionsInterface(Interface):
    """The interface for sessions as such."""

    name = "sessions"

    @exposed(Role.VIEW)
    def list(self, caller: Session) -> Sequence[Mapping[str, Any]]:
        """Return what is known of each client's session."""
        return self.context.leases.described()

    @exposed(Role.VIEW)
    def unfetched(self, caller: Session, after: int = 0) -> dict[str, Any]:
        """Return the requests of the caller's session whose results it has not acknowledged.

        Queued and running ones are among them. The value holds `requests`, ranges, and `after`: what
        to pass for the rest, or None.
        """
        if type(after) is not int:
            raise InvalidRequest("after is an id")
        numbers = sorted(
            n for each in self._have_requests() for n in each.numbers_of(caller) if n > after
        )
        ranges = to_ranges(numbers)
        more = len(ranges) > MOST_RANGES
        shown = ranges[:MOST_RANGES]
        return {"requests": shown, "after": shown[-1][1] if more else None}

    @exposed(Role.VIEW)
    def window(self, caller: Session, size: int) -> None:
        """Have no more bytes of results on their way to the caller than it has room for."""
        if type(size) is not int or size < 1:
            raise InvalidRequest("size is a number of bytes, at least 1")
        caller.window = size

    @exposed(Role.SUBMIT)
    def detach(self, caller: Session, keep: float | None = None) -> OnceStored:
        """Leave the caller's session to whoever attaches to it; return how long (s) it is kept."""
        if keep is not None and type(keep) not in (int, float):
            raise InvalidRequest("keep is a number of seconds, or nil")
        return OnceStored(self.context.leases.detach(caller, keep))

    @exposed(Role.SUBMIT)
    def hurry(self, caller: Session) -> None:
        """Store what the caller submits from now on without waiting for more: it waits until that is done."""
        caller.hurries = True

    def handed_over(self, session: Session, now: float) -> None:
        """Hurry no more: another process has the session."""
        session.hurries = False

    @exposed(Role.ADMIN)
    def end(self, caller: Session, session: int) -> None:
        """End a session that no client is attached to: its tasks are cancelled, its results forgotten."""
        if type(session) is not int:
            raise InvalidRequest("a session is a number")
        self.context.leases.end(session)

    def _have_requests(self) -> tuple[HandingOver[Any], ...]:
        each = self.context.interfaces.values()
        return tuple(interface for interface in each if isinstance(interface, HandingOver))
