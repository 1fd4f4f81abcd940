"""A link over one WebSocket, to a hub's gateway: for clients that have no other way than HTTP.

Theory of operation
-------------------
One socket carries all streams. It is opened by whoever makes the link, which tells at once what is
wrong; when it breaks, by a thread of its own, since names, proxies and TLS take time. Until it stands
again the link takes nothing: it hands its loop a "say hello", as a hub does that does not know a
connection, so that the session registers anew and keeps what it has to say. The registration is the
one message that is kept here, and it leaves first.

What the gateway refuses for good (a token that was revoked) is handed on as the hub's refusal of a
registration: the session ends, and says why.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from random import Random, SystemRandom
from threading import RLock, Thread
from typing import Any

from ctrlhub.link.base import Arrival
from ctrlhub.link.bulk import BulkLine
from ctrlhub.link.guarded_log import GuardedLog
from ctrlhub.link.patience import Backoff, Patience
from ctrlhub.link.polling import POLLIN, POLLOUT, make_poller
from ctrlhub.link.sleep import asleep
from ctrlhub.link.states import KEY_NOT_LIVE
from ctrlhub.link.wakeup import Wakeup
from ctrlhub.link.web_address import WebAddress
from ctrlhub.link.web_opening import OpenWeb, open_web
from ctrlhub.link.web_socket import BROKEN, WebSocket
from ctrlhub.wire.codec import encode
from ctrlhub.wire.errors import AuthenticationError, CtrlHubError, HubUnavailable, InvalidRequest
from ctrlhub.wire.messages import Buffer, Refused, SayHello, Stream
from ctrlhub.wire.web import pack_message, unpack_message

AGAIN = Patience(first=0.1, factor=2.0, longest=5.0, jitter=0.3)
"""How long to wait before a connection is tried again: all clients of a gateway lose theirs at once."""

OPEN_TIMEOUT = 10.0
"""Seconds in which a connection that is made again must stand."""

PROBE = 5.0
"""After so many seconds without a word the gateway is asked for one."""

DEAD = 15.0
"""After so many the connection is taken for broken."""

LINGER = 1.0
"""How long (seconds) a closing link waits for what was just sent to leave."""

NEVER = float("inf")

_log = GuardedLog(__name__)


class WebLink:
    """A client's connection to the hub through its gateway; implements `ctrlhub.link.base.Link`.

    Parameters
    ----------
    address
        The gateway.
    timeout
        Seconds in which the first connection must stand.

    Raises
    ------
    AuthenticationError, HubNotFound, HubUnavailable
        It cannot be made, and why.
    """

    sleeps_in_system = True
    enrolling = False
    bulk: BulkLine | None = None

    def __init__(self, address: WebAddress, timeout: float) -> None:
        self._address = address
        self.lock = RLock()
        self.sleeping = False
        self._wakeup = Wakeup()
        self._backoff = Backoff(AGAIN.first, AGAIN, Random(SystemRandom().getrandbits(64)))
        self._made: deque[tuple[int, OpenWeb | CtrlHubError]] = deque()
        self._attempt = 0
        self._is_opening = False
        self._socket: WebSocket | None = None
        self._registration: Sequence[Buffer] = ()
        self._own: list[Arrival] = []
        self._failure: str | None = None
        self._due = NEVER
        self._unsure = False
        self._closed = False
        self._poll: Any = make_poller()
        self._poll.register(self._wakeup.fileno(), POLLIN)
        try:
            self._begin(open_web(address, timeout))
        except BaseException:
            self._wakeup.close()
            raise

    # ------------------------------------------------------------ the hot path

    def send(self, stream: Stream, frames: Sequence[Buffer]) -> None:
        """Send one message, without ever blocking; see `Link.send`."""
        found = self._socket
        if found is None:
            if stream is Stream.HUB:  # while there is no connection, a registration or a goodbye
                self._registration = frames
            return
        try:
            if found.send(pack_message(stream, frames)):
                self._ask_for(found)
        except BROKEN as error:
            self._unsure = True
            self._lose(found, error)

    def receive(self, timeout: float | None) -> list[Arrival]:
        """Wait for messages, and take what is there; see `Link.receive`."""
        self._unsure = False
        found = self._socket
        if self._own or self._made or (found is not None and found.has_pending):
            timeout = 0.0
        if found is None:
            timeout = self._look(timeout)
        else:
            pause = found.next_look(PROBE, DEAD) - time.monotonic()
            if timeout is None or timeout > pause:
                timeout = max(0.0, pause)
        events = asleep(self, self._poll.poll, None if timeout is None else timeout * 1000)
        found = self._socket
        flags = POLLIN if found is not None and found.has_pending else 0
        for fd, flag in events:
            if found is not None and fd == found.descriptor:
                flags |= flag
            else:
                self._wakeup.clear()
        if flags and found is not None:
            self._attend(found, flags)
        if self._made:
            self._take_over()
        arrivals, self._own = self._own, []
        if found is not None and found is self._socket:
            self._take(found, arrivals)
            if not events:
                self._probe(found, time.monotonic())
        if self._own:  # it has broken just now
            arrivals += self._own
            self._own = []
        return arrivals

    def missed(self) -> bool:
        """Tell whether a send has left something to do; see `Link.missed`."""
        return self._unsure

    def wake(self) -> None:
        """Make `receive` return, from any thread."""
        self._wakeup.set()

    # ------------------------------------------------------------ what happens rarely

    def enrolled(self) -> None:
        """Do nothing: there are no keys to enrol."""

    def enrol_again(self) -> None:
        """Do nothing: there are no keys to enrol."""

    def reopen(self) -> None:
        """Open the connection anew: it was left in the middle of a message."""
        if self._closed:
            return
        poll = make_poller()  # the other may be torn, too
        poll.register(self._wakeup.fileno(), POLLIN)
        self._poll = poll
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._is_opening = False
        self._backoff.restart()
        self._open()

    def failure(self) -> str | None:
        """Say why the connection last failed; None while it stands. From any thread."""
        return self._failure

    def close(self) -> None:
        """Close everything; a message that was just sent has `LINGER` to leave."""
        if self._closed:
            return
        self._closed = True
        self._is_opening = False
        if self._socket is not None:
            self._socket.say_goodbye(LINGER)
            self._socket.close()
            self._socket = None
        self._drop_made()
        self._wakeup.close()

    # ------------------------------------------------------------ reading and writing

    def _attend(self, found: WebSocket, flags: int) -> None:
        try:
            if flags & POLLOUT:
                found.write()
            if flags & ~POLLOUT:
                found.read()
            self._ask_for(found)
        except BROKEN as error:
            # What came before the end is heard first.
            self._take(found, self._own)
            self._lose(found, error)

    def _take(self, found: WebSocket, arrivals: list[Arrival]) -> None:
        for message in found.take():
            try:
                arrivals.append(unpack_message(message))
            except InvalidRequest as error:
                self._lose(found, error)
                return

    def _probe(self, found: WebSocket, now: float) -> None:
        """See whether a gateway that says nothing is there."""
        if now < found.next_look(PROBE, DEAD):
            return
        try:
            if found.is_probed:
                raise TimeoutError(f"nothing was heard for {now - found.heard:.0f} s")
            found.probe()
            self._ask_for(found)
        except BROKEN as error:
            self._lose(found, error)

    def _ask_for(self, found: WebSocket) -> None:
        """Wait for room where something is to be sent, and only there."""
        events = POLLIN | POLLOUT if found.has_unsent else POLLIN
        if events != found.events:
            found.events = events
            self._poll.register(found.descriptor, events)
            self._unsure = True  # a wait that is under way knows nothing of it

    # ------------------------------------------------------------ connections

    def _begin(self, made: OpenWeb) -> None:
        found = WebSocket(made.socket, made.protocol)
        self._socket = found
        self._failure = None
        self._due = NEVER
        self._ask_for(found)
        if self._registration:
            registration, self._registration = self._registration, ()
            self.send(Stream.HUB, registration)

    def _lose(self, found: WebSocket, error: BaseException) -> None:
        """Take note that the connection has broken, and have the session register anew."""
        if found is not self._socket:
            return
        self._socket = None
        self._poll.unregister(found.descriptor)
        reason = found.reason or str(error) or type(error).__name__
        found.close()
        self._failure = f"the connection to {self._address} was lost: {reason}"
        _log.info("%s", self._failure)
        self._own.append((Stream.HUB, _header(SayHello()), []))
        if found.was_steady:
            self._backoff.restart()
        self._put_off()

    def _put_off(self) -> None:
        self._backoff.asked(time.monotonic())
        self._due = self._backoff.due

    def _look(self, timeout: float | None) -> float | None:
        """Open a connection if that is due, and shorten the wait to when it will be."""
        if self._due == NEVER:
            return timeout  # the thread that opens one wakes us
        pause = self._due - time.monotonic()
        if pause <= 0:
            self._open()
            return timeout
        return pause if timeout is None else min(timeout, pause)

    def _open(self) -> None:
        self._due = NEVER
        self._is_opening = True
        self._attempt += 1
        try:
            Thread(target=self._connect, args=(self._attempt,), name="ctrlhub-web", daemon=True).start()
        except RuntimeError as error:  # the system has no thread for us now
            self._made.append((self._attempt, HubUnavailable(f"no connection can be opened: {error}")))
            self._wakeup.set()

    def _connect(self, attempt: int) -> None:
        """Open a connection, in a thread of its own."""
        made: OpenWeb | CtrlHubError
        try:
            made = open_web(self._address, OPEN_TIMEOUT, patience=0.0)  # we have our own
        except CtrlHubError as error:
            made = error
        except Exception as error:  # if nothing came of this thread, no other would be started
            _log.warning("a connection to %s failed unforeseen", self._address, exc_info=True)
            made = HubUnavailable(f"{self._address} cannot be reached: {type(error).__name__}: {error}")
        self._made.append((attempt, made))
        if self._closed:
            self._drop_made()  # nobody else will
        self._wakeup.set()

    def _take_over(self) -> None:
        while self._made:
            attempt, made = self._made.popleft()
            if attempt != self._attempt or not self._is_opening:
                if isinstance(made, OpenWeb):
                    made.socket.close()  # of an attempt that was given up
                continue
            self._is_opening = False
            if isinstance(made, OpenWeb):
                self._begin(made)
                continue
            self._failure = str(made)
            self._put_off()
            if isinstance(made, AuthenticationError):
                refused = Refused(KEY_NOT_LIVE, self._failure)
                self._own.append((Stream.HUB, _header(refused), []))

    def _drop_made(self) -> None:
        """Close what was opened and nobody took; also in the thread that opens."""
        with suppress(IndexError):  # another thread has dropped the last
            while True:
                _, made = self._made.popleft()
                if isinstance(made, OpenWeb):
                    made.socket.close()


def _header(message: SayHello | Refused) -> bytes:
    return bytes(encode(message)[0])
