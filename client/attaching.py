"""Sessions that outlive their clients: what a client can do about its own, and others that were left."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from ctrlhub.client.connection import Connection
from ctrlhub.client.metadata import local_time
from ctrlhub.wire.ids import from_ranges, text_of


class SessionInfo(NamedTuple):
    """A client's session, as the hub knows it."""

    session: int
    """Its number, for `Client(session=...)`."""
    state: str
    """``attached``, ``detached``, or ``vanished``: its client has not been heard of for a while."""
    pid: int
    """The process that has it, or had it last."""
    host: str
    """And where that runs."""
    outstanding: int
    """How many of its requests have not ended."""
    results: int
    """How many results nobody has fetched."""
    expires: datetime | None
    """When it ends; None while a client is attached."""


class Attaching:
    """The part of a client that leaves its session, and looks at those that were left."""

    _connection: Connection

    def flush(self, timeout: float | None = None) -> None:
        """Wait until the hub has accepted, and so stored, everything that was submitted.

        From then on nothing of it is lost, whatever is killed.

        Parameters
        ----------
        timeout
            How long (seconds) to wait; None takes the client's.

        Raises
        ------
        HubUnavailable
            The hub has not accepted everything in time.
        """
        self._connection.flush(timeout)

    def detach(self, keep: float | None = None, timeout: float | None = None) -> int:
        """Leave the hub, and the session to whoever attaches to it with `Client(session=...)`.

        What was submitted goes on. Results are kept until they are fetched, or the time is over; those
        that have come here are fetched, and can be had with `get_result` as long as the hub remembers
        them. This client is closed, and what it waits for ends here with `SessionClosed`.

        Parameters
        ----------
        keep
            For how long (seconds) the session is kept while no client is attached to it; None is the
            time of the last `detach`, or the hub's `detached_ttl` (a week).
        timeout
            How long (seconds) to wait until the hub has everything; None takes the client's.

        Returns
        -------
        int
            The session's number.

        Raises
        ------
        HubUnavailable
            The hub has not taken everything in time. The client is still attached.
        """
        connection = self._connection
        connection.detach(keep, timeout)
        connection.close()
        return connection.session

    def unfetched(self) -> list[str]:
        """Return the ids of this session's requests whose results nobody has fetched, in order.

        Queued and running ones are among them, and for a moment those that were fetched just now.
        ``client.get_result(client.unfetched())`` gets them all, as they end.
        """
        found: list[int] = []
        after: int | None = 0
        while after is not None:
            page = self._connection.call("sessions", "unfetched", {"after": after})
            found += from_ranges(page["requests"])
            after = page["after"]
        return [text_of(number) for number in found]

    def sessions(self) -> list[SessionInfo]:
        """Return what the hub knows of the sessions of clients: attached, detached and vanished ones."""
        return [_info(each) for each in self._connection.call("sessions", "list", {})]

    def end_session(self, session: int) -> None:
        """End a session that no client is attached to: its tasks are cancelled, its results forgotten.

        Raises
        ------
        NoSuchSession
            There is none of this number.
        SessionAttached
            A client is attached to it.
        """
        self._connection.call("sessions", "end", {"session": session})


def _info(known: dict[str, Any]) -> SessionInfo:
    info = SessionInfo(*(known[name] for name in SessionInfo._fields))
    expires = known["expires"]
    return info if expires is None else info._replace(expires=local_time(expires))
