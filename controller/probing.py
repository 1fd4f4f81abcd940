"""Feeling for connections that broke in silence, and on which nobody has anything to say. No I/O.

Now and then the hub says something on a stream beside that of the beats, on each in its turn: where that
cannot be sent, the transport says so, and the peer is asked to join again.
"""

from __future__ import annotations

from ctrlhub.controller.core.effects import Outbox
from ctrlhub.controller.core.sessions import Session, Sessions
from ctrlhub.controller.permissions import BULK, IOPUB
from ctrlhub.wire.messages import Welcome

FEW = 100
"""So many peers have another stream felt for with each beat; of more, each the more seldom: a message is
memory that libzmq touches for the first time, until it has seen some hundred of them on a connection."""

FEEL_EVERY = 10
"""With one beat of so many, at the least, the hub says something on another stream."""

_OTHERS = tuple(sorted(BULK | IOPUB))
"""The streams beside that of the beats."""


class Probing:
    """Says something on the other streams.

    Parameters
    ----------
    outbox
        Where effects go.
    sessions
        The sessions: the more there are, the more seldom each is felt for.
    epoch
        Identity of this life of the hub.
    """

    def __init__(self, outbox: Outbox, sessions: Sessions, epoch: str) -> None:
        self._outbox = outbox
        self._sessions = sessions
        self._epoch = epoch

    def beat(self, session: Session) -> None:
        """Take note of a beat, and say something if it is time."""
        others = [stream for stream in _OTHERS if stream in session.connections]
        if others:
            turn, rest = divmod(session.probed, min(FEEL_EVERY, 1 + len(self._sessions) // FEW))
            session.probed += 1
            if not rest:
                session.send(self._outbox, others[turn % len(others)], Welcome(self._epoch))
