"""What the hub refuses: said to the sender, counted, and logged, but not without end. No I/O."""

from __future__ import annotations

import logging
from collections.abc import Callable

from ctrlhub.controller.core.complaints import Complaints
from ctrlhub.controller.core.effects import Connection, Send
from ctrlhub.controller.core.sessions import Session
from ctrlhub.wire.errors import CtrlHubError, InternalError
from ctrlhub.wire.ids import Ranges, to_ranges
from ctrlhub.wire.limits import BATCH_ROWS, MAX_ID, MAX_TEXT
from ctrlhub.wire.messages import Command, Message, Refused, StartHook, SubmitTasks

log = logging.getLogger(__name__)


class Refusals:
    """The refusals of a hub.

    They are said at the end of a turn, behind what was accepted in it: a client fails what it takes
    for refused.

    Parameters
    ----------
    speaker
        Whose connection it is; None of a stranger's.
    now
        The clock (seconds).
    """

    def __init__(
        self, speaker: Callable[[Connection], Session | None], now: Callable[[], float]
    ) -> None:
        self._speaker, self._now = speaker, now
        self._complaints = Complaints()
        self._said: list[Send] = []

    @property
    def count(self) -> int:
        """How many there were."""
        return self._complaints.total

    def refuse(
        self,
        connection: Connection,
        message: Message | None,
        error: CtrlHubError,
        cause: Exception | None = None,
    ) -> None:
        """Refuse a message, or one that cannot be read (None); `cause` is a fault of ours."""
        text = str(error)[:MAX_TEXT]
        session = self._speaker(connection)
        who = connection if session is None else session.number
        line = self._complaints.note(who, error.code, self._now())
        if line is not None:
            peer = "a stranger" if session is None else f"{session.role.noun} {session.number}"
            log.warning(
                "refused %s on %s (%d so far, %d of them not named since the last line): %s",
                peer, connection.stream.value, line.total, line.unsaid, text, exc_info=cause,
            )  # fmt: skip
        self._said.append(Send(connection, Refused(error.code, text, requests_of(message))))

    def failed(self, connection: Connection, message: Message | None, cause: Exception) -> None:
        """Refuse a message on which the hub itself has failed."""
        kind = message.kind if message else "a message that it cannot read"
        failure = InternalError(f"the hub failed on {kind}: {cause!r}")
        self.refuse(connection, message, failure, cause)

    def take(self) -> list[Send]:
        """Return what is to be sent, once."""
        said, self._said = self._said, []
        return said


def requests_of(message: Message | None) -> Ranges:
    """Return the ids of a message's requests; none if they cannot be told.

    The message was refused: its ids may be any numbers, and more than a sender of ours would put
    into one message. Those that do not fit an answer are not repeated.
    """
    if type(message) is Command:
        first, count = message.first, len(message.targets)
        ranges: Ranges = ((first, first + count - 1),) if count else ()
    elif type(message) is StartHook:
        ranges = ((message.id, message.id),)
    elif type(message) is SubmitTasks:
        ranges = to_ranges(row[0] for row in message.rows)
    else:
        return ()
    if len(ranges) > BATCH_ROWS or any(first < 0 or last > MAX_ID for first, last in ranges):
        return ()
    return ranges
