"""Leaving a session to another process: once everything that was submitted is accepted. No I/O."""

from __future__ import annotations

from dataclasses import dataclass

from ctrlhub.client.call_list import Answered, CallList
from ctrlhub.client.outgoing import Outgoing
from ctrlhub.wire.errors import SessionClosed
from ctrlhub.wire.messages import Call


@dataclass(slots=True)
class Detaching:
    """The wish to leave the session.

    Parameters
    ----------
    keep
        For how long (seconds) it is to be kept; None leaves that to the hub.
    answered
        Gets the hub's answer.
    """

    keep: float | None
    answered: Answered
    asked: bool = False

    def is_due(self, outgoing: Outgoing) -> bool:
        """Tell whether the hub has accepted everything, and is to be asked."""
        return not self.asked and outgoing.is_accepted

    def call(self, calls: CallList) -> Call:
        """Return the call by which the hub is asked."""
        self.asked = True
        return Call(next(calls.numbers), "sessions", "detach", {"keep": self.keep})


def detached(session: int) -> SessionClosed:
    """Return the error with which what was asked for ends here."""
    return SessionClosed(
        f"this client was detached: Client(session={session}) has its requests and results"
    )
