"""How a peer joins the hub and stays joined: the machine below engine, nanny and client sessions.

Theory of operation
-------------------
A peer *registers* on the hub stream and gets a session with a secret token. With the token it says
*hello* on the other streams that it uses, which binds those connections to the session. From then on it
beats, and the hub echoes; any message of the hub, on any stream, counts as a sign of life.

Whatever goes wrong, the way back is the same: register again, with the token. The hub then either
resumes the session (a pause, a broken connection, a restarted hub that kept its records), or says
that it does not know it; then the peer registers anew and wishes for its old numbers, so that its
ids stay valid. Over TCP a hub that is silent for long may have forgotten our key as well: then the
peer enrols it again first.

Nothing said is sure to have arrived unless it was answered. What a session has to say while it is
not joined, it keeps in its own records and says again in `on_joined`; nothing is queued blindly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Any, ClassVar

from ctrlhub.link.hellos import Hellos
from ctrlhub.link.hooks import Hooks
from ctrlhub.link.patience import Backoff, Renewal
from ctrlhub.link.patience import Patience as Patience
from ctrlhub.link.states import HELLO_STREAMS, KEY_NOT_LIVE, LEGAL, UNKNOWN_SESSION
from ctrlhub.link.states import LinkAction as LinkAction
from ctrlhub.link.states import State as State
from ctrlhub.wire.messages import (
    Beat,
    Enrol,
    Enrolled,
    Goodbye,
    Hello,
    Message,
    Refused,
    Register,
    Registered,
    SayHello,
    Stream,
    Welcome,
)

NEVER = float("inf")


def _cannot(segment: Sequence[int]) -> bytes:
    return b""


class Membership(Hooks):
    """A peer's membership; sessions of engines, nannies and clients derive from it.

    Parameters
    ----------
    registration
        What the peer says of itself; its key is also the one that is enrolled over TCP.
    patience
        How long to wait before asking again.
    seed
        Seed of the jitter; None takes one from the system.

    Attributes
    ----------
    state : State
        Where the peer stands.
    session, token, epoch, engine_id
        What the hub gave (-1, ``b""``, ``""`` and -1 before).
    registered, previous : Registered or None
        The hub's last answer to a registration, and the one before that.
    refused : Refused or None
        Why the hub did not let the peer in.
    last_heard : float
        When the hub last said anything.
    prove : callable
        Reads what stands in a segment of the hub's; the shell's part, where there is one.
    proof : bytes
        What it read: as long as there is something, segments are referred to both ways.
    lent : dict
        The segments that are lent to other peers, by the request that they came with.
    """

    def __init__(
        self, registration: Register, *, patience: Patience, seed: int | None = None
    ) -> None:
        self.registration = replace(registration, parts=True)
        self.patience = patience
        self.state = State.NEW
        self.session = registration.session
        self.token = registration.token
        self.epoch = ""
        self.engine_id = registration.engine_id
        self.registered: Registered | None = None
        self.previous: Registered | None = None
        self.refused: Refused | None = None
        self.last_heard = 0.0
        self._random = Random(seed)
        self._asking = Backoff(patience.first, patience, self._random)
        self._token_sent = b""
        self._hellos = Hellos(patience, self._random)
        self._beat_due = NEVER
        self._suspect = patience.suspect
        self._enrols = False
        self._renewal = Renewal(patience, self._random)
        self.prove: Callable[[Sequence[int]], bytes] = _cannot
        self.proof = b""
        self.lent: dict[int, Sequence[object]] = {}
        self._outbox: list[tuple[Stream, Message]] = []
        self._actions: list[LinkAction] = []

    # ------------------------------------------------------------ what the shell calls

    def start(self, now: float, enrolling: bool) -> None:
        """Begin to join.

        Parameters
        ----------
        now
            The time in seconds.
        enrolling
            The link is open under the enrolment key: the hub must accept our own key first.
        """
        if self.state is not State.NEW:
            raise RuntimeError(f"a membership starts once; this one is {self.state}")
        self._enrols = enrolling
        self.last_heard = now
        self._enter(State.ENROLLING if enrolling else State.REGISTERING)
        self._ask(now)

    def receive(self, stream: Stream, message: Message, now: float) -> None:
        """Take a message from the hub."""
        if self.state is State.GONE:
            return
        self.last_heard = now
        handler = self._HANDLERS.get(type(message))
        if handler is None:
            self.on_message(stream, message, now)
        else:
            handler(self, stream, message, now)

    def held_up(self, now: float) -> None:
        """Take note that we were away for a while: a hub that was not spoken to had nothing to say."""
        self.last_heard = max(self.last_heard, now - self._suspect / 2)

    def tick(self, now: float) -> None:
        """Do what is due. A subclass with deadlines of its own extends this."""
        silence = now - self.last_heard
        if silence >= self._suspect:
            self._heed_silence(silence, now)
        if self.state is State.JOINED:
            if now >= self._beat_due:
                self._beat(now)
            if now >= self._hellos.due:
                for stream in self._hellos.take_due(now):
                    self._say_hello(stream, now)
        elif self.state not in (State.NEW, State.GONE) and now >= self._asking.due:
            self._ask(now)

    def next_deadline(self) -> float | None:
        """Tell when `tick` is next due. A subclass with deadlines of its own extends this."""
        if self.state is State.JOINED:
            return min(self._beat_due, self.last_heard + self._suspect, self._hellos.due)
        if self.state in (State.NEW, State.GONE):
            return None
        due = self._asking.due
        if self.state is State.REGISTERING and self.registered is not None:
            due = min(due, self.last_heard + self._suspect)
        if self._enrols and self.state is not State.ENROLLING:
            due = min(due, self.last_heard + self._renewal.after(self._suspect))
        return due

    def drain(self) -> list[tuple[Stream, Message]]:
        """Take what is to be sent, in order.

        A subclass that forms batches extends this: first these messages, then its own, and those
        only while `state` is `State.JOINED`.
        """
        outbox, self._outbox = self._outbox, []
        return outbox

    def take_link_actions(self) -> list[LinkAction]:
        """Take what is to be done with the link, before anything is sent."""
        if not self._actions:
            return self._actions
        actions, self._actions = self._actions, []
        return actions

    def enrol_again(self, now: float) -> None:
        """Have our key accepted anew: the hub refuses it, or has been silent for very long."""
        if self.state not in (State.REGISTERING, State.JOINED, State.SILENT):
            return
        worked = self.state is not State.REGISTERING
        self._enter(State.ENROLLING)
        self._switch(LinkAction.ENROL_AGAIN)
        if worked:
            self._asking.restart()
            self._enrol(now)
        else:  # accepted a moment ago and refused again: no hurry
            self._asking.asked(now)

    def reopened(self, now: float) -> None:
        """Take note that all connections are new: the hub knows none of them before we join again.

        What was sent on them before that would be answered with "say hello", and a call is sent but
        once.
        """
        if self.state is State.JOINED:
            self._join_again(now)

    def goodbye(self, now: float, reason: str = "", *, replaced: bool = False) -> None:
        """Leave on purpose: nothing is to be kept for us, but the place if we are replaced."""
        if self.state is State.GONE:
            return
        if self.state not in (State.NEW, State.ENROLLING):
            self.send(Stream.HUB, Goodbye(reason, replaced, received=self.last_received()))
        self._enter(State.GONE)

    def vanish(self) -> None:
        """Leave without a word: the hub knows."""
        if self.state is not State.GONE:
            self._enter(State.GONE)

    def segment_lost(self, now: float) -> None:
        """Have said again, as bytes, what referred to a segment that could not be opened."""
        if self.state is not State.JOINED:
            return
        proven, self.proof = self.proof, b""
        for stream in self._hellos:
            if proven or not self._hellos.is_on_its_way(stream, now):  # else it is asked for
                self._hellos.repeat(stream)
                self._say_hello(stream, now)

    # ------------------------------------------------------------ what subclasses use

    @property
    def same_epoch(self) -> bool:
        """In `on_joined`: is the hub still the process that we joined the time before."""
        before, after = self.previous, self.registered
        return before is not None and after is not None and before.epoch == after.epoch

    def send(self, stream: Stream, message: Message) -> None:
        """Have a message sent with the next `drain`."""
        self._outbox.append((stream, message))

    # ------------------------------------------------------------ messages about membership

    def _on_enrolled(self, stream: Stream, message: Any, now: float) -> None:
        if self.state is not State.ENROLLING or message.public_key != self.registration.key:
            return
        self._enter(State.REGISTERING)
        self._switch(LinkAction.ENROLLED)
        self._register(now)

    def _on_registered(self, stream: Stream, message: Any, now: float) -> None:
        if self.state in (State.NEW, State.ENROLLING) or self._is_repetition(message):
            return
        self._enter(State.JOINED)
        self.refused = None
        if self.registration.attach:  # it is ours now, by our key
            self.registration = replace(self.registration, attach=False, take_over=False)
        self.previous, self.registered = self.registered, message
        self.session, self.token = message.session, message.token
        self.epoch, self.engine_id = message.epoch, message.engine_id
        self._suspect = message.suspect
        self._beat_due = now + message.beat
        self._asking.restart()
        self._renewal.restart()
        self.proof = self.prove(message.segment) if message.segment else b""
        for each in self._hellos.begin(HELLO_STREAMS[self.registration.role]):
            self._say_hello(each, now)
        self.on_joined(message, now)

    def _is_repetition(self, message: Registered) -> bool:
        """Tell whether this answers a registration that we sent once more than was needed."""
        return (
            self.state is State.JOINED
            and message.session == self.session
            and message.token == self.token
            and message.epoch == self.epoch
        )

    def _on_refused(self, stream: Stream, message: Any, now: float) -> None:
        if message.code == UNKNOWN_SESSION:
            self._on_unknown_session(stream, now)
        elif LinkAction.ENROL_AGAIN in self._actions:
            return  # it came by the connection that is about to be closed
        elif message.code == KEY_NOT_LIVE and self._may_enrol_anew(stream):
            self.refused = message
            self.enrol_again(now)
        elif stream is Stream.HUB and self.state is not State.JOINED:
            self.refused = message
            self._enter(State.GONE)
            self.on_refused(message)
        else:
            self.on_message(stream, message, now)

    def _may_enrol_anew(self, stream: Stream) -> bool:
        """Tell whether our key was good, and may have been forgotten; if it was revoked, we hear."""
        was_good = self.registered is not None and self.refused is None
        return self._enrols and was_good and stream is Stream.HUB

    def _on_unknown_session(self, stream: Stream, now: float) -> None:
        if stream is not Stream.HUB:
            # An answer to a hello, perhaps one from before we joined again. The hub stream knows:
            # a hub that has forgotten us answers the beat with "say hello".
            if self.state is State.JOINED:
                self._beat(now)
            return
        if self.state is State.JOINED:
            self._enter(State.REGISTERING)
        elif self.state is State.ENROLLING or not self._token_sent:
            return  # a registration without a token is on its way, and will be answered
        self.token = b""
        self._asking.restart()
        self._register(now)

    def _on_say_hello(self, stream: Stream, message: Any, now: float) -> None:
        if self.state is not State.JOINED:
            return  # what we wait for was sent after what this answers
        if stream is Stream.HUB:
            self._join_again(now)
        elif stream in self._hellos and not self._hellos.is_on_its_way(stream, now):
            self._hellos.repeat(stream)
            self._say_hello(stream, now)

    def _on_welcome(self, stream: Stream, message: Any, now: float) -> None:
        if self.state is not State.JOINED or not self._hellos.awaits(stream):
            return
        if message.epoch != self.epoch:
            self._join_again(now)  # another hub than the one that let us in
            return
        if self._hellos.answered(stream):
            self.on_welcome(stream, now)

    def _on_beat(self, stream: Stream, message: Any, now: float) -> None:
        """Take an echo: that it was heard is all it says."""

    # ------------------------------------------------------------ steps

    def _enter(self, state: State) -> None:
        if state not in LEGAL[self.state]:
            raise RuntimeError(
                f"{self.registration.role} of session {self.session}: {self.state} -> {state}"
            )
        self.state = state

    def _switch(self, action: LinkAction) -> None:
        """Change keys: what was to be sent was meant for the connection that now closes."""
        self._actions.append(action)
        self._outbox.clear()

    def _ask(self, now: float) -> None:
        (self._enrol if self.state is State.ENROLLING else self._register)(now)

    def _enrol(self, now: float) -> None:
        self.send(Stream.HUB, Enrol(self.registration.key))
        self._asking.asked(now)

    def _register(self, now: float) -> None:
        wishes = replace(
            self.registration, token=self.token, session=self.session, engine_id=self.engine_id
        )
        self._token_sent = self.token
        self.send(Stream.HUB, wishes)
        self._asking.asked(now)

    def _join_again(self, now: float) -> None:
        self._enter(State.REGISTERING)
        self._asking.restart()
        self._register(now)

    def _say_hello(self, stream: Stream, now: float) -> None:
        self._hellos.said(stream, now)
        self.send(stream, Hello(self.token, self.held(stream), self.proof))

    def _beat(self, now: float) -> None:
        self.send(Stream.HUB, self.beat())
        if self.registered is not None:
            self._beat_due = now + self.registered.beat

    def _heed_silence(self, silence: float, now: float) -> None:
        if self.state is State.JOINED:
            self._join_again(now)
        if self.state is State.REGISTERING and self.registered is not None:
            self._enter(State.SILENT)
            self.on_silent(now)
        if self._enrols and silence >= self._renewal.after(self._suspect):
            self._renewal.tried()
            self.enrol_again(now)

    _HANDLERS: ClassVar[Mapping[type[Message], Callable[..., None]]] = {
        Enrolled: _on_enrolled,
        Registered: _on_registered,
        Refused: _on_refused,
        SayHello: _on_say_hello,
        Welcome: _on_welcome,
        Beat: _on_beat,
    }
