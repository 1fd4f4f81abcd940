"""The I/O loop of a peer: runs a membership on a link, in one thread at a time.

Theory of operation
-------------------
The loop has a thread of its own, so that a peer is heard whatever user code does. But a thread that
has nothing to do but wait for a message is better off if it reads that itself: to hand it over costs
a change of threads, and with the interpreter's lock that is as much as all the rest. So such a thread
may lead the loop as a guest (`lead`), while the loop's own thread is parked.

A guest goes as soon as it has what it waits for, and mostly comes back soon. So nobody is woken when
it goes: the parked thread looks on, and takes over when the guest has stayed away for a while, or at
once when somebody has posted something. While one visit lasts there is nothing to look after, and the
parked thread sleeps; a guest that goes from such a long visit rouses it to look on again.

Whoever leads holds the link's lock, except while asleep in `Link.receive`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from threading import Lock, get_ident

from ctrlhub.link.base import Arrival, Link
from ctrlhub.link.guarded_log import GuardedLog
from ctrlhub.link.large import LargeMessages
from ctrlhub.link.membership import Membership
from ctrlhub.link.parking import Parking
from ctrlhub.link.sharing import Sharing
from ctrlhub.link.states import LinkAction, State
from ctrlhub.wire.codec import decode, encode
from ctrlhub.wire.errors import CtrlHubError, ProtocolMismatch, SegmentLost
from ctrlhub.wire.messages import Buffer, Message, Part, PartsTaken, Refused, Stream
from ctrlhub.wire.parts import NoRoom, whole

Action = Callable[[float], None]

_log = GuardedLog(__name__)

STALL = 0.25
"""A turn, or a missed deadline, of this much (seconds) is this process held up, and not the hub."""

NEVER = float("inf")
NOBODY = 0
UNATTENDED = -1
"""In place of a leader's thread: the loop runs, and its guest has just gone."""

_UNSENDABLE = (TypeError, ValueError, OverflowError, CtrlHubError)
"""What a message that cannot be encoded raises. What a signal's handler raises is none of it."""

