"""Room for requests: who submits faster than they end waits, once there are as many as the hub takes.

As long as there is much room nobody counts: the I/O thread looks after each turn, and when it comes
near the limit it has each request ask here before it is left. What is outstanding is what the hub
would count, so that it need not refuse anything: what has not ended, and results it has not been
told we have.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import local

from ctrlhub.client.requests import Claim, Request
from ctrlhub.client.session import ClientSession
from ctrlhub.client.waiting import Waiting
from ctrlhub.client.watch import Watch
from ctrlhub.wire.errors import LimitExceeded

NEAR = 16_384
"""With room for less than so many requests, or than an eighth, each of them asks."""


class Crowded(LimitExceeded):
    """There is no room, and this thread does not wait."""


class _Here(local):
    waits = True


_here = _Here()


@contextmanager
def without_waiting() -> Iterator[None]:
    """Have this thread get an error where it would wait for room: it runs an event loop."""
    before, _here.waits = _here.waits, False
    try:
        yield
    finally:
        _here.waits = before


class Room:
    """The room that a session's requests have.

    Parameters
    ----------
    session
        The session.
    watch
        Its bells ring when requests have ended, while there are claims.
    waiting
        How to wait.
    timeout
        How long (seconds) a request waits for room.
    """

    __slots__ = ("_session", "_timeout", "_waiting", "_watch")

    def __init__(
        self, session: ClientSession, watch: Watch, waiting: Waiting, timeout: float
    ) -> None:
        self._session = session
        self._watch = watch
        self._waiting = waiting
        self._timeout = timeout

    @property
    def most(self) -> int:
        """How many requests may be outstanding; more the hub refuses. 0 where it does not say."""
        registered = self._session.registered
        return 0 if registered is None else registered.max_outstanding

    @property
    def is_scarce(self) -> bool:
        """Whether the limit is near."""
        most = self.most
        return most > 0 and self._session.load > most - max(NEAR, most // 8)

    def take(self, request: Request) -> None:
        """Leave a request once there is room for it, or the session is over.

        Raises
        ------
        LimitExceeded
            There is none in time; it was not left.
        """
        crowd, claim = self._session.crowd, Claim(len(request._numbers()))
        crowd.append(claim)
        try:
            if not self._has(claim):
                if not _here.waits:
                    raise Crowded(self._none("an event loop does not wait: await view.apply(...)"))
                self._wait_for(claim)
            self._session.submissions.append(request)
        finally:
            self._leave(claim)

    def wait(self) -> None:
        """Wait until there is room for a request, or the session is over.

        Raises
        ------
        LimitExceeded
            There is none in time.
        """
        claim = Claim(1)
        self._session.crowd.append(claim)
        try:
            self._wait_for(claim)
        finally:
            self._leave(claim)

    def _has(self, claim: Claim) -> bool:
        """Tell whether there is room for one, and those who came before; for the first, if nothing is out."""
        claims = tuple(self._session.crowd)
        before, load = claims[: claims.index(claim)], self._session.load
        wanted = claim.count + sum(each.count for each in before)
        return self.most == 0 or load + wanted <= self.most or not (load or before)

    def _wait_for(self, claim: Claim) -> None:
        if not self._waiting.at_most(lambda: self._has(claim), self._timeout):
            raise LimitExceeded(
                self._none(f"room for more has not come within {self._timeout:g} s")
            )

    def _leave(self, claim: Claim) -> None:
        crowd = self._session.crowd
        crowd.remove(claim)
        if crowd:  # who came behind is next
            self._watch.room()

    def _none(self, why: str) -> str:
        return (
            f"{self._session.load} requests of this client have not ended, and the hub takes "
            f"{self.most} (its max_outstanding); {why}. This one was not sent: wait for some of the "
            "others, or submit through imap, which keeps a few out at a time; Client(timeout=...) says "
            "how long to wait"
        )
