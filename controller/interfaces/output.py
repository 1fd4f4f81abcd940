"""Output of all: what requests of whichever client put out while they run, for clients that watch."""

from __future__ import annotations

from collections.abc import Sequence

from ctrlhub.controller.core.sessions import Session
from ctrlhub.controller.interfaces.base import Interface, exposed
from ctrlhub.wire.errors import InvalidRequest
from ctrlhub.wire.limits import MAX_SESSION
from ctrlhub.wire.messages import Role

MOST_LEFT_OUT = 64
"""So many sessions may a watcher leave out."""


class OutputOfAll(Interface):
    """The interface for the live output of all requests."""

    name = "output"

    @exposed(Role.VIEW)
    def watch(self, caller: Session, without: Sequence[int] = ()) -> None:
        """Publish to the caller from now on what requests put out, but for those of some sessions."""
        if not isinstance(without, list | tuple) or len(without) > MOST_LEFT_OUT:
            raise InvalidRequest(f"without is a list of sessions, of {MOST_LEFT_OUT} at most")
        if not all(type(each) is int and 0 <= each <= MAX_SESSION for each in without):
            raise InvalidRequest("sessions are named by their numbers")
        self.context.output.watch(caller, without)

    @exposed(Role.VIEW)
    def received(self, caller: Session, number: int) -> None:
        """Take note that a client has taken in what it was told up to a number."""
        if type(number) is not int:
            raise InvalidRequest("messages are counted")
        self.context.output.received(caller, number)

    @exposed(Role.VIEW)
    def unwatch(self, caller: Session) -> bool:
        """Publish no more of it to the caller; False if nothing was."""
        return self.context.output.unwatch(caller)

    def handed_over(self, session: Session, now: float) -> None:
        """Tell nothing to a process that has not asked for it."""
        self.context.output.unwatch(session)

    def session_ended(self, session: Session, now: float) -> None:
        """Forget a client."""
        self.context.output.unwatch(session)

    def tick(self, now: float) -> None:
        """Nothing: what is due is told at the end of the turn."""

    def next_deadline(self) -> float | None:
        """Say when what has gathered is to be told."""
        return self.context.output.due

    def flush(self, now: float) -> None:
        """Tell what was put out in this turn, or has gathered."""
        watch = self.context.output
        if watch.watchers:
            for session, message in watch.messages(now):
                session.publish(self.outbox, message)

    def check(self) -> None:
        """Assert the invariants."""
        self.context.output.check()