ARRIVAL = 1.0
"""How long (seconds) a guest waits for the loop's own thread to step aside."""

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
    sharing
        How the machine shares memory with the hub; None if it does not.

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
        sharing: Sharing | None = None,
    ) -> None:
        self.machine = machine
        self.link = link
        self.malformed = 0
        self._clock = clock
        self._on_error = on_error
        self._sharing = sharing
        self._posted: deque[Action] = deque()
        self._asleep = False
        self._thread = NOBODY
        self._speaker = NOBODY
        self._wakes = NEVER
        self._looked = clock()
        self._stopped = False
        self._parking = Parking()
        self._guests = Lock()
        self._guest = NOBODY
        self._visits = 0
        self._failed: Exception | None = None
        self._large = LargeMessages(link.bulk)
        self.gather_apart = self._large.gather_apart
        if link.bulk is not None:
            machine.registration = replace(machine.registration, bulk=True)

    def run(self) -> None:
        """Run until the machine is gone, or `stop`; then send what is left and close the link."""
        me = self._thread = get_ident()
        self.link.lock.acquire()
        try:
            self.machine.start(self._clock(), self.link.enrolling)
            self._speak()
            while self._goes_on():
                if self._guest != NOBODY:
                    self._step_aside()
                else:
                    self._thread = me
                    self._turn()
            if self._failed is not None:
                raise self._failed
        finally:
            self.link.close()
            self._stopped = True
            self._thread = NOBODY
            self._parking.enter()  # whoever waits for this thread to step aside may go
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
        elif self._parking.occupied and self._guest == NOBODY:
            self._parking.recall()

    def rouse(self) -> None:
        """Have whoever leads look whether it has what it waits for; also from a signal's handler."""
        self.link.wake()

    def lead(self, until: Callable[[], bool], deadline: float | None = None) -> bool:
        """Run the loop in this thread until something is so.

        Parameters
        ----------
        until
            Says whether it is so; called between the turns.
        deadline
            Until when to wait at most, on the loop's clock; None for ever.

        Returns
        -------
        bool
            Whether it is so. If not, the deadline is over, the loop has ended, or somebody else
            leads it: wait as ever.
        """
        if self._thread == NOBODY or not self._guests.acquire(blocking=False):
            return until()
        try:
            self._visits += 1
            self._guest = get_ident()
            return self._lead(until, deadline) if self._parked() else until()
        except Exception as error:
            self._failed = error  # for the loop's own thread to report
            return False
        except BaseException:  # raised by a signal's handler, perhaps between two frames
            self.post(self._reopen)
            raise
        finally:
            self._asleep = False  # before the loop's own thread may come, and sleep
            self._guest = NOBODY
            self._guests.release()
            # Last: the parked thread says that it sleeps before it looks for a guest a last time.
            if self._posted or self._parking.asleep or not self._goes_on():
                self._parking.recall()

    def _parked(self) -> bool:
        """Have the loop's own thread step aside."""
        if self._parking.occupied:
            return True
        self.link.wake()
        return self._parking.await_arrival(ARRIVAL)

    @property
    def leads(self) -> bool:
        """Whether the calling thread is the one that leads."""
        return self._thread == get_ident()

    def _lead(self, until: Callable[[], bool], deadline: float | None) -> bool:
        with self.link.lock:
            self._thread = self._guest
            try:
                while not until():
                    over = deadline is not None and self._clock() >= deadline
                    if over or not self._goes_on():
                        return False
                    self._turn(deadline)
                return True
            finally:
                self._thread = UNATTENDED

    def _step_aside(self) -> None:
        """Wait in the loop's own thread until it has to lead again."""
        parking, lock, seen = self._parking, self.link.lock, -1
        parking.enter()
        lock.release()
        try:
            while self._goes_on():
                visit = self._visits
                if visit == seen and self._guest != NOBODY:
                    parking.sleep(lambda: self._guest != NOBODY)
                    continue
                parking.patrol()
                if self._guest == NOBODY and (visit == self._visits or self._posted):
                    return
                seen = visit
        finally:
            lock.acquire()
            parking.leave()

    def _goes_on(self) -> bool:
        gone = self.machine.state is State.GONE
        return not (self._stopped or gone or self._failed is not None)

    def at_once(self, action: Action) -> None:
        """Run an action and send what follows from it in this thread, if the loop sleeps.

        It spares the message a change of threads. Otherwise the action is posted.
        """
        link = self.link
        lock = link.lock
        me = get_ident()
        if self._posted or self._thread in (me, NOBODY) or self._speaker == me:
            self.post(action)
            return
        woken = False
        # Ctrl-C may come after any call, so the lock is taken and given back within one `try`.
        try:
            if not lock.acquire(blocking=False):
                self.post(action)
                return
            woken = True
            self._speaker = me
            action(self._clock())
            self._send()
            # Nobody sleeps while the loop's own thread is parked: who leads next looks for itself.
            woken = self._asleep and (link.missed() or self._due_earlier())
        except BaseException:  # Ctrl-C, perhaps between two frames
            self.post(self._reopen)
            raise
        finally:
            self._speaker = NOBODY
            try:
                lock.release()
            except RuntimeError:  # it was not taken
                woken = False
            if woken:
                link.wake()

    def _reopen(self, now: float) -> None:
        self.link.reopen()
        self.machine.reopened(now)

    def _due_earlier(self) -> bool:
        due = self.machine.next_deadline()
        return due is not None and due < self._wakes

    def stop(self) -> None:
        """End the loop, from any thread, after what was posted before."""
        self.post(self._stop)

    def _stop(self, now: float) -> None:
        self._stopped = True

    def _turn(self, deadline: float | None = None) -> None:
        machine = self.machine
        due = machine.next_deadline()
        arrivals, now = self._wait(due, deadline)
        if self.link.enrolling and machine.state is not State.ENROLLING:
            machine.enrol_again(now)
        for stream, header, frames in arrivals:
            try:
                machine.receive(stream, self._read(stream, header, frames), now)
            except SegmentLost as error:
                _log.warning("%s: it is asked for again, to be sent", error)
                machine.segment_lost(now)
            except NoRoom as error:
                _log.error("no memory for a message on %s: %s", stream.value, error.__cause__)
                machine.no_room(stream, decode(error.header, [b""] * error.count), now)
            except Exception as error:  # one message must not cost the connection
                self._on_error(error)
        if self._posted:
            self._run_posted(now)
        # Asked before the wait: what has become due since then is seen in the next turn, at once.
        if due is None or now >= due:
            machine.tick(now)
            if self._sharing is not None:
                self._sharing.tidy(now)
        if self._large.is_busy:
            self._large.tend(machine.registered, now)
        self._speak()

    def _wait(self, deadline: float | None, guests: float | None) -> tuple[list[Arrival], float]:
        due = self._wakes = NEVER if deadline is None else deadline
        first = due if guests is None or due < guests else guests
        before = self._clock()
        held_up = before > self._looked + STALL
        self._asleep = True  # before the look at what was posted
        latest = None if first == NEVER else max(0.0, first - before)
        timeout = 0.0 if self._posted else latest
        arrivals = self.link.receive(timeout)
        self._asleep = False
        now = self._clock()
        if now > due + STALL:
            held_up = True
            if not arrivals:
                arrivals = self.link.receive(SECOND_LOOK)
                now = self._clock()
        if held_up:
            self.machine.held_up(now)
        self._looked = now
        return arrivals, now

    def _read(self, stream: Stream, header: bytes | Part, frames: list[Buffer]) -> Message:
        try:
            message = header if isinstance(header, Part) else decode(header, frames)
            if type(message) is Part:
                complete = self._large.gather(stream, message)
                if complete is None:
                    return message  # a sign of life, and no more
                message = decode(bytes(complete[0]), complete[1:])
            elif type(message) is PartsTaken:
                self._large.taken(stream, message)
            return self._sharing.opened(message) if frames and self._sharing else message
        except ProtocolMismatch as error:
            # Whatever a hub of another version says, it means that we cannot work together.
            return Refused(error.code, str(error))
        except SegmentLost:
            raise
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
            if action is LinkAction.ENROLLED:
                link.enrolled()
            else:
                link.enrol_again()
        self._send()

    def _send(self) -> None:
        send, shares = self.link.send, bool(self.machine.proof)
        large = self._large
        if large.unsent:
            for stream, message in large.take_unsent():
                send(stream, encode(message, shares))
        for stream, message in self.machine.drain():
            try:
                frames = encode(message, shares)
            except _UNSENDABLE as error:  # nor one that cannot be sent, and those behind it
                self._on_error(error)
            else:
                if len(frames) > 1 or large.flows.outgoing:
                    self._send_or_cut(stream, message, frames)
                else:
                    send(stream, frames)

    def _send_or_cut(self, stream: Stream, message: Message, frames: list[Buffer]) -> None:
        registered = self.machine.registered
        if registered is None or not registered.parts:
            self.link.send(stream, whole(frames))
            return
        shares = bool(self.machine.proof)
        for part in self._large.cut(stream, message, frames, shares, registered):
            self.link.send(stream, part)
