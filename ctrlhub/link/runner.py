"""The I/O loop of a peer: runs a membership on a link, in one thread."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from threading import get_ident

from ctrlhub.link.base import Arrival, Link
from ctrlhub.link.membership import Membership
from ctrlhub.link.states import LinkAction, State, Subscribe
from ctrlhub.wire.codec import decode, encode
from ctrlhub.wire.errors import CtrlHubError, ProtocolMismatch
from ctrlhub.wire.messages import Buffer, Message, Refused

Action = Callable[[float], None]

_log = logging.getLogger(__name__)

STALL = 0.25
"""A deadline missed by this much (seconds) means that this process was held up, not the hub."""

NEVER = float("inf")
NOBODY = 0

SECOND_LOOK = 0.05
"""After a stall, how long (seconds) to look for what arrived meanwhile before judging a silence."""


def log_error(error: Exception) -> None:
    """Write an error with its traceback to the log, and go on."""
    _log.error("%s: %s", type(error).__name__, error, exc_info=error)


class Runner:
    """Runs a membership on a link.

    A turn waits for messages until the machine's next deadline, hands them over, runs what other
    threads posted, lets the machine do what is due, and sends all that it has to say. So whatever
    came up during a turn leaves together, and nothing waits for company.

    Parameters
    ----------
    machine
        The membership; from `run` on it belongs to the thread that runs it.
    link
        The link, likewise. `run` closes it at its end.
    clock
        Gives the time in seconds.
    on_error
        Called with each error that does not end the loop: a message that cannot be read, a posted
        action or a handler of the machine that raised.

    Attributes
    ----------
    malformed : int
        How many messages could not be read.
    """

    def __init__(
        self,
        machine: Membership,
        link: Link,
        clock: Callable[[], float] = time.monotonic,
        on_error: Callable[[Exception], None] = log_error,
    ) -> None:
        self.machine = machine
        self.link = link
        self.malformed = 0
        self._clock = clock
        self._on_error = on_error
        self._posted: deque[Action] = deque()
        self._asleep = False
        self._thread = NOBODY
        self._wakes = NEVER
        self._stopped = False

    def run(self) -> None:
        """Run until the machine is gone, or `stop`; then send what is left and close the link."""
        self._thread = get_ident()
        self.link.lock.acquire()
        try:
            self.machine.start(self._clock(), self.link.enrolling)
            self._speak()
            while not self._stopped and self.machine.state is not State.GONE:
                self._turn()
        finally:
            self.link.close()
            self._thread = NOBODY
            self.link.lock.release()

    def post(self, action: Action) -> None:
        """Have an action run in the loop's thread, with the time as its argument; from any thread.

        Actions run in the order in which they were posted, and not at all once the loop has ended.
        """
        self._posted.append(action)
        # Only a loop that sleeps, or is about to, needs the signal, and one signal is enough. It
        # announces its sleep before it looks at the actions a last time, so none is overlooked.
        if self._asleep:
            self._asleep = False
            self.link.wake()

    def at_once(self, action: Action) -> None:
        """Run an action and send what follows from it in this thread, if the loop sleeps.

        It spares the message a change of threads. Otherwise the action is posted.
        """
        link = self.link
        lock = link.lock
        if self._posted or self._thread == get_ident() or self._thread == NOBODY:
            self.post(action)
            return
        woken = False
        # Ctrl-C may come after any call, so the lock is taken and given back within one `try`.
        try:
            if not lock.acquire(blocking=False):
                self.post(action)
                return
            woken = True
            action(self._clock())
            self._send()
            woken = link.missed() or self._due_earlier()
        except BaseException:  # Ctrl-C, perhaps between two frames
            self.post(lambda now: link.reopen())
            raise
        finally:
            try:
                lock.release()
            except RuntimeError:  # it was not taken
                woken = False
            if woken:
                link.wake()

    def _due_earlier(self) -> bool:
        due = self.machine.next_deadline()
        return due is not None and due < self._wakes

    def stop(self) -> None:
        """End the loop, from any thread, after what was posted before."""
        self.post(self._stop)

    def _stop(self, now: float) -> None:
        self._stopped = True

    def _turn(self) -> None:
        machine = self.machine
        arrivals, now = self._wait(machine.next_deadline())
        if self.link.enrolling and machine.state is not State.ENROLLING:
            machine.enrol_again(now)
        for stream, header, frames in arrivals:
            try:
                machine.receive(stream, self._read(header, frames), now)
            except Exception as error:  # one message must not cost the connection
                self._on_error(error)
        if self._posted:
            self._run_posted(now)
        machine.tick(now)
        self._speak()

    def _wait(self, deadline: float | None) -> tuple[list[Arrival], float]:
        timeout = None if deadline is None else max(0.0, deadline - self._clock())
        self._asleep = True
        self._wakes = NEVER if deadline is None else deadline
        if self._posted:
            timeout = 0.0
        arrivals = self.link.receive(timeout)
        self._asleep = False
        now = self._clock()
        if not arrivals and deadline is not None and now > deadline + STALL:
            arrivals = self.link.receive(SECOND_LOOK)
            now = self._clock()
        return arrivals, now

    def _read(self, header: bytes, frames: list[Buffer]) -> Message:
        try:
            return decode(header, frames)
        except ProtocolMismatch as error:
            # Whatever a hub of another version says, it means that we cannot work together.
            return Refused(error.code, str(error))
        except CtrlHubError:
            self.malformed += 1
            raise

    def _run_posted(self, now: float) -> None:
        for _ in range(len(self._posted)):  # what is posted meanwhile waits for the next turn
            action = self._posted.popleft()
            try:
                action(now)
            except Exception as error:  # nor must one action
                self._on_error(error)

    def _speak(self) -> None:
        link = self.link
        for action in self.machine.take_link_actions():
            if isinstance(action, Subscribe):
                link.subscribe(action.topic)
            elif action is LinkAction.ENROLLED:
                link.enrolled()
            else:
                link.enrol_again()
        self._send()

    def _send(self) -> None:
        send = self.link.send
        for stream, message in self.machine.drain():
            send(stream, encode(message))
